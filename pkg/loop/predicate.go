package loop

import (
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// Asked lets pass what asks for a run: a new or deleted object, a new
// generation, or a new value of the annotation reconcile.fluxcd.io/requestedAt.
// Our own status writes do not.
func Asked() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
			return true
		}
		if !e.ObjectNew.GetDeletionTimestamp().IsZero() && e.ObjectOld.GetDeletionTimestamp().IsZero() {
			return true
		}
		before, _ := RequestedAt(e.ObjectOld)
		after, ok := RequestedAt(e.ObjectNew)
		return ok && before != after
	}}
}
