package kustomization_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/testplane"
)

func TestFieldChangedByHandIsPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))
	w.settle()

	w.Traffic.Reset()
	cm := w.configMap("a")
	w.Patch(cm, "night-shift", "data: {k: '5', other: stays}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
	e := w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "night-shift")
	if want := fmt.Sprintf(`ConfigMap/%s/a: data.k "1" -> "5" by night-shift at `, w.Namespace); !strings.HasPrefix(e.Message, want) || !strings.HasSuffix(e.Message, "Z, restored") {
		t.Errorf("the event says %q; want it to begin with %q", e.Message, want)
	}
	if cm.Data["other"] != "stays" {
		t.Errorf("ConfigMap has %v; want the key of somebody else to stay", cm.Data)
	}
	w.settle()
	w.expectRequests("a look and an apply", map[string]int{"GET configmaps": 1, "PATCH configmaps": 1, "POST events": 1})
}

func TestObjectDeletedByHandIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	w.settle()

	w.Traffic.Reset()
	cm := w.configMap("a")
	w.Get(cm)
	old := cm.UID
	if err := w.Client.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	w.Wait("another one", cm, func() bool { return cm.UID != old })
	e := w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected)
	if want := fmt.Sprintf("ConfigMap/%s/a: deleted, restored", w.Namespace); e.Message != want {
		t.Errorf("the event says %q; want %q", e.Message, want)
	}
	w.settle()
	w.expectRequests("a look and an apply", map[string]int{"GET configmaps": 1, "PATCH configmaps": 1, "POST events": 1})
}

func TestObjectThatLostItsLabelsIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	cm := w.configMap("a")
	w.Get(cm)
	old := cm.UID
	w.Patch(cm, "kubectl-label", fmt.Sprintf("metadata: {labels: {%s: null}}", kustomizev1.LabelName))
	w.Wait("the label is back", cm, func() bool { return cm.Labels[kustomizev1.LabelName] == "app" })
	if cm.UID != old {
		t.Error("the object was created anew; want it to be mended")
	}
	w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "metadata.labels."+kustomizev1.LabelName, "-> nothing")
}

func TestSecretValuesAreNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{
		"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: NS}\nstringData: {password: from-the-source}\n",
	}))
	s := &corev1.Secret{}
	s.Namespace, s.Name = w.Namespace, "s"
	w.Get(s)
	w.Patch(s, "night-shift", "stringData: {password: by-hand-at-night}")
	w.Wait("the value is put back", s, func() bool { return string(s.Data["password"]) == "from-the-source" })
	w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "data.password *** -> *** by night-shift")
	w.publish(map[string]string{
		"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: NS}\ndata: {password: not-in-base-64!}\n",
	})
	c := w.WaitCondition(ks, kustomizev1.ConditionReady, "False", kustomizev1.ReasonReconciliationFailed)
	for _, text := range append(messages(w.events(ks)), c.Message) {
		for _, value := range []string{"from-the-source", "by-hand-at-night", "not-in-base-64", "ZnJvbS10aGUtc291cmNl", "YnktaGFuZC1hdC1uaWdodA"} {
			if strings.Contains(text, value) {
				t.Errorf("%q tells a value of the Secret", text)
			}
		}
	}
}

func TestEditsInARowAreAllUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	cm := w.configMap("a")
	for i := range 4 { // as fast as a machine, but not as long
		w.Patch(cm, "night-shift", fmt.Sprintf("data: {k: by-hand-%d}", i))
		w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
	}
}

func TestFightBacksOffForTheFieldAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	tree, names := make(map[string]string), []string{"a", "b", "c"}
	for _, name := range names {
		tree[name+".yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: NS}\ndata: {fought: ours, quiet: ours}\n"
	}
	w.waitApplied(ks, w.publish(tree))
	w.settle()
	for _, name := range names {
		if w.backsOff(ks, name) {
			return
		}
	}
	t.Error("on each of three objects the pause was over before anybody looked")
}

// backsOff fights for a field of a ConfigMap and fails the test unless the controller leaves
// it alone for a while, and nothing else of the object. It reports whether that was seen
// before the while was over, as it may not be on a busy machine.
func (w *world) backsOff(ks *kustomizev1.Kustomization, name string) bool {
	w.t.Helper()
	stop := w.fight(name, "robot", "fought")
	defer stop()
	e := w.waitEvent(ks, corev1.EventTypeWarning, kustomizev1.ReasonDriftContested, "/"+name+": ", "data.fought", "by robot", "restored 5 times", "left alone for 5s")
	w.Traffic.Reset()
	cm := w.configMap(name)
	w.Wait("the robot has the field", cm, func() bool { return cm.Data["fought"] == "robot" })
	restored := appliedAt(cm)
	w.Patch(cm, "night-shift", "data: {quiet: by-hand}")
	w.Wait("the other field is put back", cm, func() bool { return cm.Data["quiet"] == "ours" })
	inTime := !restored.After(e.LastTimestamp.Time) && time.Since(restored) < 5*time.Second
	if inTime && cm.Data["fought"] != "robot" {
		w.t.Errorf("the field is %q during the pause; want it left to the robot", cm.Data["fought"])
	}
	if n := w.Traffic.Count(func(r testplane.Request) bool { return r.Resource == "configmaps" && r.Method == http.MethodPatch }); inTime && n > 2 {
		w.t.Errorf("the controller wrote %d times during the pause; want it to have backed off", n)
	}

	stop()
	w.Wait("the field is put back after the pause", cm, func() bool { return cm.Data["fought"] == "ours" })
	return inTime
}

// appliedAt is when an object was last applied, in whole seconds: not later than we know of it.
func appliedAt(obj client.Object) time.Time {
	for _, m := range obj.GetManagedFields() {
		if m.Manager == "kustomize-controller" && m.Operation == metav1.ManagedFieldsOperationApply {
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
	return func() { cancel(); <-ended }
}

// expectRequests fails the test unless the controller asked just this of the API
// server since the last Reset.
func (w *world) expectRequests(why string, want map[string]int) {
	w.t.Helper()
	got := make(map[string]int)
	for _, r := range w.Traffic.Requests() {
		if !r.Watch {
			got[r.Method+" "+r.Resource]++
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) { // maps are printed in the order of keys
		w.t.Errorf("requests are %v; want %v: %s", got, want, why)
	}
}

// messages are the texts of events.
func messages(list []corev1.Event) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Message
	}
	return out
}
