package apply

import (
	"context"
	"errors"
	"regexp"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// immutableText are the ways in which the API server and CRDs say of a field that it
// cannot be changed. It has no reason or cause of its own for that. What stands before
// the last colon may be the value that was refused, which says nothing.
var immutableText = regexp.MustCompile(`(?is)^(?:` +
	`Invalid value: .*: [^:]*\bimmutable\b[^:]*|Forbidden: [^:]*\bimmutable\b.*|(?:Invalid value: .*|Forbidden): (?:` +
	`may not change once set|may not be changed in an update\.|cannot change roleRef|` +
	`can only be modified in tandem with spec\.parallelism|pod updates may not change fields other than .*|` +
	`updates to \w+ spec for fields other than .*|updates to \w+ are forbidden\.))$`)

// immutable reports whether err says that the object cannot be changed in place, and
// nothing else. Any other mistake would be in the new object as well: to delete the
// old one would leave nothing. A policy that denies the change gives no reason that is
// about a field, and would deny the new object.
func immutable(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.Status().Details == nil {
		return false
	}
	causes := status.Status().Details.Causes
	for _, c := range causes {
		if c.Type != metav1.CauseTypeFieldValueInvalid && c.Type != metav1.CauseType("FieldValueForbidden") || !immutableText.MatchString(c.Message) {
			return false
		}
	}
	return len(causes) > 0
}

// mayRecreate reports whether the object of w may be deleted in order to be changed.
func (e *Engine) mayRecreate(w *write, req Request) bool {
	return req.Force || w.wishes.Recreate || e.tracker.Recall(w.ID).Live.Wishes.Recreate
}

// errReplaced says that an object is another one than was looked at. The next run looks
// again.
var errReplaced = errors.New("it was replaced by another one meanwhile")

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
	switch err := e.client.delete(ctx, w.target, ns, name, metav1.Preconditions{UID: &uid}); {
	case apierrors.IsConflict(err):
		return errReplaced
	case err != nil && !apierrors.IsNotFound(err):
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
