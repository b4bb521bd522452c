package loop

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	sourcev1 "weir.dev/api/source/v1"
)

func TestFinalizerComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, repository())
	w.kind.reconcile = func(ctx context.Context, repo *sourcev1.GitRepository) error {
		if !controllerutil.ContainsFinalizer(repo, Finalizer) || !controllerutil.ContainsFinalizer(w.get(), Finalizer) {
			t.Error("Reconcile is called before the finalizer is there")
		}
		return publish("one")(ctx, repo)
	}
	result := w.mustRun()
	if result.RequeueAfter != time.Minute {
		t.Errorf("result is %+v: the first run does not go on to its end", result)
	}
	for i, owner := range w.owners {
		if owner != "tester" {
			t.Errorf("request %d is by the field manager %q", i, owner)
		}
	}
	w.wants(patch, patchStatus)
	if got := revision(w.get()); got != "one" {
		t.Errorf("the first run left revision %q", got)
	}
}

func TestFinalizerComesBeforeSuspension(t *testing.T) {
	t.Parallel()
	repo := repository()
	repo.Spec.Suspend = true
	w := newWorld(t, repo)
	w.mustRun()
	w.wants(patch)
	if !controllerutil.ContainsFinalizer(w.get(), Finalizer) {
		t.Error("an object that is suspended from the start has no finalizer")
	}
}

func TestFinalizerCannotBeAdded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		fault error
		err   bool
	}{
		"an error is an error":          {why: "without the finalizer, what a run makes may stay for good", fault: errFault, err: true},
		"a conflict is an error":        {why: "the next run sees what is new", fault: conflict(), err: true},
		"an object that is gone is not": {why: "nothing is left to do", fault: gone()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, repository())
			w.before = func(string) error { return tc.fault }
			if _, err := w.run(); (err != nil) != tc.err {
				t.Errorf("Reconcile returned %v (%s)", err, tc.why)
			}
			if len(w.kind.calls) > 0 {
				t.Errorf("called %v without a finalizer (%s)", w.kind.calls, tc.why)
			}
			w.wants(patch)
		})
	}
}

func TestObjectThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if result := w.mustRun(); result != (reconcile.Result{}) {
		t.Errorf("result is %+v", result)
	}
	w.wants()
	if len(w.kind.calls) > 0 {
		t.Errorf("called %v for nothing", w.kind.calls)
	}
}

func TestSuspended(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Calls    []string
		Requests []string
		Token    string
		Observed int64
		Ignore   bool // what the Suspender of the test sets
	}
	ready := func(r *sourcev1.GitRepository) {
		r.Generation, r.Status.ObservedGeneration = 2, 1
		r.Status.Conditions = append(r.Status.Conditions, condition("Ready", "True", "Done", "all is well"))
	}
	failed := func(r *sourcev1.GitRepository) {
		r.Generation, r.Status.ObservedGeneration = 2, 1
		r.Status.Conditions = append(r.Status.Conditions, condition("Ready", "False", "Failed", "no"))
	}
	tests := map[string]struct {
		why       string
		edit      func(*sourcev1.GitRepository)
		suspender bool
		want      outcome
	}{
		"is left alone":                 {why: "nothing has happened", edit: func(*sourcev1.GitRepository) {}, want: outcome{Observed: -1}},
		"consumes a request":            {why: "it must not fire on resume", edit: func(r *sourcev1.GitRepository) { requested(r, "now") }, want: outcome{Requests: []string{patchStatus}, Token: "now", Observed: -1}},
		"stays current when it was":     {why: "a parent that waits would wait for ever", edit: ready, want: outcome{Requests: []string{patchStatus}, Observed: 2}},
		"stays failed when it was":      {why: "suspending mends nothing", edit: failed, want: outcome{Observed: 1}},
		"asks the kind that wants to":   {why: "a source keeps its status", edit: ready, suspender: true, want: outcome{Calls: []string{"Suspend"}, Requests: []string{patchStatus}, Observed: 1, Ignore: true}},
		"consumes a request for a kind": {why: "it must not fire on resume", edit: func(r *sourcev1.GitRepository) { requested(r, "now") }, suspender: true, want: outcome{Calls: []string{"Suspend"}, Requests: []string{patchStatus}, Token: "now", Observed: -1, Ignore: true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := held()
			repo.Spec.Suspend = true
			tc.edit(repo)
			w := newWorld(t, repo)
			if tc.suspender {
				w.drive(suspending{w.kind}, Options[*sourcev1.GitRepository]{})
			}
			if result := w.mustRun(); result != (reconcile.Result{}) {
				t.Errorf("a suspended object is looked at again: %+v", result)
			}
			left := w.get()
			got := outcome{
				Calls: w.kind.calls, Requests: w.take(), Ignore: left.Status.ObservedIgnore != nil,
				Token: left.Status.LastHandledReconcileAt, Observed: left.Status.ObservedGeneration,
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s(%s)", diff, tc.why)
			}
			w.mustRun()
			w.wants() // once is enough
		})
	}
}

