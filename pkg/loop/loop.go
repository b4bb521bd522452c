// Package loop drives the reconciliation of one kind of API object, so that a
// kind's own code is a list of steps and nothing else.
//
// It promises to a kind that Reconcile is called with a private copy of the
// newest known object, holding the finalizer and neither suspended nor being
// deleted; that the status it leaves in that copy is written with one patch,
// and only if it differs; that the conditions Ready, Reconciling and Stalled,
// observedGeneration and lastHandledReconcileAt follow from the error that
// Reconcile returned; that events come from the difference of the status before
// and after; and that the next run is timed. A run that changes nothing makes no
// request to the API server. A deletion that has to wait or fails says so in the
// same way.
//
// It leaves to the kind its own conditions and status fields, set through
// Report and the steps, and the words of its events.
package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/fluxcd/pkg/runtime/metrics"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Finalizer is the finalizer of every kind of the API.
const Finalizer = "finalizers.fluxcd.io"

// Object is an API object that a Loop can drive. The types of weir.dev/api are.
type Object interface {
	conditions.Setter

	// IsSuspended reports whether the user has stopped reconciliation.
	IsSuspended() bool
	// GetInterval returns the time between two runs that succeed.
	GetInterval() time.Duration
	// SetObservedGeneration records the generation that was carried out.
	SetObservedGeneration(generation int64)
	// SetLastHandledReconcileAt records the value of the annotation
	// reconcile.fluxcd.io/requestedAt that was acted upon.
	SetLastHandledReconcileAt(token string)
}

// Reconciler is what a kind brings.
type Reconciler[T Object] interface {
	// Reconcile makes the world match the spec of obj and records what it saw in
	// the status of obj. It returns nil, or an error made by Stall, Fail, Wait or
	// Progress; any other error counts as Fail with the reason "Failed".
	Reconcile(ctx context.Context, obj T) error

	// Finalize undoes what Reconcile did, before obj is gone for good. It is
	// repeated until it returns nil; Stall is no way out and counts as Fail.
	Finalize(ctx context.Context, obj T) error

	// Report sets the conditions that only this kind has, after a run that ended
	// with out, and returns the reason and the message of Ready for a success.
	Report(obj T, out Outcome) (reason, message string)

	// Events tells what a run did, or a call of Finalize, as the difference of two
	// states of an object.
	Events(before, after T, out Outcome) []Event
}

// Suspender is a Reconciler that keeps its status current while suspended. That
// a request for a run was seen is recorded for every kind: it does not fire when
// the object is resumed.
type Suspender[T Object] interface {
	Suspend(obj T)
}

// Abstainer is a Reconciler that leaves some objects alone: they hold what other
// kinds read, and there is nothing to reconcile. Such an object gets no finalizer and
// has an empty status, even if it was reconciled before its spec said so.
type Abstainer[T Object] interface {
	// Abstains reports whether obj is such an object.
	Abstains(obj T) bool
	// Withdraw undoes what Reconcile did for obj, and empties its status. It is
	// called while obj has a finalizer or a status; an error repeats it.
	Withdraw(ctx context.Context, obj T) error
}

// Summariser is a Reconciler whose Ready may say more than how the run ended, such as what
// went wrong before nothing more was tried.
type Summariser[T Object] interface {
	// Summarise is called when Ready, Reconciling and Stalled say how the run ended, and
	// may change what Ready says.
	Summarise(obj T, out Outcome)
}

// Forgetter is a Reconciler that keeps something for each object. An object can go without
// Finalize, if somebody takes its finalizer off, or if it is selected no more.
type Forgetter interface {
	// Forget is called in the place of a run of an object that is not there any more. It may
	// be called again, and for an object that was never there; an error repeats it.
	Forget(ctx context.Context, key types.NamespacedName) error
}

// Options tune a Loop. The zero value never jitters and retries by backoff.
type Options[T Object] struct {
	// FieldOwner is the field manager of status and finalizer writes; required.
	FieldOwner string
	// Jitter spreads the interval by up to this fraction in both directions.
	Jitter float64
	// RetryInterval returns the fixed time after which a failed run is repeated.
	// nil means the exponential backoff of the work queue.
	RetryInterval func(obj T) time.Duration
	// Next returns when an object whose run has succeeded is run again, for a kind that
	// need not do all of it in each run. nil means after its interval.
	Next func(obj T) time.Duration
	// Patience is how long a run may be Waiting or Progressing before its status says
	// so: what is over sooner is written once, at its end. Zero tells it at once.
	Patience time.Duration
	// HandledAtEnd has a request for a run count as handled only when all has come to its
	// end that the run began, well or not: not while it is Progressing.
	HandledAtEnd bool
	// Metrics receives the duration of each run; nil drops it.
	Metrics *metrics.Recorder
}

