package helmrelease_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
)

// job is a Job of the test's namespace, to be read.
func (w *world) job(name string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

// order are the hooks of an event by when they were last begun.
func order(rel *release.Release, event release.HookEvent) []string {
	var hooks []*release.Hook
	for _, h := range rel.Hooks {
		if slices.Contains(h.Events, event) {
			hooks = append(hooks, h)
		}
	}
	slices.SortFunc(hooks, func(a, b *release.Hook) int { return a.LastRun.StartedAt.Compare(b.LastRun.StartedAt.Time) })
	var names []string
	for _, h := range hooks {
		names = append(names, h.Name)
	}
	return names
}

// there are those of some ConfigMaps that exist.
func (w *world) there(names ...string) []string {
	w.t.Helper()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !w.Get(w.configMap(name)) })
}

// hooksThatStay are hooks that a release leaves behind, as plain Helm does: they are no part of it.
func hooksThatStay(w *world) []client.Object {
	return []client.Object{w.job("app-pre-delete"), w.job("app-post-delete"), w.configMap("app-a-last")}
}

func (w *world) checkHooks(hr *helmv2.HelmRelease) {
	rel := w.newest("app")
	for event, want := range map[release.HookEvent][]string{
		release.HookPreInstall:  {"app-z-first", "app-pre-install", "app-m-second", "app-m-third", "app-a-last"},
		release.HookPostInstall: {"app-policy-all", "app-policy-before", "app-policy-default", "app-policy-failed", "app-policy-succeeded", "app-post-install"},
	} {
		if diff := cmp.Diff(want, order(rel, event)); diff != "" {
			w.t.Errorf("order of the hooks of %s (-want +got):\n%s", event, diff)
		}
	}
	want := []string{"app-policy-before", "app-policy-default", "app-policy-failed"}
	if diff := cmp.Diff(want, w.there("app-policy-all", "app-policy-before", "app-policy-default", "app-policy-failed", "app-policy-succeeded", "app-unknown")); diff != "" {
		w.t.Errorf("what the policies leave (-want +got):\n%s", diff)
	}

	remediate := true
	w.change(hr, values("{text: second, fail: [post-upgrade]}"), func(s *helmv2.HelmReleaseSpec) {
		s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &remediate}}
	})
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRollbackSucceeded)
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUpgradeFailed, "post-upgrade", "Job/"+w.Namespace+"/app-post-upgrade failed: DeadlineExceeded")
	rel = w.newest("app")
	for _, event := range []release.HookEvent{release.HookPreRollback, release.HookPostRollback} {
		if job := w.job("app-" + event.String()); !w.Get(job) || job.Status.Succeeded != 1 {
			w.t.Errorf("the Job of %s has status %+v; want it to have run", event, job.Status)
		}
	}
	cm := w.configMap("app-app")
	if !w.Get(cm) || cm.Data["text"] != "first" || rel.Version != 3 {
		w.t.Errorf("release %d has %v; want what it was rolled back to", rel.Version, cm.Data)
	}

	w.change(hr, values("text: third"))
	w.waitReleased(hr, 4)
	last := w.configMap("app-a-last")
	if w.Get(last); last.Data["text"] != "third" {
		w.t.Errorf("the hook has %v; want that of the last upgrade", last.Data)
	}
}

func (w *world) checkMigrations(hr *helmv2.HelmRelease) {
	for _, name := range []string{"app-seed", "app-reindex", "app-test-schema"} {
		if job := w.job(name); !w.Get(job) || job.Status.Succeeded != 1 {
			w.t.Errorf("Job %s has status %+v; want the release not to be Ready before it has ended", name, job.Status)
		}
	}
	if w.Get(w.configMap("app-test-config")) {
		w.t.Error("the test is there that is to go once it has succeeded")
	}
	w.expectTests(hr, "app-test-config Succeeded", "app-test-schema Succeeded")

	w.change(hr, values("schema: 2"))
	w.waitReleased(hr, 2)
	rel := w.newest("app")
	if got, want := rel.Info.Notes, "Now at schema 2, by revision 2."; !strings.Contains(got, want) {
		w.t.Errorf("notes are %q; want %q", got, want)
	}
	w.expectHooks(rel, release.HookPreUpgrade, release.HookPostUpgrade, release.HookTest)
	if w.Get(w.job("app-migrate-2")) {
		w.t.Error("the Job is there that is to go once it has succeeded")
	}
	before, change := rel.Hooks[slices.IndexFunc(rel.Hooks, func(h *release.Hook) bool { return h.Name == "app-migrate-2" })], w.configMap("app-schema")
	w.Get(change)
	for _, entry := range change.ManagedFields {
		if entry.Time.Time.Before(before.LastRun.CompletedAt.Time.Truncate(time.Second)) {
			w.t.Errorf("the ConfigMap was written at %s, before the migration had ended at %s", entry.Time, before.LastRun.CompletedAt)
		}
	}

	w.change(hr, values("{schema: 2, tests: {fail: true}}"))
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonTestFailed)
	w.expectTests(hr, "app-test-config Succeeded", "app-test-schema Failed")
}