func TestSuspendedCannotBeSaved(t *testing.T) {
	t.Parallel()
	repo := requested(held(), "now")
	repo.Spec.Suspend = true
	w := newWorld(t, repo)
	w.before = func(string) error { return errFault }
	if _, err := w.run(); !errors.Is(err, errFault) {
		t.Errorf("Reconcile returned %v", err)
	}
}

// verdict is a run that ends in one way.
type verdict struct {
	why string
	err error
}

func verdicts() map[string]verdict {
	return map[string]verdict{
		"success":    {why: "the steady state", err: nil},
		"progress":   {why: "an awaited end that does not come", err: Progress(time.Hour, "waiting for 3 objects")},
		"wait":       {why: "a dependency that stays away", err: Wait("DependencyNotReady", time.Hour, "b is not ready")},
		"failure":    {why: "an error that stays", err: Fail("Broken", errFault)},
		"stall":      {why: "a spec that stays wrong", err: Stall("Invalid", errFault)},
		"any other":  {why: "an error that nobody has judged", err: errFault},
		"early done": {why: "a run that had nothing to do", err: Done()},
	}
}

func TestRunThatChangesNothingMakesNoRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range verdicts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, requested(held(), "now"))
			w.kind.reconcile = func(_ context.Context, repo *sourcev1.GitRepository) error {
				repo.Status.Artifact = artifact("one")
				return tc.err
			}
			_, _ = w.run()
			w.wants(patchStatus) // one, for all that the run has changed
			for range 3 {
				_, _ = w.run()
			}
			w.wants()
			if n := len(w.kind.calls); n != 4 {
				t.Errorf("reconciled %d times in 4 runs (%s)", n, tc.why)
			}
		})
	}
}

func TestRequestIsRecordedWhateverTheOutcome(t *testing.T) {
	t.Parallel()
	for name, tc := range verdicts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, requested(held(), "now"))
			w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return tc.err }
			_, _ = w.run()
			if got := w.get().Status.LastHandledReconcileAt; got != "now" {
				t.Errorf("handled %q: whoever asked waits for ever (%s)", got, tc.why)
			}
		})
	}
}

// TestRequestIsHandledAtTheEnd of a kind whose runs go on in others.
func TestRequestIsHandledAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range verdicts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, requested(held(), "now"))
			w.drive(w.kind, Options[*sourcev1.GitRepository]{FieldOwner: "tester", HandledAtEnd: true})
			w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return tc.err }
			_, _ = w.run()
			want := "now"
			if name == "progress" {
				want = ""
			}
			if got := w.get().Status.LastHandledReconcileAt; got != want {
				t.Errorf("handled %q; want %q (%s)", got, want, tc.why)
			}
			w.kind.reconcile = nil
			w.mustRun()
			if got := w.get().Status.LastHandledReconcileAt; got != "now" {
				t.Errorf("handled %q after the end", got)
			}
		})
	}
}

func TestStatusIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.kind.reconcile = publish("one")
	w.mustRun()
	if len(w.bodies) != 1 {
		t.Fatalf("requests: %q", w.bodies)
	}
	for _, part := range []string{`"resourceVersion"`, `"revision":"one"`, `"type":"Ready"`, `"observedGeneration":1`} {
		if !strings.Contains(w.bodies[0], part) {
			t.Errorf("the patch lacks %s: %s", part, w.bodies[0])
		}
	}
	if strings.Contains(w.bodies[0], "spec") {
		t.Errorf("the patch writes more than the status: %s", w.bodies[0])
	}
}

func TestNextRun(t *testing.T) {
	t.Parallel()
	fixed := func(*sourcev1.GitRepository) time.Duration { return 42 * time.Second }
	tests := map[string]struct {
		why   string
		err   error
		retry func(*sourcev1.GitRepository) time.Duration
		after time.Duration
		want  error
	}{
		"success waits for the interval":         {why: "the user's pace", after: time.Minute},
		"success ignores the retry interval":     {why: "it is for failures", retry: fixed, after: time.Minute},
		"a wait says when":                       {why: "the step knows", err: Wait("R", 7*time.Second, "no"), after: 7 * time.Second},
		"a wait may leave it to an event":        {why: "nothing polls where an event exists", err: Wait("R", 0, "no")},
		"a wait ignores the retry interval":      {why: "it is no failure", err: Wait("R", 7*time.Second, "no"), retry: fixed, after: 7 * time.Second},
		"progress says when":                     {why: "the step knows", err: Progress(8*time.Second, "no"), after: 8 * time.Second},
		"progress may leave it to an event":      {why: "nothing polls where an event exists", err: Progress(0, "no")},
		"a failure backs off":                    {why: "the work queue times an error", err: Fail("R", errFault), want: errFault},
		"a failure may have an interval":         {why: "some kinds promise one", err: Fail("R", errFault), retry: fixed, after: 42 * time.Second},
		"an unjudged error backs off":            {why: "it counts as a failure", err: errFault, want: errFault},
		"an unjudged error may have an interval": {why: "it counts as a failure", err: errFault, retry: fixed, after: 42 * time.Second},
		"a stall waits for a new spec":           {why: "a retry would fail the same way", err: Stall("R", errFault)},
		"a stall ignores the retry interval":     {why: "a retry would fail the same way", err: Stall("R", errFault), retry: fixed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, held())
			w.drive(w.kind, Options[*sourcev1.GitRepository]{RetryInterval: tc.retry})
			w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return tc.err }
			result, err := w.run()
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("Reconcile returned %v, want %v (%s)", err, tc.want, tc.why)
			}
			if result.RequeueAfter != tc.after {
				t.Errorf("looks again after %v, want %v (%s)", result.RequeueAfter, tc.after, tc.why)
			}
		})
	}
}

