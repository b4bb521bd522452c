package loop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
)

func TestSaveInMidRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.kind.reconcile = func(ctx context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = artifact("one")
		if err := w.loop.Save(ctx, repo); err != nil {
			t.Errorf("Save: %v", err)
		}
		if got := revision(w.get()); got != "one" {
			t.Errorf("after Save, the server has revision %q", got)
		}
		return w.loop.Save(ctx, repo) // nothing is new
	}
	w.mustRun()
	if len(w.bodies) != 2 || !strings.Contains(w.bodies[0], "artifact") || strings.Contains(w.bodies[1], "artifact") || !strings.Contains(w.bodies[1], "Ready") {
		t.Errorf("the saves are not the differences: %q", w.bodies)
	}
	w.wants(patchStatus, patchStatus)
	if left := w.get(); revision(left) != "one" || len(left.Status.Conditions) != 1 {
		t.Errorf("the run left %+v", left.Status)
	}
}

func TestSaveInMidRunRemovesFieldOnce(t *testing.T) {
	t.Parallel()
	repo := held()
	repo.Status.Artifact = artifact("lost")
	repo.Status.Artifact.Metadata = map[string]string{"a": "b"}
	w := newWorld(t, repo)
	w.kind.reconcile = func(ctx context.Context, repo *sourcev1.GitRepository) error {
		repo.Status.Artifact = nil
		return w.loop.Save(ctx, repo)
	}
	w.mustRun()
	if strings.Contains(w.bodies[1], "artifact") {
		t.Errorf("the final save removes again what is gone: %s", w.bodies[1])
	}
	if w.get().Status.Artifact != nil {
		t.Error("the artifact is still there")
	}
}

func TestFailedSaveFailsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.kind.list = []Event{{Reason: "R"}}
	w.before = func(string) error { return errFault }
	if _, err := w.run(); !errors.Is(err, errFault) {
		t.Errorf("Reconcile returned %v", err)
	}
	if len(w.events) > 0 {
		t.Errorf("told %v of a run that is not recorded", w.events)
	}
	w.wants(patchStatus)
}

// meanwhile changes a status that the run is about to write.
func meanwhile(w *world) {
	w.somebody(func(r *sourcev1.GitRepository) {
		r.Spec.URL, r.Generation = "https://example.com/other", 2
	}, func(r *sourcev1.GitRepository) {
		r.Status.Conditions = []metav1.Condition{
			condition("Ready", "False", "Rude", "says somebody else"),
			condition("Added", "True", "A", "by somebody else"),
			condition("Changed", "True", "B", "by somebody else"),
			condition("Fought", "True", "B", "by somebody else"),
			condition("Dropped", "True", "A", "was there before"),
		}
		r.Status.ObservedSparseCheckout = []string{"theirs"}
	})
}

// contested is an object whose conditions two writers care for.
func contested() *sourcev1.GitRepository {
	repo := held()
	for _, name := range []string{"Changed", "Dropped", "Fought", "Removed"} {
		repo.Status.Conditions = append(repo.Status.Conditions, condition(name, "True", "A", "was there before"))
	}
	return repo
}

// contest is a run that changes some of the conditions of contested.
func contest(_ context.Context, repo *sourcev1.GitRepository) error {
	var kept []metav1.Condition
	for _, c := range repo.Status.Conditions {
		switch c.Type {
		case "Dropped":
		case "Fought":
			kept = append(kept, condition("Fought", "False", "C", "by the run"))
		default:
			kept = append(kept, c)
		}
	}
	repo.Status.Conditions = kept
	repo.Status.Artifact = artifact("ours")
	return nil
}

// settled is what contested must end as.
func settled() []metav1.Condition {
	return []metav1.Condition{
		condition("Ready", "True", "Done", "all is well"),
		condition("Added", "True", "A", "by somebody else"),
		condition("Changed", "True", "B", "by somebody else"),
		condition("Fought", "False", "C", "by the run"),
	}
}

