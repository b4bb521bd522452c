package helmrelease_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/testplane"
)

func TestDriftIsCorrectedWithoutARelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
	w.settle()

	cm := w.configMap("app")
	w.Patch(cm, "night-shift", "data: {k: '5', other: stays}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
	if cm.Data["other"] != "stays" {
		t.Errorf("ConfigMap has %v; want the key of somebody else to stay", cm.Data)
	}
	e := w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonDriftCorrected, "night-shift")
	if want := fmt.Sprintf(`ConfigMap/%s/app: data.k "1" -> "5" by night-shift at `, w.Namespace); !strings.Contains(e.Message, want) {
		t.Errorf("the event says %q; want %q", e.Message, want)
	}
	if got := e.Annotations["helm.toolkit.fluxcd.io/revision"]; got != "1.0.0" {
		t.Errorf("the event is about revision %q; want that of the chart", got)
	}

	if err := w.Client.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	w.Wait("the ConfigMap is back", w.configMap("app"), func() bool { return true })
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonDriftCorrected, "deleted, restored")
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.settle()
	w.Get(hr)
	if !ready(hr) {
		t.Errorf("conditions are %+v; want it to be Ready", hr.Status.Conditions)
	}
}

// TestLabelsOfTheOwnerAreDrift, also those by which the objects of releases are watched.
func TestLabelsOfTheOwnerAreDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.settle()
	cm := w.configMap("app")
	back := func(when string) {
		t.Helper()
		w.Wait("the label back, "+when, cm, func() bool { return cm.Labels[helmv2.LabelName] == hr.Name })
	}
	unlabel := `metadata: {labels: {"` + helmv2.LabelName + `": null}}`
	w.Patch(cm, "night-shift", unlabel)
	back("at once")
	w.stop()
	w.Patch(cm, "night-shift", unlabel)
	w.start()
	back("after a start")
	w.settle()
	w.Patch(cm, "night-shift", unlabel)
	back("once more")
}

func TestDriftIsOnlyToldOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionWarn))
	w.waitReleased(hr, 1)
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5'}")
	w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionTrue, helmv2.ReasonDriftDetected)
	e := w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonDriftDetected, "night-shift")
	if strings.Contains(e.Message, "restored") {
		t.Errorf("the event says %q, but nothing was restored", e.Message)
	}
	w.expectValue("app", "5")
	if !conditions.IsReady(hr) {
		t.Errorf("conditions are %+v; want the release to be Ready", hr.Status.Conditions)
	}
	told := func() (times int) {
		for _, e := range w.events(hr) {
			if e.Reason == helmv2.ReasonDriftDetected {
				times += max(1, int(e.Count))
			}
		}
		return times
	}
	before := told()
	w.Poke(hr)
	w.Eventually("it is told by the next run again", func() bool { return told() > before })
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '1'}")
	w.Poke(hr)
	w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
}

func TestIgnoredFieldsAreLeftToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {k: '1'}\n"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled, helmv2.IgnoreRule{Paths: []string{"/data/k"}}))
	w.waitReleased(hr, 1)
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5', chart: other}")
	cm := w.configMap("app")
	w.Wait("the other field is put back", cm, func() bool { return cm.Data["chart"] == "1.0.0" })
	w.lookAgain(hr)
	w.expectValue("app", "5")
}

// TestDriftOfNoConcernIsLeft, and nobody looks at the object.
func TestDriftOfNoConcernIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr, watched := w.release("app"), w.release("watched", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.waitReleased(watched, 1)
	w.settle()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return strings.HasSuffix(r.Path, "/configmaps/app") })
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5'}")
	w.Patch(w.configMap("watched"), "night-shift", "data: {k: '5'}") // which is seen after the other
	w.Eventually("what is of concern is put back", func() bool { return w.value("watched") == "1" })
	allow()
	w.expectValue("app", "5")
	w.Get(hr)
	if conditions.Has(hr, helmv2.ConditionDrifted) {
		t.Error("Drifted is there, but nobody asked")
	}
}