// TestNextIsTheKinds: a run that did only a part of what is to be done at each interval
// need not put off the rest.
func TestNextIsTheKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.drive(w.kind, Options[*sourcev1.GitRepository]{Next: func(*sourcev1.GitRepository) time.Duration { return 7 * time.Second }})
	if after := w.mustRun().RequeueAfter; after != 7*time.Second {
		t.Errorf("looks again after %s, want 7s", after)
	}
	w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return Wait("R", time.Hour, "not yet") }
	if after := w.mustRun().RequeueAfter; after != time.Hour {
		t.Errorf("looks again after %s, want an hour: it is for success", after)
	}
}

func TestIntervalIsSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.drive(w.kind, Options[*sourcev1.GitRepository]{Jitter: 0.1})
	seen := make(map[time.Duration]bool)
	for range 50 {
		after := w.mustRun().RequeueAfter
		if after < 54*time.Second || after > 66*time.Second {
			t.Fatalf("an interval of 1m with 10%% of jitter became %v", after)
		}
		seen[after] = true
	}
	if len(seen) < 2 {
		t.Error("50 runs have the same interval")
	}
}

func TestInterruptedRunWritesNothing(t *testing.T) {
	t.Parallel()
	errCause := errors.New("leadership is lost")
	tests := map[string]struct {
		why  string
		repo *sourcev1.GitRepository
		err  error
		want []string
	}{
		"a failure":            {why: "it is about us, not about the object", repo: held(), err: Fail("R", context.Canceled)},
		"a stall":              {why: "whatever was judged in a hurry", repo: held(), err: Stall("R", context.Canceled)},
		"a success":            {why: "what is done is done", repo: held(), want: []string{patchStatus}},
		"a failed deletion":    {why: "it is about us, not about the object", repo: doomed(), err: Fail("R", context.Canceled)},
		"a completed deletion": {why: "what is done is done", repo: doomed(), want: []string{patch}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			w := newWorld(t, tc.repo)
			w.kind.list = []Event{{Reason: "R"}}
			work := func(context.Context, *sourcev1.GitRepository) error {
				cancel(errCause)
				return tc.err
			}
			w.kind.reconcile, w.kind.finalize = work, work
			_, err := w.loop.Reconcile(ctx, reconcile.Request{NamespacedName: w.key})
			if tc.err == nil && err != nil || tc.err != nil && !errors.Is(err, errCause) {
				t.Errorf("Reconcile returned %v (%s)", err, tc.why)
			}
			if told := len(w.events) > 0; told != (tc.err == nil) {
				t.Errorf("events: %v (%s)", w.events, tc.why)
			}
			w.wants(tc.want...)
		})
	}
}

func TestReadFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.readFault = errFault
	if _, err := w.run(); !errors.Is(err, errFault) {
		t.Errorf("Reconcile returned %v", err)
	}
	w.wants()
}

func TestWaitThatEndsSoonIsWrittenOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		patience time.Duration
		err      error
		first    []string // requests of the run that waits
		after    time.Duration
	}{
		"progress": {why: "its end is near", patience: time.Hour, err: Progress(time.Minute, "2 left"), after: time.Minute},
		"wait":     {why: "what it waits for comes at once", patience: time.Hour, err: Wait("NotReady", 0, "b is not ready"), after: time.Hour},
		"failure":  {why: "users have to see it", patience: time.Hour, err: Fail("Broken", errFault), first: []string{patchStatus}},
		"no patience": {
			why: "a kind may tell everything", err: Progress(time.Minute, "2 left"), first: []string{patchStatus}, after: time.Minute,
		},
		"patience that is over": {patience: 1, err: Progress(time.Minute, "2 left"), first: []string{patchStatus}, after: time.Minute},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, held())
			w.drive(w.kind, Options[*sourcev1.GitRepository]{FieldOwner: "test", Patience: tc.patience})
			w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return tc.err }
			if tc.patience == 1 {
				_, _ = w.run() // begins to wait
				w.take()
			}
			result, _ := w.run()
			w.wants(tc.first...)
			if d := result.RequeueAfter; d > tc.after || d < tc.after-time.Minute/2 {
				t.Errorf("looked at again after %s; want about %s (%s)", d, tc.after, tc.why)
			}
			w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return nil }
			w.mustRun()
			w.wants(patchStatus)
		})
	}
}
