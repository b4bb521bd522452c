package apply

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
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
	// Merge: take over no fields of others.
	Merge bool
}

// WishesOf returns what obj asks for, by the labels or annotations that Kustomizations
// heed; either will do. The case of values does not matter.
func WishesOf(obj metav1.Object) Wishes {
	labels, annotations := obj.GetLabels(), obj.GetAnnotations()
	asks := func(key, value string) bool {
		return strings.EqualFold(labels[key], value) || strings.EqualFold(annotations[key], value)
	}
	w := Wishes{
		LeaveAlone: asks(kustomizev1.KeyReconcile, kustomizev1.ValueDisabled) || asks(kustomizev1.KeySSA, kustomizev1.ValueIgnore),
		CreateOnly: asks(kustomizev1.KeySSA, kustomizev1.ValueIfNotPresent),
		Recreate:   asks(kustomizev1.KeyForce, kustomizev1.ValueEnabled),
		Merge:      asks(kustomizev1.KeySSA, kustomizev1.ValueMerge),
	}
	w.Keep = w.LeaveAlone || asks(kustomizev1.KeyPrune, kustomizev1.ValueDisabled)
	return w
}

// NoWishes is for those who heed none.
func NoWishes(metav1.Object) Wishes { return Wishes{} }

// exempt reports whether an object that is wanted as desired and seen as live must not
// be written.
func exempt(desired Wishes, live Live) bool {
	return desired.LeaveAlone || live.Wishes.LeaveAlone || desired.CreateOnly && live.Exists()
}
