package loop

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	sourcev1 "weir.dev/api/source/v1"
)

// abstaining is a kind that leaves suspended objects alone, which stand for those that
// are not to be reconciled.
type abstaining struct{ *kind }

func (k abstaining) Abstains(repo *sourcev1.GitRepository) bool { return repo.Spec.Suspend }

func (k abstaining) Withdraw(ctx context.Context, repo *sourcev1.GitRepository) error {
	if err := k.Finalize(ctx, repo); err != nil {
		return err
	}
	repo.Status = sourcev1.GitRepositoryStatus{}
	return nil
}

// left is an object that is not to be reconciled, and was.
func left() *sourcev1.GitRepository {
	repo := held()
	repo.Spec.Suspend = true
	repo.Status.ObservedGeneration = 1
	repo.Status.Artifact = artifact("v1")
	return repo
}

func TestAbstains(t *testing.T) {
	t.Parallel()
	abandoned := requested(left(), "1")
	abandoned.Finalizers = nil
	abandoned.Status = sourcev1.GitRepositoryStatus{}
	fresh := repository()
	fresh.Spec.Suspend = true
	tests := map[string]struct {
		why      string
		repo     *sourcev1.GitRepository
		calls    []string
		requests []string
	}{
		"one that was reconciled": {why: "nothing of that stays", repo: left(), calls: []string{"Finalize"}, requests: []string{patchStatus, patch}},
		"a new one":               {why: "its status has a default", repo: fresh, calls: []string{"Finalize"}, requests: []string{patchStatus}},
		"one that was left":       {why: "nobody has to be asked, even if a user asks", repo: abandoned},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.repo)
			w.drive(abstaining{w.kind}, Options[*sourcev1.GitRepository]{FieldOwner: "tester"})
			for range 2 { // the second run has nothing to do
				if got := w.mustRun(); got.RequeueAfter != 0 {
					t.Errorf("the next run is in %s; want none", got.RequeueAfter)
				}
			}
			w.wants(tc.requests...)
			if diff := cmp.Diff(tc.calls, w.kind.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			repo := w.get()
			if diff := cmp.Diff(sourcev1.GitRepositoryStatus{}, repo.Status); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if len(repo.Finalizers) != 0 {
				t.Errorf("finalizers %q; want none", repo.Finalizers)
			}
			if len(w.events) != 0 {
				t.Errorf("events %v; want none", w.events)
			}
		})
	}
}

func TestAbstainsAgainAfterAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, left())
	w.kind.finalize = func(context.Context, *sourcev1.GitRepository) error { return errFault }
	w.drive(abstaining{w.kind}, Options[*sourcev1.GitRepository]{FieldOwner: "tester"})
	if _, err := w.run(); !errors.Is(err, errFault) {
		t.Errorf("error %v; want %v", err, errFault)
	}
	w.wants()
	w.kind.finalize = nil
	w.mustRun()
	w.wants(patchStatus, patch)
}

func TestReconcilesAgainWhatWasLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, left())
	w.kind.reconcile = publish("v2")
	w.drive(abstaining{w.kind}, Options[*sourcev1.GitRepository]{FieldOwner: "tester"})
	w.mustRun()
	w.somebody(func(repo *sourcev1.GitRepository) { repo.Spec.Suspend, repo.Generation = false, 2 }, nil)
	w.mustRun()
	repo := w.get()
	if len(repo.Finalizers) != 1 || revision(repo) != "v2" || repo.Status.ObservedGeneration != 2 {
		t.Errorf("finalizers %q, revision %q, generation %d; want it reconciled", repo.Finalizers, revision(repo), repo.Status.ObservedGeneration)
	}
}
