package loop

import (
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// Asked lets pass what asks for a run: a new or deleted object, or one in the place
// of another of its name, a new generation, or a new value of the annotation
// reconcile.fluxcd.io/requestedAt. Our own status writes do not.
func Asked() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
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

// Observer is an object whose status tells what was seen of it.
type Observer interface {
	client.Object
	GetObservedGeneration() int64
	GetLastHandledReconcileAt() string
}

// Awaited reports whether somebody waits for this run of obj: it is none that the interval
// or a failure brought about. Who has changed a Secret and asks for a run expects it to be
// read.
func Awaited(obj Observer) bool {
	request, ok := RequestedAt(obj)
	return obj.GetGeneration() != obj.GetObservedGeneration() || ok && request != obj.GetLastHandledReconcileAt()
}
