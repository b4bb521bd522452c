// Package await waits until an object is as somebody wants it, by watching it. Whether it
// is, a pure function on the object decides.
//
// Who waits in vain is told what the object says of itself, not that time is over.
package await

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// again is how long to wait before the API server is asked again, after a watch that has
// ended or a request that has failed.
const again = time.Second

// Verdict says how far an object is. The zero value is: not yet.
type Verdict struct {
	// Done ends the waiting: well, unless Err is set.
	Done bool
	Err  error
	// Why says what is missing yet.
	Why string
	// Soon says that all of that is in the course of things: the object itself complains of
	// nothing.
	Soon bool
}

// Condition decides on an object: nil if there is none.
type Condition func(*unstructured.Unstructured) Verdict

// Target is the object that is waited for.
type Target struct {
	GVK schema.GroupVersionKind
	Key types.NamespacedName
}

// String names the target as manifests do.
func (t Target) String() string {
	return fmt.Sprintf("%s/%s/%s", t.GVK.Kind, t.Key.Namespace, t.Key.Name)
}

// Of returns the target that obj is.
func Of(obj client.Object) Target {
	return Target{GVK: obj.GetObjectKind().GroupVersionKind(), Key: client.ObjectKeyFromObject(obj)}
}

// For waits until ok holds of the target, and returns the object as it then is: nil if it
// is gone. What the object complains of is told to report, if there is one, whenever that
// changes.
func For(ctx context.Context, c client.WithWatch, target Target, ok Condition, report func(why string)) (*unstructured.Unstructured, error) {
	w := &waiter{client: c, target: target, ok: ok, report: report}
	for {
		done, err := w.follow(ctx)
		if ctx.Err() != nil && !done {
			return w.last, w.inVain(context.Cause(ctx))
		}
		if done || Lasting(err) {
			return w.last, err
		}
		if err != nil { // as of an API server that starts anew
			w.complain(err.Error())
		}
		if cause := Pause(ctx, again); cause != nil {
			return w.last, w.inVain(cause)
		}
	}
}

// Lasting reports whether an error of the API server is the same however often it is asked.
func Lasting(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) ||
		apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err) || apimeta.IsNoMatchError(err)
}

// waiter is one wait.
type waiter struct {
	client  client.WithWatch
	target  Target
	ok      Condition
	report  func(string)
	last    *unstructured.Unstructured
	verdict Verdict
}

// follow reads the object and watches it until it is as wanted, or the watch ends.
func (w *waiter) follow(ctx context.Context) (done bool, err error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(w.target.GVK.GroupVersion().WithKind(w.target.GVK.Kind + "List"))
	only := []client.ListOption{client.InNamespace(w.target.Key.Namespace), client.MatchingFields{"metadata.name": w.target.Key.Name}}
	if err := w.client.List(ctx, list, only...); err != nil {
		return false, fmt.Errorf("reading %s: %w", w.target, err)
	}
	var now *unstructured.Unstructured
	if len(list.Items) > 0 {
		now = &list.Items[0]
	}
	if w.judge(now) {
		return true, w.verdict.Err
	}
	changes, err := w.client.Watch(ctx, list, append(only, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}})...)
	if err != nil {
		return false, fmt.Errorf("watching %s: %w", w.target, err)
	}
	defer changes.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case e, open := <-changes.ResultChan():
			if !open || e.Type == watch.Error {
				return false, nil // read anew
			}
			obj, _ := e.Object.(*unstructured.Unstructured)
			if e.Type == watch.Deleted {
				obj = nil
			}
			if w.judge(obj) {
				return true, w.verdict.Err
			}
		}
	}
}

// judge keeps the object and reports whether the waiting is over.
func (w *waiter) judge(obj *unstructured.Unstructured) bool {
	before := w.verdict.Why
	w.last, w.verdict = obj, w.ok(obj)
	if why := w.verdict.Why; w.report != nil && why != "" && why != before && !w.verdict.Soon {
		w.report(why)
	}
	return w.verdict.Done
}

// complain keeps and reports what stands in the way of looking at the object.
func (w *waiter) complain(why string) {
	if w.report != nil && why != w.verdict.Why {
		w.report(why)
	}
	w.verdict = Verdict{Why: why}
}

// Pause waits for a while. The error is why ctx has ended before.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// inVain says why the object is not as it was wanted.
func (w *waiter) inVain(cause error) error {
	var said []string
	told := make(map[string]bool)
	for _, c := range readyFirst(conditions(w.last)) {
		if interesting(c) && !told[c.Message] {
			told[c.Message] = true
			said = append(said, fmt.Sprintf("%s is %s: %s: %s", c.Type, c.Status, c.Reason, c.Message))
		}
	}
	if w.verdict.Why != "" && !told[w.verdict.Why] {
		said = append(said, w.verdict.Why)
	}
	if len(said) == 0 {
		return fmt.Errorf("waiting for %s: %w", w.target, cause)
	}
	return fmt.Errorf("waiting for %s: %w\n  %s", w.target, cause, strings.Join(said, "\n  "))
}

// readyFirst sorts conditions so that the one that sums up the others comes first.
func readyFirst(all []metav1.Condition) []metav1.Condition {
	slices.SortStableFunc(all, func(a, b metav1.Condition) int {
		return cmp.Compare(rank(a), rank(b))
	})
	return all
}

func rank(c metav1.Condition) int {
	if c.Type == meta.ReadyCondition {
		return 0
	}
	return 1
}

// interesting are conditions that say what is missing.
func interesting(c metav1.Condition) bool {
	if c.Type == meta.ReadyCondition {
		return c.Status != metav1.ConditionTrue
	}
	return c.Type == meta.StalledCondition || c.Type == meta.ReconcilingCondition || c.Status == metav1.ConditionFalse
}

// ErrGone says that the object that was waited for does not exist.
var ErrGone = errors.New("it does not exist")