// expectTests fails the test unless the newest release of the history has some tests, each
// with its phase.
func (w *world) expectTests(hr *helmv2.HelmRelease, want ...string) {
	w.t.Helper()
	var got []string
	if hooks := hr.Status.History.Latest().TestHooks; hooks != nil {
		for _, name := range slices.Sorted(maps.Keys(*hooks)) {
			got = append(got, name+" "+(*hooks)[name].Phase)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("tests of the newest release (-want +got):\n%s", diff)
	}
}

// hookMap is the template of a ConfigMap that is a hook, and named after its events.
func hookMap(event string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, annotations: {helm.sh/hook: %s}}\n---\n", event, event)
}

// TestHooksAreLeftOut where the action says so, each for itself.
func TestHooksAreLeftOut(t *testing.T) {
	t.Parallel()
	all := []string{"pre-install", "post-install", "pre-upgrade", "post-upgrade", "pre-rollback", "post-rollback", "pre-delete", "post-delete"}
	tests := map[string]struct {
		spec func(*helmv2.HelmReleaseSpec)
		want []string
	}{
		"by nobody":    {spec: func(*helmv2.HelmReleaseSpec) {}, want: all},
		"by install":   {spec: func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{DisableHooks: true} }, want: all[2:]},
		"by upgrade":   {spec: func(s *helmv2.HelmReleaseSpec) { s.Upgrade.DisableHooks = true }, want: slices.Concat(all[:2], all[4:])},
		"by rollback":  {spec: func(s *helmv2.HelmReleaseSpec) { s.Rollback = &helmv2.Rollback{DisableHooks: true} }, want: slices.Concat(all[:4], all[6:])},
		"by uninstall": {spec: func(s *helmv2.HelmReleaseSpec) { s.Uninstall = &helmv2.Uninstall{DisableHooks: true} }, want: all[:6]},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			hooks := ""
			for _, event := range all {
				hooks += hookMap(event)
			}
			w.publish(refusable(t, "1.0.0").With("templates/hooks.yaml", hooks))
			remediate := true
			hr := w.release("app", values("k: good"), func(s *helmv2.HelmReleaseSpec) {
				s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &remediate}}
			}, tc.spec)
			w.waitReleased(hr, 1)
			w.change(hr, values("k: better"))
			w.waitReleased(hr, 2)
			w.change(hr, values("k: Not_A_Name"))
			w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRollbackSucceeded)
			if err := w.Client.Delete(t.Context(), hr); err != nil {
				t.Fatal(err)
			}
			w.WaitGone(hr)
			if diff := cmp.Diff(tc.want, w.there(all...)); diff != "" {
				t.Errorf("hooks that have run (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHooksTakeNothingElseAway: a hook makes way for its next run, and nothing does that earlier
// releases have made, failed ones included.
func TestHooksTakeNothingElseAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0").With("templates/hook.yaml", hookMap("pre-upgrade")+hookMap("pre-rollback")+
		strings.Replace(hookMap("post-upgrade"), "name: post-upgrade", "name: {{ .Values.hook }}", 1)))
	remediate := true
	hr := w.release("app", values("{k: one, hook: good}"), func(s *helmv2.HelmReleaseSpec) {
		s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &remediate}}
	})
	w.waitReleased(hr, 1)
	cm := w.configMap("app")
	w.Get(cm)
	was := cm.UID
	w.change(hr, values("{k: two, hook: Not_A_Name}"))
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRollbackSucceeded)
	if !w.Get(cm) || cm.UID != was {
		t.Errorf("after the rollback, the ConfigMap is %q; want that of before, %q", cm.UID, was)
	}
	w.change(hr, values("{k: three, hook: good}"))
	w.waitReleased(hr, 4)
	if !w.Get(cm) || cm.UID != was {
		t.Errorf("after the next upgrade, the ConfigMap is %q; want that of before, %q", cm.UID, was)
	}
}

func TestTestsAreSelected(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		filters []helmv2.Filter
		want    []string
		run     []string
	}{
		"by name":      {filters: []helmv2.Filter{{Name: "two"}}, want: []string{"one ", "two Succeeded"}, run: []string{"two"}},
		"by exclusion": {filters: []helmv2.Filter{{Name: "two", Exclude: true}}, want: []string{"one Succeeded", "two "}, run: []string{"one"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			chart := charttest.New(t, "tested", "1.0.0", map[string]string{"templates/tests.yaml": strings.NewReplacer("name: test", "name: one").Replace(hookMap("test")) +
				strings.NewReplacer("name: test", "name: two").Replace(hookMap("test"))})
			w.publish(chart)
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true, Filters: &tc.filters} })
			w.waitReleased(hr, 1)
			w.expectTests(hr, tc.want...)
			if diff := cmp.Diff(tc.run, w.there("one", "two")); diff != "" {
				t.Errorf("tests that have run (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTestThatNeverEnds fails when its time is up, which is its own.
func TestTestThatNeverEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.shared("hooks"))
	hr := w.release("app", values("hang: [test]"), func(s *helmv2.HelmReleaseSpec) {
		s.Test = &helmv2.Test{Enable: true, Timeout: shortly()}
	})
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonTestFailed)
	for _, part := range []string{"not ended after 1s", "Job/" + w.Namespace + "/app-test"} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("Ready says %q; want it to name %q", c.Message, part)
		}
	}
	w.expectTests(hr, "app-test Failed")
	if got := w.stored("app"); len(got) != 1 || got[0] != "1 deployed" {
		t.Errorf("stored are %q; want the release to be there", got)
	}
}
