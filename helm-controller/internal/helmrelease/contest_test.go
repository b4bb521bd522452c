package helmrelease_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/testplane"
)

// TestCorrectionThatFails is told, and tried again.
func TestCorrectionThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.settle()
	w.Traffic.Break(func(r testplane.Request) error {
		if r.DryRun {
			return nil
		}
		return refusing(http.MethodPatch, "configmaps")(r)
	})
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5'}")
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonDriftCorrectionFailed)
	failed := "Failed to correct the cluster state of release " + w.Namespace + "/app.v1: "
	if !strings.HasPrefix(c.Message, failed) || !strings.Contains(c.Message, "ConfigMap/"+w.Namespace+"/app") {
		t.Errorf("Ready says %q; want %q and the object", c.Message, failed)
	}
	d := w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionTrue, helmv2.ReasonDriftDetected)
	if want := "Cluster state of release " + w.Namespace + "/app.v1 has drifted from the desired state: "; !strings.HasPrefix(d.Message, want) {
		t.Errorf("Drifted says %q; want %q", d.Message, want)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonDriftCorrectionFailed, failed, "no route to host")
	if hr.Status.Failures != 0 || hr.Status.UpgradeFailures != 0 || conditions.Has(hr, helmv2.ConditionRemediated) {
		t.Errorf("status is %+v; want it to be no failure of the release", hr.Status)
	}

	w.Traffic.Break(nil)
	w.Wait("the value is put back", w.configMap("app"), func() bool { return w.value("app") == "1" })
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// value is what a ConfigMap has under k; "" if there is none.
func (w *world) value(name string) string {
	w.t.Helper()
	cm := w.configMap(name)
	w.Get(cm)
	return cm.Data["k"]
}

// TestCorrectionCostsOneWrite: neither the chart, nor what is stored, is looked at.
func TestCorrectionCostsOneWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	artifact := w.publish(demo(t, "1.0.0", "templates/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {k: '1'}\n"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.settle()
	w.Traffic.Reset()
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5'}")
	w.Wait("the value is put back", w.configMap("app"), func() bool { return w.value("app") == "1" })
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonDriftCorrected, "night-shift")
	w.settle()
	got := make(map[string]int)
	for _, r := range w.Traffic.Requests() {
		if r.Resource == "configmaps" && !r.Watch {
			got[r.String()]++
		}
		if r.Write() && r.Resource == "secrets" {
			t.Errorf("a Secret was written: %s", r)
		}
	}
	if n := w.Traffic.Count(testplane.Writes("configmaps")); n != 1 {
		t.Errorf("%d writes of ConfigMaps; want one: %v", n, got)
	}
	for path := range got {
		if strings.Contains(path, "/configmaps/b") {
			t.Errorf("the object that nobody had changed was asked about: %v", got)
		}
	}
	if n := w.charts.Downloads(artifact); n != 1 {
		t.Errorf("the chart was downloaded %d times; want once", n)
	}
}

// TestFightBacksOffForTheFieldAlone: who takes back a field each time is told of, and has
// it for a while; other fields are put back as ever.
func TestFightBacksOffForTheFieldAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	for _, name := range []string{"first", "second", "third"} {
		hr := w.release(name, drift(helmv2.DriftDetectionEnabled))
		w.waitReleased(hr, 1)
		w.settle()
		if w.backsOff(hr) {
			return
		}
	}
	t.Error("of each of three releases the pause was over before anybody looked")
}

// backsOff fights for a field of the ConfigMap of hr and fails the test unless the controller
// leaves it alone for a while, and nothing else of the object. It reports whether that was
// seen before the while was over, as it may not be on a busy machine.
func (w *world) backsOff(hr *helmv2.HelmRelease) bool {
	w.t.Helper()
	stop := w.fight(hr.Name, "robot", "k")
	defer stop()
	e := w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonDriftContested, "data.k", "by robot", "restored 5 times", "left alone for 5s")
	w.Traffic.Reset()
	if got := e.Annotations["helm.toolkit.fluxcd.io/revision"]; got != "1.0.0" {
		w.t.Errorf("the event is about revision %q; want that of the chart", got)
	}
	cm := w.configMap(hr.Name)
	w.Wait("the robot has the field", cm, func() bool { return cm.Data["k"] == "robot" })
	restored := appliedAt(cm)
	w.Patch(cm, "night-shift", "data: {chart: by-hand}")
	w.Wait("the other field is put back", cm, func() bool { return cm.Data["chart"] == "1.0.0" })
	inTime := !restored.After(e.LastTimestamp.Time) && time.Since(restored) < 5*time.Second
	if inTime && cm.Data["k"] != "robot" {
		w.t.Errorf("the field is %q during the pause; want it left to the robot", cm.Data["k"])
	}
	if n := w.Traffic.Count(testplane.Writes("configmaps")); inTime && n > 2 {
		w.t.Errorf("the controller wrote %d times during the pause; want it to have backed off", n)
	}
	stop()
	w.Wait("the field is put back after the pause", cm, func() bool { return cm.Data["k"] == "1" })
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored(hr.Name)); diff != "" {
		w.t.Errorf("stored (-want +got):\n%s", diff)
	}
	return inTime
}

// appliedAt is when an object was last applied, in whole seconds: not later than we know of it.
func appliedAt(obj client.Object) time.Time {
	for _, m := range obj.GetManagedFields() {
		if m.Manager == us && m.Operation == metav1.ManagedFieldsOperationApply {
			return m.Time.Time
		}
	}
	return time.Time{}
}

// fight sets a key of a ConfigMap to the name of the manager as soon as it has another
// value, until stop is called.
func (w *world) fight(name, manager, key string) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cm := w.configMap(name)
		for ctx.Err() == nil {
			err := w.Client.Get(ctx, client.ObjectKeyFromObject(cm), cm)
			if err == nil && cm.Data[key] != manager {
				patch := fmt.Sprintf(`{"data":{%q:%q}}`, key, manager)
				err = w.Client.Patch(ctx, cm, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(manager))
			}
			if err != nil && ctx.Err() == nil {
				w.t.Errorf("fighting: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return sync.OnceFunc(func() { cancel(); <-ended })
}