// Loop reconciles the objects of one kind. It is a reconcile.Reconciler.
type Loop[T Object] struct {
	client   client.Client
	recorder Recorder
	kind     Reconciler[T]
	opts     Options[T]
	status   *writer[T]
	untold   open
}

// New returns a Loop for kind. c reads from a cache and writes to the API
// server; live reads past the cache and is used only after a conflict.
func New[T Object](c client.Client, live client.Reader, recorder Recorder, kind Reconciler[T], opts Options[T]) *Loop[T] {
	return &Loop[T]{
		client:   c,
		recorder: recorder,
		kind:     kind,
		opts:     opts,
		status:   newWriter[T](c, live, opts.FieldOwner),
	}
}

// Reconcile implements reconcile.Reconciler.
func (l *Loop[T]) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	obj := newObject[T]()
	switch err := l.client.Get(ctx, req.NamespacedName, obj); {
	case apierrors.IsNotFound(err):
		l.status.forget(req.NamespacedName)
		l.untold.forget(req.NamespacedName)
		if f, ok := l.kind.(Forgetter); ok {
			return reconcile.Result{}, f.Forget(ctx, req.NamespacedName)
		}
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, err
	}
	defer l.status.settle(req.NamespacedName, obj.GetResourceVersion())
	obj = l.status.newest(obj)
	defer l.observe(obj, time.Now())

	abstainer, _ := l.kind.(Abstainer[T])
	switch {
	case !obj.GetDeletionTimestamp().IsZero():
		return l.finalize(ctx, obj)
	case abstainer != nil && abstainer.Abstains(obj):
		return reconcile.Result{}, l.withdraw(ctx, abstainer, obj)
	case !controllerutil.ContainsFinalizer(obj, Finalizer):
		if err := l.status.addFinalizer(ctx, obj); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	}
	if obj.IsSuspended() {
		return reconcile.Result{}, l.suspend(ctx, obj)
	}
	return l.run(ctx, obj)
}

// Save writes the status of obj now, in the middle of a run: what must be
// recorded before a step acts, or that a run will take long. It fails with ErrGone
// if obj has come to its end, which ends the run without a word. At the end of a
// run, the Loop saves by itself.
func (l *Loop[T]) Save(ctx context.Context, obj T) error {
	return l.status.save(ctx, obj)
}

// run reconciles an object that is neither suspended nor going away.
func (l *Loop[T]) run(ctx context.Context, obj T) (reconcile.Result, error) {
	before := obj.DeepCopyObject().(T)
	l.status.begin(obj)
	out := outcomeOf(l.kind.Reconcile(ctx, obj))
	if err := interrupted(ctx, out); err != nil {
		return reconcile.Result{}, err
	}
	if errors.Is(out.Err, ErrGone) {
		return reconcile.Result{}, nil // the cache is behind, and will ask for another run
	}
	if left := l.untold.wait(client.ObjectKeyFromObject(obj), out, l.opts.Patience, time.Now()); left > 0 {
		return l.stay(ctx, before, obj, out, left)
	}
	reason, message := l.kind.Report(obj, out)
	l.summarise(obj, out, reason, message)
	if s, ok := l.kind.(Summariser[T]); ok {
		s.Summarise(obj, out)
	}
	if err := l.conclude(ctx, before, obj, out); err != nil {
		return reconcile.Result{}, err
	}
	return l.next(ctx, obj, out)
}

// stay leaves the status as it is while the outcome is open. What a run did before it
// began to wait is told at once.
func (l *Loop[T]) stay(ctx context.Context, before, obj T, out Outcome, left time.Duration) (reconcile.Result, error) {
	if out.Verdict == Progressing {
		l.tell(before, obj, out)
	}
	out.After = sooner(out.After, left)
	return l.next(ctx, obj, out)
}

// finalize undoes what was made for obj and lets it go.
func (l *Loop[T]) finalize(ctx context.Context, obj T) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(obj, Finalizer) {
		return reconcile.Result{}, nil
	}
	before := obj.DeepCopyObject().(T)
	l.status.begin(obj)
	out := outcomeOf(l.kind.Finalize(ctx, obj))
	if err := interrupted(ctx, out); err != nil {
		return reconcile.Result{}, err
	}
	if errors.Is(out.Err, ErrGone) {
		return reconcile.Result{}, nil
	}
	switch out.Verdict {
	case Succeeded:
		l.tell(before, obj, out)
		return reconcile.Result{}, l.status.dropFinalizer(ctx, obj)
	case Stalled:
		out.Verdict = Failed // a new spec would not help an object that is going
	}
	l.summarise(obj, out, "", "")
	if err := l.conclude(ctx, before, obj, out); err != nil {
		return reconcile.Result{}, err
	}
	if out.Verdict == Failed {
		return reconcile.Result{}, fmt.Errorf("finalizing: %w", out.Err)
	}
	return l.next(ctx, obj, out)
}

