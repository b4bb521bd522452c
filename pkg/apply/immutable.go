package apply

import (
	"context"
	"regexp"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// immutableText are the ways in which the API server and CRDs say that a field
// cannot be changed. It has no reason or cause of its own for that.
var immutableText = regexp.MustCompile(`(?i)immutable|may not change once set|` +
	`updates to \S+ (spec|parameters|provisioner|reclaimPolicy|volumeBindingMode)?.*(for fields other than|are forbidden)|cannot change roleRef`)

// immutable reports whether err says that the object cannot be changed in place.
// Other invalid input is not a case for deleting anything.
func immutable(err error) bool {
	return (apierrors.IsInvalid(err) || apierrors.IsForbidden(err)) && immutableText.MatchString(err.Error())
}

// mayRecreate reports whether the object of w may be deleted in order to be changed.
func (e *Engine) mayRecreate(w *write, req Request) bool {
	return req.Force || WishesOf(w.Object).Recreate || e.tracker.Recall(w.ID).Live.Wishes.Recreate
}

// clear deletes the object of w and returns when it is gone.
func (e *Engine) clear(ctx context.Context, w *write) error {
	ns, name := w.Object.GetNamespace(), w.Object.GetName()
	live, err := e.client.getMetadata(ctx, w.target, ns, name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	uid := live.GetUID()
	if err := e.client.delete(ctx, w.target, ns, name, metav1.Preconditions{UID: &uid}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return e.gone(ctx, w.target, live)
}

// gone waits until an object that is being deleted does not exist any more.
// Deletion is usually over with the first look, so that a watch would cost more.
func (e *Engine) gone(ctx context.Context, t target, live *unstructured.Unstructured) error {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		now, err := e.client.getMetadata(ctx, t, live.GetNamespace(), live.GetName())
		if apierrors.IsNotFound(err) || err == nil && now.GetUID() != live.GetUID() {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}
