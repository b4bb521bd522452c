package kustomization

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/loop"
)

// Finalize implements loop.Reconciler: it deletes the objects, if the deletion
// policy says so.
func (r *Reconciler) Finalize(ctx context.Context, ks *kustomizev1.Kustomization) error {
	set, err := inventory.Decode(ks.Status.Inventory)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonPruneFailed, err)
	}
	m := r.known.of(ks.UID)
	m.begin()
	if deletes(ks) && len(set) > 0 {
		p, err := r.engine.Prune(ctx, set, ownedBy(ks))
		m.changes = p.Changes
		if err != nil {
			return loop.Fail(kustomizev1.ReasonPruneFailed, fmt.Errorf("pruning for deleted resource failed: %w", err))
		}
		if ks.GetDeletionPolicy() == kustomizev1.DeletionPolicyWaitForTermination {
			r.waitGone(ctx, ks, set)
		}
	}
	for id := range set {
		r.drift.Forget(id)
	}
	r.health.Await(client.ObjectKeyFromObject(ks), nil)
	return nil
}

// waitGone waits until the objects are gone, but no longer than the timeout: then
// the Kustomization goes without them.
func (r *Reconciler) waitGone(ctx context.Context, ks *kustomizev1.Kustomization, set inventory.Set) {
	ctx, cancel := context.WithTimeout(ctx, ks.GetTimeout())
	defer cancel()
	left, err := r.engine.WaitGone(ctx, set)
	if err != nil || len(left) > 0 {
		log.FromContext(ctx).Info("failed to wait for resources termination", "left", len(left), "error", err)
	}
}

// deletes reports whether the objects go with a Kustomization.
func deletes(ks *kustomizev1.Kustomization) bool {
	if ks.Spec.Suspend {
		return false
	}
	switch ks.GetDeletionPolicy() {
	case kustomizev1.DeletionPolicyOrphan:
		return false
	case kustomizev1.DeletionPolicyMirrorPrune:
		return ks.Spec.Prune
	default:
		return true
	}
}
