package kustomization_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestDependencyOfAnotherShard: it is in no cache of this controller, and never
// reconciled by it.
func TestDependencyOfAnotherShard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--watch-label-selector=sharding.fluxcd.io/key=one", "--requeue-dependency=1s")
	rev := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	other := w.kustomization("other", "")
	ours := w.kustomization("ours", "", func(s *kustomizev1.KustomizationSpec) { s.DependsOn = []meta.DependencyReference{{Name: "other"}} })
	w.Patch(ours, "test", "metadata: {labels: {sharding.fluxcd.io/key: one}}")
	w.waitMessage(ours, kustomizev1.ConditionReady, "dependency '"+w.Namespace+"/other' is not ready")

	// What the controller of the other shard does in the end.
	w.Get(other)
	other.Status.ObservedGeneration, other.Status.LastAppliedRevision = other.Generation, rev
	other.Status.Conditions = []metav1.Condition{{
		Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: kustomizev1.ReasonReconciliationSucceeded, LastTransitionTime: metav1.Now(),
	}}
	if err := w.Client.Status().Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.waitApplied(ours, rev)
	if w.Get(other); len(other.Finalizers) > 0 || other.Status.Inventory != nil {
		t.Errorf("the Kustomization of another shard was reconciled: %v, %v", other.Finalizers, other.Status.Inventory)
	}
}
