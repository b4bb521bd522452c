package loop

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	sourcev1 "weir.dev/api/source/v1"
)

// keeper is the finalizer of somebody else, by which the object can be looked at
// when ours is gone.
const keeper = "example.com/keeper"

func TestDeletion(t *testing.T) {
	t.Parallel()
	broken := errFault.Error()
	tests := map[string]struct {
		why        string
		err        error // what Finalize returns
		after      time.Duration
		want       error
		conditions []metav1.Condition // nil: the finalizer is gone
	}{
		"lets go after a success": {why: "nothing is left to undo"},
		"lets go when done":       {why: "nothing is left to undo", err: Done()},
		"waits": {
			why: "objects need time to go", err: Wait("Blocked", 5*time.Second, "b is in the way"), after: 5 * time.Second,
			conditions: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", "b is in the way"),
				condition("Ready", "False", "Blocked", "b is in the way"),
			},
		},
		"makes progress": {
			why: "objects need time to go", err: Progress(6*time.Second, "2 objects left"), after: 6 * time.Second,
			conditions: []metav1.Condition{
				condition("Reconciling", "True", "Progressing", "2 objects left"),
				condition("Ready", "Unknown", "Progressing", "Reconciliation in progress"),
			},
		},
		"fails": {
			why: "a user must see why an object does not go", err: Fail("PruneFailed", errFault), want: errFault,
			conditions: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", broken),
				condition("Ready", "False", "PruneFailed", broken),
			},
		},
		"does not stall": {
			why: "no new spec will come", err: Stall("Invalid", errFault), want: errFault,
			conditions: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", broken),
				condition("Ready", "False", "Invalid", broken),
			},
		},
		"fails unjudged": {
			why: "an error that nobody has judged", err: errFault, want: errFault,
			conditions: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", broken),
				condition("Ready", "False", "Failed", broken),
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := requested(doomed(), "now")
			repo.Finalizers = append(repo.Finalizers, keeper)
			w := newWorld(t, repo)
			w.kind.finalize = func(context.Context, *sourcev1.GitRepository) error { return tc.err }
			result, err := w.run()
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("Reconcile returned %v, want %v (%s)", err, tc.want, tc.why)
			}
			if result.RequeueAfter != tc.after {
				t.Errorf("looks again after %v, want %v (%s)", result.RequeueAfter, tc.after, tc.why)
			}
			left, goes := w.get(), tc.conditions == nil
			if controllerutil.ContainsFinalizer(left, Finalizer) == goes {
				t.Errorf("finalizers are %v (%s)", left.Finalizers, tc.why)
			}
			sameConditions(t, left.Status.Conditions, tc.conditions...)
			if !goes && (left.Status.LastHandledReconcileAt != "now" || left.Status.ObservedGeneration != -1) {
				t.Errorf("status is %+v (%s)", left.Status, tc.why)
			}
			w.repeatsFinalize(goes)
		})
	}
}

// repeatsFinalize checks what the next run of a deletion does: nothing if the
// object goes, and else the same again, without saying so again.
func (w *world) repeatsFinalize(goes bool) {
	w.t.Helper()
	w.take()
	w.kind.calls = nil
	_, _ = w.run()
	w.wants()
	var want []string
	if !goes {
		want = []string{"Finalize"}
	}
	if diff := cmp.Diff(want, w.kind.calls); diff != "" {
		w.t.Errorf("calls of the next run (-want +got):\n%s", diff)
	}
}

func TestDeletionTellsOfAFailureOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doomed())
	w.kind.finalize = func(context.Context, *sourcev1.GitRepository) error { return Fail("PruneFailed", errFault) }
	var ready []string
	w.drive(watching{kind: w.kind, see: func(before, after *sourcev1.GitRepository) {
		ready = append(ready, reasonOfReady(before)+" -> "+reasonOfReady(after))
	}}, Options[*sourcev1.GitRepository]{})
	_, _ = w.run()
	_, _ = w.run()
	if diff := cmp.Diff([]string{" -> PruneFailed", "PruneFailed -> PruneFailed"}, ready); diff != "" {
		t.Errorf("Events saw (-want +got):\n%s", diff)
	}
}

// watching is a kind whose events are looked at.
type watching struct {
	*kind
	see func(before, after *sourcev1.GitRepository)
}

func (k watching) Events(before, after *sourcev1.GitRepository, _ Outcome) []Event {
	k.see(before, after)
	return nil
}

func reasonOfReady(repo *sourcev1.GitRepository) string {
	c, _ := find(repo.Status.Conditions, "Ready")
	return c.Reason
}

func TestDeletionOfASuspendedObject(t *testing.T) {
	t.Parallel()
	repo := doomed()
	repo.Spec.Suspend = true
	w := newWorld(t, repo)
	w.mustRun()
	if diff := cmp.Diff([]string{"Finalize"}, w.kind.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	w.wants(patch)
}

func TestDeletionThatIsNotOurs(t *testing.T) {
	t.Parallel()
	repo := doomed()
	repo.Finalizers = []string{keeper}
	w := newWorld(t, repo)
	w.mustRun()
	w.wants() // above all no finalizer, which the API server would refuse
	if len(w.kind.calls) > 0 {
		t.Errorf("called %v", w.kind.calls)
	}
}

func TestDeletionSavesOnItsWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doomed())
	w.kind.finalize = func(ctx context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = artifact("half gone")
		return w.loop.Save(ctx, repo)
	}
	w.mustRun() // the save must not make the finalizer's removal a conflict
	w.wants(patchStatus, patch)
}

func TestFinalizerIsDroppedOnce(t *testing.T) {
	t.Parallel()
	repo := doomed()
	repo.Finalizers = append(repo.Finalizers, keeper)
	w := newWorld(t, repo)
	w.cached = w.get()
	w.mustRun()
	w.mustRun() // the cache has yet to see that the finalizer is gone
	w.wants(patch)
	if diff := cmp.Diff([]string{"Finalize"}, w.kind.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestWhatIsGoneIsFinalizedOnce: the state by which an object ends has no newer version than
// the one of before, which the cache may still have.
func TestWhatIsGoneIsFinalizedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doomed())
	w.cached = w.get()
	w.mustRun()
	w.cached.ResourceVersion = "999999"
	w.mustRun()
	w.wants(patch)
	if diff := cmp.Diff([]string{"Finalize"}, w.kind.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestFinalizerCannotBeDropped(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		fault error
		err   bool
	}{
		"an error is an error":          {why: "the object must not stay for ever", fault: errFault, err: true},
		"an object that is gone is not": {why: "that is what was wanted", fault: gone()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doomed())
			w.before = func(string) error { return tc.fault }
			if _, err := w.run(); (err != nil) != tc.err {
				t.Errorf("Reconcile returned %v (%s)", err, tc.why)
			}
		})
	}
}

func TestForeignFinalizerSurvives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doomed())
	w.before = once(patch, func() error {
		w.somebody(func(r *sourcev1.GitRepository) { r.Finalizers = append([]string{keeper}, r.Finalizers...) }, nil)
		return nil
	})
	if _, err := w.run(); !apierrors.IsConflict(err) {
		t.Errorf("Reconcile returned %v, want a conflict: the list is replaced whole", err)
	}
	w.mustRun()
	if diff := cmp.Diff([]string{keeper}, w.get().Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
}