func TestConflictIsRebased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, contested())
	w.kind.reconcile = contest
	w.before = once(patchStatus, func() error { meanwhile(w); return nil })
	w.mustRun()
	w.wants(patchStatus, readLive, patchStatus)
	left := w.get()
	sameConditions(t, left.Status.Conditions, settled()...)
	if left.Spec.URL != "https://example.com/other" || revision(left) != "ours" || len(left.Status.ObservedSparseCheckout) != 1 {
		t.Errorf("spec %+v, status %+v: not both writers are heard", left.Spec, left.Status)
	}
	if left.Status.ObservedGeneration != 1 {
		t.Errorf("observed generation %d: the run knows nothing of the new spec", left.Status.ObservedGeneration)
	}
}

func TestConflictOfASaveInMidRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, contested())
	w.before = once(patchStatus, func() error { meanwhile(w); return nil })
	w.kind.reconcile = func(ctx context.Context, repo *sourcev1.GitRepository) error {
		if err := contest(ctx, repo); err != nil {
			return err
		}
		return w.loop.Save(ctx, repo)
	}
	w.mustRun()
	w.wants(patchStatus, readLive, patchStatus, patchStatus)
	left := w.get()
	sameConditions(t, left.Status.Conditions, settled()...)
	if len(left.Status.ObservedSparseCheckout) != 1 {
		t.Error("the final save takes back what somebody else wrote")
	}
}

func TestConflictThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.kind.reconcile = publish("one")
	w.before = func(request string) error {
		if request == patchStatus {
			return conflict()
		}
		return nil
	}
	if _, err := w.run(); !apierrors.IsConflict(err) {
		t.Errorf("Reconcile returned %v, want the conflict", err)
	}
	attempts := 0
	for _, r := range w.take() {
		if r == patchStatus {
			attempts++
		}
	}
	if attempts != saveAttempts {
		t.Errorf("%d attempts, want %d", attempts, saveAttempts)
	}
}

// remove has the object come to its end.
func (w *world) remove() {
	w.t.Helper()
	w.somebody(func(r *sourcev1.GitRepository) { r.Finalizers = nil }, nil)
	if err := w.server.Delete(w.t.Context(), w.get()); err != nil {
		w.t.Fatal(err)
	}
}

// createAnew creates another object of the name.
func (w *world) createAnew() {
	w.t.Helper()
	anew := repository()
	anew.UID = "second"
	if err := w.server.Create(w.t.Context(), anew); err != nil {
		w.t.Fatal(err)
	}
}

func TestConflictWithTheEndOfAnObject(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why       string
		meanwhile func(*world) error
		want      []string
		err       error
	}{
		"deleted":             {why: "nobody is there to be told", meanwhile: func(w *world) error { w.remove(); return nil }, want: []string{patchStatus}},
		"deleted in conflict": {why: "nobody is there to be told", meanwhile: func(w *world) error { w.remove(); return conflict() }, want: []string{patchStatus, readLive}},
		"created anew": {why: "the run was about another object", meanwhile: func(w *world) error {
			w.remove()
			w.createAnew()
			return nil
		}, want: []string{patchStatus, readLive}},
		"not to be read": {why: "the run is repeated", meanwhile: func(w *world) error {
			w.before = func(string) error { return errFault }
			return conflict()
		}, want: []string{patchStatus, readLive}, err: errFault},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, held())
			w.kind.reconcile = publish("one")
			w.before = once(patchStatus, func() error { return tc.meanwhile(w) })
			if _, err := w.run(); !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Errorf("Reconcile returned %v, want %v (%s)", err, tc.err, tc.why)
			}
			w.wants(tc.want...)
			left := &sourcev1.GitRepository{}
			if err := w.server.Get(t.Context(), w.key, left); err == nil && revision(left) != "" {
				t.Errorf("wrote %+v (%s)", left.Status, tc.why)
			}
		})
	}
}

// TestNothingIsDoneForWhatIsGone: a step that is to be recorded first is not taken, and nobody
// is told of that.
func TestNothingIsDoneForWhatIsGone(t *testing.T) {
	t.Parallel()
	for name, anew := range map[string]bool{"deleted": false, "created anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, held())
			done := false
			w.kind.reconcile = func(ctx context.Context, repo *sourcev1.GitRepository) error {
				repo.Status.Artifact = artifact("one")
				if err := w.loop.Save(ctx, repo); err != nil {
					return fmt.Errorf("recording: %w", err)
				}
				done = true
				return nil
			}
			w.cached = w.get()
			w.remove()
			if anew {
				w.createAnew()
			}
			w.mustRun()
			if done {
				t.Error("the step was taken")
			}
			if len(w.events) > 0 {
				t.Errorf("events %v were published", w.events)
			}
		})
	}
}

