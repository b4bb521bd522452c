package helmrelease_test

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/pkg/testplane"
)

func TestInstallsAndUpgrades(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.expectValue("app", "1")
	e := w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonInstallSucceeded, "Helm install succeeded for release "+w.Namespace+"/app.v1 with chart demo@1.0.0")
	want := map[string]string{"helm.toolkit.fluxcd.io/revision": "1.0.0", "helm.toolkit.fluxcd.io/token": hr.Status.History[0].ConfigDigest}
	if diff := cmp.Diff(want, e.Annotations); diff != "" {
		t.Errorf("metadata of the event (-want +got):\n%s", diff)
	}

	w.change(hr, values("k: two"))
	w.waitReleased(hr, 2)
	w.expectValue("app", "two")

	w.publish(demo(t, "1.1.0"))
	w.waitReleased(hr, 3)
	wantHistory := []string{"3 1.1.0 deployed by upgrade", "2 1.0.0 superseded by upgrade"}
	if diff := cmp.Diff(wantHistory, history(hr)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 superseded", "2 superseded", "3 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonUpgradeSucceeded, "app.v3 with chart demo@1.1.0")
}

// TestStatusIsWrittenBeforeAndAfter an action, and at no other time.
func TestStatusIsWrittenBeforeAndAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	for _, name := range []string{"first", "second", "third"} {
		w.settle()
		w.Traffic.Reset()
		hr := w.release(name)
		w.waitReleased(hr, 1)
		w.settle()
		// That an action is under way is told if it takes long, as it may on a busy machine.
		if took := hr.Status.LastAttemptedReleaseActionDuration; took != nil && took.Duration < 2*time.Second {
			break
		}
	}
	if n := w.Traffic.Count(testplane.Writes("helmreleases")); n != 3 {
		t.Errorf("%d writes of the HelmRelease; want the finalizer, what is attempted, and what came of it", n)
	}
	if n := w.Traffic.Count(testplane.Writes("secrets")); n != 2 {
		t.Errorf("%d writes of Secrets; want that a release begins, and that it is deployed", n)
	}
}

// TestSteadyStateAsksNothing across intervals, with all there is to look at.
func TestSteadyStateAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Data: map[string]string{"values.yaml": "k: more\n"}})
	artifact := w.charts.Publish(demo(t, "1.0.0"))
	hr := w.release("app", template, drift(helmv2.DriftDetectionEnabled), func(s *helmv2.HelmReleaseSpec) {
		s.Interval = metav1.Duration{Duration: time.Second}
		s.ValuesFrom = []meta.ValuesReference{{Kind: "ConfigMap", Name: "more"}}
	})
	w.Wait("the HelmChart", w.chartOf(hr), func() bool { return true })
	w.offer(w.chartOf(hr), artifact)
	w.waitReleased(hr, 1)
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonInstallSucceeded) // which comes later than the status
	w.settle()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return !r.Watch })
	before := w.runs(hr)
	w.Eventually("three intervals", func() bool { return w.runs(hr) >= before+3 })
	allow()
	if n := w.charts.Downloads(artifact); n != 1 {
		t.Errorf("the chart was downloaded %d times; want once", n)
	}
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// runs is how often hr was reconciled, as the metrics of the process tell.
func (w *world) runs(hr *helmv2.HelmRelease) uint64 {
	w.t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "gotk_reconcile_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			of := make(map[string]string)
			for _, l := range m.GetLabel() {
				of[l.GetName()] = l.GetValue()
			}
			if of["kind"] == helmv2.HelmReleaseKind && of["namespace"] == hr.Namespace && of["name"] == hr.Name {
				return m.GetHistogram().GetSampleCount()
			}
		}
	}
	return 0
}

// TestUpgradeWritesWhatChanges: of twenty objects, one differs.
func TestUpgradeWritesWhatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(charttest.New(t, "twenty", "1.0.0", map[string]string{
		"values.yaml": "k: \"1\"\n",
		"templates/cms.yaml": `{{- range $i := until 20 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ $.Release.Name }}-{{ $i }}}
data: {k: {{ if eq $i 7 }}{{ $.Values.k | quote }}{{ else }}same{{ end }}}
{{- end }}
`,
	}))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	w.Traffic.Reset()
	w.change(hr, values("k: two"))
	w.waitReleased(hr, 2)
	w.settle()
	w.expectValue("app-7", "two")
	if n := w.Traffic.Count(func(r testplane.Request) bool { return r.Resource == "configmaps" && !r.Watch }); n != 1 {
		t.Errorf("%d requests about ConfigMaps; want one apply: %v", n, w.Traffic.Requests())
	}
}

func drift(mode helmv2.DriftDetectionMode, ignore ...helmv2.IgnoreRule) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) { s.DriftDetection = &helmv2.DriftDetection{Mode: mode, Ignore: ignore} }
}

func TestDeletionUninstalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(w.configMap("app"))
	if stored := w.stored("app"); len(stored) > 0 {
		t.Errorf("stored are %q; want nothing to be left", stored)
	}
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonUninstallSucceeded, "Helm uninstall succeeded for release "+w.Namespace+"/app.v1 with chart demo@1.0.0")
}