// summarise says on obj how a run ended, and that it was asked for.
func (l *Loop[T]) summarise(obj T, out Outcome, reason, message string) {
	if out.Verdict != Progressing || !l.opts.HandledAtEnd {
		recordRequest(obj)
	}
	summarise(obj, out, reason, message)
}

// withdraw leaves obj as if it had never been reconciled.
func (l *Loop[T]) withdraw(ctx context.Context, a Abstainer[T], obj T) error {
	status, err := statusJSON(obj)
	if err != nil {
		return err
	}
	held := controllerutil.ContainsFinalizer(obj, Finalizer)
	if !held && string(status) == "{}" {
		return nil
	}
	l.status.begin(obj)
	if err := a.Withdraw(ctx, obj); err != nil {
		return fmt.Errorf("withdrawing: %w", err)
	}
	if err := l.status.saveLast(ctx, obj); err != nil {
		return err
	}
	if !held {
		return nil
	}
	return l.status.dropFinalizer(ctx, obj)
}

// interrupted returns an error if a run ended because the process is stopping:
// what such a run would say about the object is about us, not about it.
func interrupted(ctx context.Context, out Outcome) error {
	if ctx.Err() == nil || out.Err == nil {
		return nil
	}
	return fmt.Errorf("run interrupted: %w", context.Cause(ctx))
}

// conclude writes the status that a run has left in obj and tells what it did.
func (l *Loop[T]) conclude(ctx context.Context, before, obj T, out Outcome) error {
	if err := l.status.saveLast(ctx, obj); err != nil {
		return err
	}
	l.tell(before, obj, out)
	return nil
}

// tell publishes the events of a run.
func (l *Loop[T]) tell(before, after T, out Outcome) {
	for _, e := range l.kind.Events(before, after, out) {
		l.recorder.Record(after, e)
	}
}

// suspend says that a request was seen, and lets a kind that wants to keep its
// status current. What was in order stays so: a parent that waits for obj must
// not wait for a generation that will never be carried out.
func (l *Loop[T]) suspend(ctx context.Context, obj T) error {
	log.FromContext(ctx).V(1).Info("suspended")
	l.status.begin(obj)
	if s, ok := l.kind.(Suspender[T]); ok {
		s.Suspend(obj)
	} else if conditions.IsReady(obj) {
		obj.SetObservedGeneration(obj.GetGeneration())
	}
	recordRequest(obj)
	if err := l.status.saveLast(ctx, obj); err != nil {
		return err
	}
	return nil
}

// next decides when the object is looked at again.
func (l *Loop[T]) next(ctx context.Context, obj T, out Outcome) (reconcile.Result, error) {
	switch out.Verdict {
	case Succeeded:
		next := obj.GetInterval
		if l.opts.Next != nil {
			next = func() time.Duration { return l.opts.Next(obj) }
		}
		return reconcile.Result{RequeueAfter: jitter(next(), l.opts.Jitter, random)}, nil
	case Waiting, Progressing:
		log.FromContext(ctx).V(1).Info("waiting", "reason", out.Reason, "for", out.Err.Error())
		return reconcile.Result{RequeueAfter: out.After}, nil
	case Stalled:
		log.FromContext(ctx).Error(out.Err, "stalled until the spec changes", "reason", out.Reason)
		return reconcile.Result{}, nil
	}
	if l.opts.RetryInterval == nil {
		return reconcile.Result{}, out.Err // logged and timed by the work queue
	}
	after := l.opts.RetryInterval(obj)
	log.FromContext(ctx).Error(out.Err, "reconciliation failed", "reason", out.Reason, "retryIn", after.String())
	return reconcile.Result{RequeueAfter: after}, nil
}

// observe records the duration of a run, and forgets an object that is gone.
func (l *Loop[T]) observe(obj T, start time.Time) {
	if l.opts.Metrics == nil {
		return
	}
	gvk, err := apiutil.GVKForObject(obj, l.client.Scheme())
	if err != nil {
		return // an object that is not in the scheme could not have been read
	}
	ref := corev1.ObjectReference{Kind: gvk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if !obj.GetDeletionTimestamp().IsZero() && !controllerutil.ContainsFinalizer(obj, Finalizer) {
		l.opts.Metrics.DeleteDuration(ref)
		return
	}
	l.opts.Metrics.RecordDuration(ref, start)
}
