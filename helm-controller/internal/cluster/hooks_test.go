package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/testplane"
)

// hook are the annotations of a hook with a policy for its deletion.
func hook(event, policy string) string {
	return "annotations: {helm.sh/hook: '" + event + "', helm.sh/hook-delete-policy: " + policy + "}"
}

func (w *world) job(name string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

func TestHooksRun(t *testing.T) {
	t.Parallel()
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			templates := []string{
				configMap("a", "1"),
				job("before", "", "", hook("pre-install", "hook-succeeded")),
				job("after", "", "", hook("post-install", "before-hook-creation")),
				"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, " + hook("pre-install", "hook-failed") + "}\n",
			}
			rel, err := w.install(w.chart(templates...), method)
			w.must(rel, err)
			for _, h := range rel.Hooks {
				if h.LastRun.Phase != release.HookPhaseSucceeded {
					t.Errorf("hook %s is %s; want it to have succeeded", h.Name, h.LastRun.Phase)
				}
			}
			after := w.job("after")
			if w.Get(w.job("before")) || !w.Get(after) || after.Status.Succeeded != 1 || !w.Get(w.configMap("settings")) {
				t.Errorf("want only the hook to be gone that asks for it, and the other to have ended; it is %v", after.Status)
			}
			if diff := cmp.Diff([]string{"ConfigMap a created"}, w.effects()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHooksRunAfresh: what an earlier run has left is not taken for this one.
func TestHooksRunAfresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	templates := []string{
		job("migrate", "", "", hook("pre-install,pre-upgrade", "hook-failed")),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, " + hook("pre-install,pre-upgrade", "hook-failed") + "}\n",
	}
	w.must(w.install(w.chart(templates...)))
	first := w.job("migrate")
	if !w.Get(first) {
		t.Fatal("the hook has left no Job")
	}
	w.must(w.upgrade(w.chart(templates...)))
	second := w.job("migrate")
	if !w.Get(second) || second.UID == first.UID || second.Status.Succeeded != 1 {
		t.Errorf("the Job is %v, with status %v; want another than %v, that has ended", second.UID, second.Status, first.UID)
	}

	if err := w.Client.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(second)
	w.Create(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "migrate"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "example.com/a"}}},
	}}})
	_, err := w.upgrade(w.chart(templates...))
	w.says(err, "Job/NS/migrate", "of no hook")
}

func TestHookThatDoesNotSucceed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template string
		settings []setting
		want     []string
	}{
		"a Job that fails": {
			template: job("j", "activeDeadlineSeconds: 1", nowhere, hook("pre-install", "hook-failed")),
			settings: []setting{in(10 * time.Minute)},
			want:     []string{"failed pre-install", "Job/NS/j failed: DeadlineExceeded"},
		},
		"a Job that never ends": {
			template: job("j", "", nowhere, hook("pre-install", "hook-failed")),
			settings: []setting{in(time.Second)},
			want:     []string{"failed pre-install", "not ended after 1s", "Job/NS/j", "Unschedulable"},
		},
		"a Pod that never ends": {
			template: "apiVersion: v1\nkind: Pod\nmetadata: {name: p, " + hook("pre-install", "hook-failed") + "}\nspec: {containers: [{name: a, image: example.com/a}]}\n",
			settings: []setting{in(3 * time.Second)},
			want:     []string{"not ended after 3s", "Pod/NS/p"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			rel, err := w.install(w.chart(tc.template), tc.settings...)
			w.says(err, tc.want...)
			if rel == nil || rel.Info.Status != release.StatusFailed || rel.Hooks[0].LastRun.Phase != release.HookPhaseFailed {
				t.Errorf("the release is %v; want it and its hook to have failed", rel)
			}
			if w.Get(w.job("j")) {
				t.Error("the Job of the failed hook is there; want it gone, as it asks for")
			}
		})
	}
}

// TestPodsOfHooks end when they have ended, not when they run.
func TestPodsOfHooks(t *testing.T) {
	t.Parallel()
	for phase, want := range map[corev1.PodPhase]string{corev1.PodSucceeded: "", corev1.PodFailed: "Pod/NS/p failed: Evicted: no room"} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			ended := make(chan error, 1)
			go func() {
				_, err := w.install(w.chart("apiVersion: v1\nkind: Pod\nmetadata: {name: p, " + hook("post-install", "hook-failed") + "}\nspec: {containers: [{name: a, image: example.com/a}]}\n"))
				ended <- err
			}()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "p"}}
			w.Wait("the Pod to run", pod, func() bool { return pod.Status.Phase == corev1.PodRunning })
			select {
			case err := <-ended:
				t.Fatalf("ended with %v while the Pod ran", err)
			default:
			}
			pod.Status.Phase = phase
			if phase == corev1.PodFailed {
				pod.Status.Reason, pod.Status.Message = "Evicted", "no room"
			}
			if err := w.Client.Status().Update(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			err := <-ended
			if want == "" && err != nil {
				t.Fatal(err)
			}
			if want != "" {
				w.says(err, want)
			}
		})
	}
}

// TestDeletionOfAHookThatIsNotThere costs one look.
func TestDeletionOfAHookThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	settings := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, " + hook("pre-install", "before-hook-creation") + "}\n"
	w.must(w.install(w.chart(settings)))
	var got []string
	for _, r := range w.Traffic.Requests() {
		got = append(got, strings.Fields(r.String())[0])
	}
	if diff := cmp.Diff([]string{"GET", "PATCH"}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestHookThatMayNotBeWatched is looked at, as who may read it.
func TestHookThatMayNotBeWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "team")
	w.allow("team", "batch", "jobs", "get", "create", "delete", "patch")
	w.must(w.install(w.chart(job("j", "", "", hook("pre-install", "hook-succeeded")))))
	refused := w.Traffic.Count(func(r testplane.Request) bool { return r.Resource == "jobs" && r.Watch })
	if refused == 0 {
		t.Error("nobody has tried to watch the Job")
	}
}

// TestHooksThatTheAPIServerNames run each time, and are waited for.
func TestHooksThatTheAPIServerNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	template := strings.Replace(job("NAME", "", "", hook("pre-install,pre-upgrade", "before-hook-creation")), "name: NAME", "generateName: run-", 1)
	w.must(w.install(w.chart(template)))
	w.must(w.upgrade(w.chart(template)))
	var jobs batchv1.JobList
	if err := w.Client.List(t.Context(), &jobs, client.InNamespace(w.Namespace)); err != nil {
		t.Fatal(err)
	}
	if len(jobs.Items) != 2 || jobs.Items[0].Status.Succeeded+jobs.Items[1].Status.Succeeded != 2 {
		t.Errorf("the Jobs are %v; want two that have ended", jobs.Items)
	}
}
