package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
)

// nowhere keeps Pods from being scheduled.
const nowhere = "nodeSelector: {nowhere: 'true'}, "

// deployment is a template of a Deployment; pods is more of the spec of its Pods.
func deployment(name, pods string) string {
	return strings.NewReplacer("NAME", name, "PODS", pods).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, OWNED}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {PODScontainers: [{name: a, image: example.com/a}]}
`)
}

// job is a template of a Job; more is of its metadata, and spec of its own.
func job(name, spec, pods string, more ...string) string {
	metadata := strings.Join(append([]string{"name: " + name}, more...), ", ")
	return strings.NewReplacer("METADATA", metadata, "SPEC", spec, "PODS", pods).Replace(`apiVersion: batch/v1
kind: Job
metadata: {METADATA}
spec:
  backoffLimit: 0
  SPEC
  template:
    spec: {PODSrestartPolicy: Never, containers: [{name: a, image: example.com/a}]}
`)
}

// idle reports whether applying objects would send nothing.
func (w *world) idle(objs []*unstructured.Unstructured) bool {
	w.t.Helper()
	prepared, err := apply.Prepare(objs, apply.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return prepared.Plan(w.at.Drift, apply.Options{Owner: w.owner()}).Idle()
}

func legacy(o *cluster.Options) { o.Legacy = true }

func TestWaitsUntilReady(t *testing.T) {
	t.Parallel()
	tests := map[string][]setting{
		"as kstatus has it":              {waiting},
		"as Helm 3 has it":               {waiting, with(legacy)},
		"client-side":                    {waiting, methods()["client-side"]},
		"with nobody who tells of news":  {waiting, with(func(o *cluster.Options) { o.Waits = nil })},
		"client-side, as Helm 3 has it ": {waiting, methods()["client-side"], with(legacy)},
	}
	for name, settings := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.must(w.install(w.chart(deployment("web", ""), configMap("a", "1")), settings...))
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "web"}}
			if !w.Get(d) || d.Status.AvailableReplicas != 1 {
				t.Errorf("done with %d replicas available; want 1", d.Status.AvailableReplicas)
			}
		})
	}
}

// TestWaitThatIsInVain says what is missing, and why, and ends early if it can.
func TestWaitThatIsInVain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template string
		settings []setting
		want     []string
	}{
		"it is over": {
			template: deployment("web", nowhere), settings: []setting{waiting, in(time.Second)},
			want: []string{"not ready after 1s", "Deployment/NS/web status: 'InProgress'", "Unschedulable"},
		},
		"it is over, as Helm 3 has it": {
			template: deployment("web", nowhere), settings: []setting{waiting, in(time.Second), with(legacy)},
			want: []string{"not ready after 1s", "Deployment/NS/web", "Unschedulable"},
		},
		"it can only fail": {
			template: strings.Replace(deployment("web", nowhere), "replicas:", "progressDeadlineSeconds: 1\n  replicas:", 1),
			settings: []setting{waiting, in(10 * time.Minute)},
			want:     []string{"failed early due to stalled resources", "Deployment/NS/web status: 'Failed'", "Unschedulable"},
		},
		"a Job fails": {
			template: job("j", "activeDeadlineSeconds: 1", nowhere, "OWNED"), settings: []setting{waitingForJobs, in(10 * time.Minute)},
			want: []string{"failed early", "Job/NS/j status: 'Failed'"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			_, err := w.install(w.chart(tc.template), tc.settings...)
			w.says(err, tc.want...)
		})
	}
}

// TestDoesNotWait for what never ends, and need not.
func TestDoesNotWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	paused := strings.Replace(deployment("paused", nowhere), "replicas:", "paused: true\n  replicas:", 1)
	w.must(w.install(w.chart(paused, job("j", "", nowhere, "OWNED")), waiting, in(10*time.Minute)))
}

// TestWaitsByExpressions: even for kinds that have no health of their own.
func TestWaitsByExpressions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	rules, err := health.Compile([]kustomize.CustomHealthCheck{{
		APIVersion: "v1", Kind: "ConfigMap", HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "data.k == 'on'"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := w.install(w.chart(configMap("lamp", "off")), waiting, with(func(o *cluster.Options) { o.Checks = rules }))
		ended <- err
	}()
	lamp := w.configMap("lamp")
	w.Wait("the lamp", lamp, func() bool { return true })
	w.Patch(lamp, "test", "data: {k: 'on'}")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// TestInterruptedWait: it ends at once with the reason, and others could work meanwhile.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template string
		settings []setting
	}{
		"for objects":                  {deployment("web", nowhere), []setting{waiting}},
		"for objects, as Helm 3 waits": {deployment("web", nowhere), []setting{waiting, with(legacy)}},
		"for a hook":                   {job("j", "", nowhere, "annotations: {helm.sh/hook: post-install}"), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			ctx, interrupt := context.WithCancelCause(t.Context())
			var lent, back atomic.Int32
			ended := w.installUntilItWaits(tc.template, append(tc.settings, until(ctx)), &lent, &back)
			interrupt(errors.New("it is deleted"))
			w.says(<-ended, "interrupted: it is deleted")
			if lent.Load() != 1 || back.Load() != 1 {
				t.Errorf("lent %d times and took back %d times; want each once", lent.Load(), back.Load())
			}
			if _, err := w.client.Create(nil); err == nil {
				t.Error("the client of an action that has ended goes on")
			}
		})
	}
}

// TestNewerEndsWaitsForHealthOnly: a hook that is cut off may leave half of its work.
func TestNewerEndsWaitsForHealthOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template string
		settings []setting
		want     string
	}{
		"objects":                  {deployment("web", nowhere), []setting{waiting}, "interrupted: there is a newer revision"},
		"objects, as Helm 3 waits": {deployment("web", nowhere), []setting{waiting, with(legacy)}, "interrupted: there is a newer revision"},
		"a hook":                   {job("j", "", nowhere, "annotations: {helm.sh/hook: post-install}"), nil, "interrupted: it is deleted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			ctx, interrupt := context.WithCancelCause(t.Context())
			defer interrupt(nil)
			newer := make(chan struct{})
			close(newer)
			settings := append(tc.settings, until(ctx), with(func(o *cluster.Options) { o.Newer = newer }))
			ended := w.installUntilItWaits(tc.template, settings, &atomic.Int32{}, &atomic.Int32{})
			if strings.Contains(tc.want, "deleted") {
				interrupt(errors.New("it is deleted"))
			}
			w.says(<-ended, tc.want)
		})
	}
}

// installUntilItWaits begins an installation, and returns once that waits. It counts how
// often others may work, and how often no more.
func (w *world) installUntilItWaits(template string, settings []setting, lent, back *atomic.Int32) (ended <-chan error) {
	w.t.Helper()
	waits, end := make(chan struct{}, 10), make(chan error, 1)
	settings = append(settings, in(time.Hour), with(func(o *cluster.Options) {
		o.Lend = func() func() {
			lent.Add(1)
			waits <- struct{}{}
			return func() { back.Add(1) }
		}
	}))
	go func() {
		_, err := w.install(w.chart(template), settings...)
		end <- err
	}()
	select {
	case <-waits:
	case err := <-end:
		w.t.Fatalf("ended with %v before it waited", err)
	}
	return end
}
