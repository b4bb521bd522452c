package apply

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and annotations by which an object asks for an exception; either will do.
const (
	keyReconcile = "kustomize.toolkit.fluxcd.io/reconcile"
	keySSA       = "kustomize.toolkit.fluxcd.io/ssa"
	keyPrune     = "kustomize.toolkit.fluxcd.io/prune"
	keyForce     = "kustomize.toolkit.fluxcd.io/force"
)

// Wishes are what an object asks for, in the source or in the cluster. A user who
// annotates a live object is heard as well as one who commits.
type Wishes struct {
	// LeaveAlone: neither apply it nor delete it.
	LeaveAlone bool
	// CreateOnly: apply it only if it does not exist. Counts in the source only.
	CreateOnly bool
	// Keep: never delete it.
	Keep bool
	// Recreate: delete it and create it anew if it cannot be changed in place.
	Recreate bool
}

// WishesOf returns what obj asks for. The case of values does not matter.
func WishesOf(obj metav1.Object) Wishes {
	asks := func(key, value string) bool {
		return strings.EqualFold(obj.GetLabels()[key], value) || strings.EqualFold(obj.GetAnnotations()[key], value)
	}
	w := Wishes{
		LeaveAlone: asks(keyReconcile, "disabled") || asks(keySSA, "Ignore"),
		CreateOnly: asks(keySSA, "IfNotPresent"),
		Recreate:   asks(keyForce, "enabled"),
	}
	w.Keep = w.LeaveAlone || asks(keyPrune, "disabled")
	return w
}

// exempt reports whether an object that is wanted as desired and seen as live must not
// be written.
func exempt(desired Wishes, live Live) bool {
	return desired.LeaveAlone || live.Wishes.LeaveAlone || desired.CreateOnly && live.Exists()
}
