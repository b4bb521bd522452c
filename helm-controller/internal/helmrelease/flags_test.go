package helmrelease_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
)

// TestShards: one HelmRelease is another controller's. What depends on it waits all the
// same, and looks again after the time that a flag says: it is in no cache here.
func TestShards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--watch-label-selector=sharding.fluxcd.io/key=one", "--requeue-dependency=1s")
	w.publish(demo(t, "1.0.0"))
	other := w.release("other")
	ours := w.release("ours", dependsOn("other", ""))
	w.Patch(ours, "test", "metadata: {labels: {sharding.fluxcd.io/key: one}}")
	w.waitMessage(ours, helmv2.ConditionReady, "dependency '"+w.Namespace+"/other' is not ready")
	w.waitEvent(ours, corev1.EventTypeNormal, helmv2.ReasonDependencyNotReady, "retrying in 1s")

	// What the controller of the other shard does in the end.
	w.Get(other)
	other.Status.ObservedGeneration = other.Generation
	other.Status.Conditions = []metav1.Condition{{
		Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: helmv2.ReasonInstallSucceeded, LastTransitionTime: metav1.Now(),
	}}
	if err := w.Client.Status().Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.waitReleased(ours, 1)
	if w.Get(other); len(other.Finalizers) > 0 || len(w.stored("other")) > 0 {
		t.Errorf("the HelmRelease of another shard was reconciled: %v, %q", other.Finalizers, w.stored("other"))
	}
	w.Patch(other, "test", "metadata: {labels: {sharding.fluxcd.io/key: one}}") // it moves to this one
	w.waitReleased(other, 1)
}

// TestManagerThatIsOverridden: what another tool has set is taken over, as if it were that
// of kubectl; what nobody has said it about stays.
func TestManagerThatIsOverridden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--override-manager=tool")
	there := w.configMap("app")
	there.Data = map[string]string{"k": "0", "other": "old"}
	w.Create(there)
	w.Patch(there, "tool", "data: {more: old}")
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.Get(there)
	if _, more := there.Data["more"]; more || there.Data["other"] != "old" || there.Data["k"] != "1" {
		t.Errorf("ConfigMap has %v; want what the tool added to be gone, and the rest to be there", there.Data)
	}
	w.settle()
	w.Patch(there, "tool", "data: {more: new}")
	w.Wait("the field is removed again", there, func() bool { _, more := there.Data["more"]; return !more })
}

// TestConfigsThatAskForRuns are those that a selector selects. Others are read by the next
// run.
func TestConfigsThatAskForRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--watch-configs-label-selector=reconcile.fluxcd.io/watch=Enabled")
	w.publish(demo(t, "1.0.0"))
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Data: map[string]string{"values.yaml": "k: one\n"}}
	w.Create(config)
	selected := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "selected", Labels: map[string]string{"reconcile.fluxcd.io/watch": "Enabled"}},
		Data:       map[string]string{"values.yaml": "k: one\n"},
	}
	w.Create(selected)
	from := func(name string) func(*helmv2.HelmReleaseSpec) {
		return func(s *helmv2.HelmReleaseSpec) {
			s.ValuesFrom = []meta.ValuesReference{{Kind: "ConfigMap", Name: name}}
		}
	}
	hr, other := w.release("app", from("more")), w.release("other", from("selected"))
	w.waitReleased(hr, 1)
	w.waitReleased(other, 1)
	w.settle()
	runs := w.runs(hr)
	w.Patch(config, "test", "data: {values.yaml: 'k: two'}")
	w.Patch(selected, "test", "data: {values.yaml: 'k: two'}") // which would be seen after the other
	w.waitReleased(other, 2)
	if now := w.runs(hr); now != runs {
		t.Errorf("there were %d more runs; want none to be asked for", now-runs)
	}
	w.expectValue("app", "one")
	w.Poke(hr)
	w.waitReleased(hr, 2)
	w.expectValue("app", "two")
	w.Patch(config, "test", "{metadata: {labels: {reconcile.fluxcd.io/watch: Enabled}}, data: {values.yaml: 'k: three'}}")
	w.waitReleased(hr, 3) // at once
	w.expectValue("app", "three")
}
