package loop

import (
	"context"
	"errors"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
)

// summarising is a kind that has the last word on Ready.
type summarising struct{ *kind }

func (summarising) Summarise(repo *sourcev1.GitRepository, out Outcome) {
	if out.Verdict == Stalled {
		conditions.MarkFalse(repo, meta.ReadyCondition, "WentWrong", "because of that")
	}
}

func TestReadyMayTellMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, held())
	w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error {
		return Stall("GaveUp", errors.New("after 3 attempts"))
	}
	w.drive(summarising{w.kind}, Options[*sourcev1.GitRepository]{FieldOwner: "tester"})
	w.mustRun()
	got := w.get()
	for of, want := range map[string]string{meta.ReadyCondition: "WentWrong", meta.StalledCondition: "GaveUp"} {
		if reason := conditions.GetReason(got, of); reason != want {
			t.Errorf("%s has the reason %q; want %q", of, reason, want)
		}
	}
}