// reads makes a kind that publishes what it is told, and notes what it finds.
func reads(w *world, found *[]string) {
	next := 0
	w.kind.reconcile = func(_ context.Context, repo *sourcev1.GitRepository) error {
		*found = append(*found, revision(repo))
		if len(repo.ManagedFields) > 0 {
			w.t.Error("managed fields are kept in memory")
		}
		repo.Status.Artifact = artifact(string(rune('a' + next)))
		next++
		return nil
	}
}

func TestRunBeginsWithOurOwnLastWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	var found []string
	reads(w, &found)
	w.cached = w.get()
	w.mustRun()
	w.mustRun() // the cache is behind
	w.readFault = errFault
	_, _ = w.run() // which does not mean that what we know is wrong
	w.readFault = nil
	w.mustRun()
	if diff := cmp.Diff([]string{"", "a", "b"}, found); diff != "" {
		t.Errorf("runs began with (-want +got):\n%s", diff)
	}
	w.wants(patchStatus, patchStatus, patchStatus) // no conflict on the way

	w.cached = nil
	w.somebody(nil, func(r *sourcev1.GitRepository) { r.Status.Artifact = artifact("foreign") })
	w.mustRun()
	if got := found[len(found)-1]; got != "foreign" {
		t.Errorf("a run began with %q, which somebody has replaced", got)
	}
}

func TestRunBeginsWithWhatSomebodyWroteOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.cached = w.get()
	w.before = once(patchStatus, func() error {
		w.somebody(func(r *sourcev1.GitRepository) { r.Spec.URL = "https://example.com/other" }, nil)
		return nil
	})
	var urls []string
	w.kind.reconcile = func(_ context.Context, repo *sourcev1.GitRepository) error {
		urls = append(urls, repo.Spec.URL)
		return nil
	}
	w.mustRun()
	w.mustRun()
	if diff := cmp.Diff([]string{"https://example.com/app", "https://example.com/other"}, urls); diff != "" {
		t.Errorf("runs began with (-want +got):\n%s", diff)
	}
}

func TestRunDoesNotBeginWithAnotherObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	var found []string
	reads(w, &found)
	w.cached = w.get()
	w.mustRun()
	anew := held()
	anew.UID, anew.ResourceVersion = "second", "1"
	w.cached = anew
	_, _ = w.run()
	if diff := cmp.Diff([]string{"", ""}, found); diff != "" {
		t.Errorf("runs began with (-want +got):\n%s", diff)
	}
}

func TestRunDoesNotBeginWithARemovedField(t *testing.T) {
	t.Parallel()
	repo := held()
	repo.Status.Artifact = artifact("lost")
	w := newWorld(t, repo)
	w.cached = w.get()
	var found []string
	w.kind.reconcile = func(_ context.Context, repo *sourcev1.GitRepository) error {
		found = append(found, revision(repo))
		repo.Status.Artifact = nil
		return nil
	}
	w.mustRun()
	w.mustRun()
	if diff := cmp.Diff([]string{"lost", ""}, found); diff != "" {
		t.Errorf("runs began with (-want +got):\n%s", diff)
	}
}

func TestNothingIsRememberedThatTheCacheHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, repository())
	w.kind.reconcile = publish("one")
	w.cached = w.get()
	w.mustRun()
	if n := len(w.loop.status.objects); n != 1 {
		t.Errorf("%d objects are remembered while the cache is behind, want 1", n)
	}
	w.cached = nil
	w.mustRun()
	if n := len(w.loop.status.objects); n != 0 {
		t.Errorf("%d objects are remembered that the cache holds, too", n)
	}

	w.cached = w.get()
	w.kind.reconcile = publish("two")
	w.mustRun()
	w.readFault = gone()
	w.mustRun()
	if n := len(w.loop.status.objects); n != 0 {
		t.Errorf("%d objects are remembered that are gone", n)
	}
}
