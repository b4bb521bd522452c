package helmrelease_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	helmv2 "weir.dev/api/helm/v2"
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
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	if n := w.Traffic.Count(testplane.Writes("helmreleases")); n != 3 {
		t.Errorf("%d writes of the HelmRelease; want the finalizer, what is attempted, and what came of it", n)
	}
	if n := w.Traffic.Count(testplane.Writes("secrets")); n != 2 {
		t.Errorf("%d writes of Secrets; want that a release begins, and that it is deployed", n)
	}
}

func TestSteadyStateAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	artifact := w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.settle()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return r.Resource != "helmreleases" || r.Method == "GET" })
	for range 3 {
		w.Poke(hr)
		w.WaitHandled(hr)
		w.settle()
	}
	allow()
	if n := w.charts.Downloads(artifact); n != 1 {
		t.Errorf("the chart was downloaded %d times; want once", n)
	}
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
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
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonUninstallSucceeded, "Helm uninstall succeeded for release "+w.Namespace+"/app with chart demo@1.0.0")
}
