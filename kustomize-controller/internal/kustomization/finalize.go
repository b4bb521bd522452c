package kustomization

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
)

// lookAgain is when objects that are being deleted are looked at again at the latest.
// Their end is noticed at once.
const lookAgain = 10 * time.Second

// Finalize implements loop.Reconciler: it deletes the objects, if the deletion
// policy says so. No worker is held while their end is awaited.
func (r *Reconciler) Finalize(ctx context.Context, ks *kustomizev1.Kustomization) error {
	set, err := inventoryOf(ks)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonPruneFailed, err)
	}
	m := r.known.of(ks.UID)
	m.begin()
	if deletes(ks) && len(set) > 0 {
		if err := r.deleteAll(ctx, ks, m, set); err != nil {
			return err
		}
	}
	r.leave(ks)
	return nil
}

// leave forgets what was applied.
func (r *Reconciler) leave(ks *kustomizev1.Kustomization) {
	owner := client.ObjectKeyFromObject(ks)
	r.clusters.Leave(owner)
	r.metrics.forget(owner)
	r.wakes.Take(owner)
	r.dependencies.Forget(owner)
	if r.opts.Configs != nil {
		r.opts.Configs.Forget(userOf(ks))
	}
}

// deleteAll deletes the objects, and waits for their end if the policy says so. When
// they cannot be reached any more, they are left: a namespace must be able to go.
func (r *Reconciler) deleteAll(ctx context.Context, ks *kustomizev1.Kustomization, m *memory, set inventory.Set) error {
	gone, err := r.access.Missing(ctx, r.tenantOf(ks))
	if err != nil {
		return loop.Fail(kustomizev1.ReasonPruneFailed, fmt.Errorf("pruning for deleted resource failed: %w", err))
	}
	if gone != "" {
		log.FromContext(ctx).Info("the objects are left, for what it takes to delete them is gone", "missing", gone, "objects", len(set))
		m.left = fmt.Sprintf("unable to prune objects: '%s/%s', which is needed to reach them, is gone; %d objects are left", ks.Namespace, gone, len(set))
		return nil
	}
	at, err := r.access.Enter(ctx, r.tenantOf(ks))
	if err != nil {
		return loop.Fail(kustomizev1.ReasonPruneFailed, fmt.Errorf("pruning for deleted resource failed: %w", err))
	}
	if err := r.pruneAll(ctx, ks, at, m, set); err != nil {
		return err
	}
	return r.awaitEnd(ctx, ks, at, m.pruned)
}

// pruneAll deletes the objects, once, and remembers which are going.
func (r *Reconciler) pruneAll(ctx context.Context, ks *kustomizev1.Kustomization, at *tenant.Place, m *memory, set inventory.Set) error {
	if m.pruned != nil {
		return nil
	}
	p, err := at.Engine.Prune(ctx, set, ownedBy(ks))
	m.changes = deleted(p.Changes)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonPruneFailed, fmt.Errorf("pruning for deleted resource failed: %w", err))
	}
	m.pruned = make(inventory.Set, len(m.changes))
	for _, c := range m.changes {
		m.pruned[c.ID] = set[c.ID]
	}
	return nil
}

// awaitEnd waits until the objects are gone if the policy says so, but no longer than
// the timeout: then the Kustomization goes without them.
func (r *Reconciler) awaitEnd(ctx context.Context, ks *kustomizev1.Kustomization, at *tenant.Place, set inventory.Set) error {
	if ks.GetDeletionPolicy() != kustomizev1.DeletionPolicyWaitForTermination {
		return nil
	}
	left, err := at.Engine.Left(ctx, set)
	if err != nil {
		return loop.Fail(kustomizev1.ReasonPruneFailed, fmt.Errorf("waiting for the end of objects: %w", err))
	}
	if len(left) == 0 {
		return nil
	}
	remaining := time.Until(ks.DeletionTimestamp.Add(ks.GetTimeout()))
	if remaining <= 0 {
		log.FromContext(ctx).Info("gave up waiting for the end of objects", "left", len(left), "timeout", ks.GetTimeout().String())
		return nil
	}
	at.Health.Await(client.ObjectKeyFromObject(ks), left)
	return loop.Progress(min(remaining, lookAgain), "waiting for the end of %d objects", len(left))
}

// deleted returns the changes that are deletions.
func deleted(changes []apply.Change) []apply.Change {
	return slices.DeleteFunc(changes, func(c apply.Change) bool { return c.Effect != apply.Deleted })
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
