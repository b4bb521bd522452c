package loop

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
)

func TestConditionsFollowFromTheOutcome(t *testing.T) {
	t.Parallel()
	broken := errFault.Error()
	stalled, reconciling := condition("Stalled", "True", "Old", "old"), condition("Reconciling", "True", "Old", "old")
	tests := map[string]struct {
		why      string
		before   []metav1.Condition
		err      error
		want     []metav1.Condition
		observed int64
	}{
		"success": {
			why: "neither under way nor stuck any more", before: []metav1.Condition{stalled, reconciling}, observed: 1,
			want: []metav1.Condition{condition("Ready", "True", "Done", "all is well")},
		},
		"progress": {
			why: "the outcome is open", err: Progress(time.Second, "2 left"), before: []metav1.Condition{stalled}, observed: -1,
			want: []metav1.Condition{
				condition("Reconciling", "True", "Progressing", "2 left"),
				condition("Ready", "Unknown", "Progressing", "Reconciliation in progress"),
			},
		},
		"wait": {
			why: "the spec is yet to be carried out", err: Wait("DependencyNotReady", time.Second, "b is not ready"), before: []metav1.Condition{stalled}, observed: -1,
			want: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", "b is not ready"),
				condition("Ready", "False", "DependencyNotReady", "b is not ready"),
			},
		},
		"failure": {
			why: "it is tried again", err: Fail("BuildFailed", errFault), before: []metav1.Condition{stalled}, observed: -1,
			want: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", broken),
				condition("Ready", "False", "BuildFailed", broken),
			},
		},
		"any other error": {
			why: "it is tried again", err: errFault, observed: -1,
			want: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", broken),
				condition("Ready", "False", "Failed", broken),
			},
		},
		"stall": {
			why: "it is not tried again: this generation is dealt with", err: Stall("URLInvalid", errFault), before: []metav1.Condition{reconciling}, observed: 1,
			want: []metav1.Condition{
				condition("Stalled", "True", "URLInvalid", broken),
				condition("Ready", "False", "URLInvalid", broken),
			},
		},
		"percent signs": {
			why: "a message is no format", err: Fail("Failed", errPercent{}), observed: -1,
			want: []metav1.Condition{
				condition("Reconciling", "True", "ProgressingWithRetry", "100%d"),
				condition("Ready", "False", "Failed", "100%d"),
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := held()
			repo.Status.Conditions = tc.before
			w := newWorld(t, repo)
			w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return tc.err }
			_, _ = w.run()
			left := w.get()
			sameConditions(t, left.Status.Conditions, tc.want...)
			if left.Status.ObservedGeneration != tc.observed {
				t.Errorf("observed generation %d, want %d (%s)", left.Status.ObservedGeneration, tc.observed, tc.why)
			}
		})
	}
}

// errPercent is an error whose text looks like a format.
type errPercent struct{}

func (errPercent) Error() string { return "100%d" }

func TestConditionKeepsItsTime(t *testing.T) {
	t.Parallel()
	old := metav1.NewTime(time.Unix(1_700_000_000, 0))
	ready := condition("Ready", "True", "Done", "all is well")
	ready.LastTransitionTime = old
	repo := held()
	repo.Generation = 2
	repo.Status.Conditions = []metav1.Condition{ready}
	w := newWorld(t, repo)
	w.mustRun()
	got := w.get().Status.Conditions[0]
	if !got.LastTransitionTime.Equal(&old) || got.ObservedGeneration != 2 {
		t.Errorf("a state that stays became %+v: its time must stay and its generation move", got)
	}
	w.kind.reconcile = func(context.Context, *sourcev1.GitRepository) error { return Fail("R", errFault) }
	_, _ = w.run()
	if got, _ = find(w.get().Status.Conditions, "Ready"); got.LastTransitionTime.Equal(&old) {
		t.Error("a new state has the time of the old one")
	}
}

func TestLongMessageIsCut(t *testing.T) {
	t.Parallel()
	repo := held()
	MarkProgressing(repo, "%s", strings.Repeat("x", 40_000))
	c, _ := find(repo.Status.Conditions, "Reconciling")
	if len(c.Message) != 32768 || !strings.HasSuffix(c.Message, "x...") {
		t.Errorf("the message has %d bytes and ends with %q", len(c.Message), c.Message[len(c.Message)-4:])
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		err  error
		want Verdict
	}{
		"of a success":  {why: "users hear of what is new", want: Succeeded},
		"of progress":   {why: "the kind decides", err: Progress(0, "no"), want: Progressing},
		"of a wait":     {why: "the kind decides", err: Wait("R", 0, "no"), want: Waiting},
		"of a failure":  {why: "users should look", err: Fail("R", errFault), want: Failed},
		"of a stall":    {why: "users should look", err: Stall("R", errFault), want: Stalled},
		"of any errors": {why: "users should look", err: errFault, want: Failed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := held()
			repo.Status.Artifact = artifact("old")
			w := newWorld(t, repo)
			w.kind.list = []Event{{Reason: "A", Message: "a"}, {Reason: "B", Message: "b", Warning: true}}
			w.kind.reconcile = func(ctx context.Context, repo *sourcev1.GitRepository) error {
				repo.Status.Artifact = artifact("middle")
				if err := w.loop.Save(ctx, repo); err != nil {
					t.Error(err)
				}
				repo.Status.Artifact = artifact("new")
				return tc.err
			}
			_, _ = w.run()
			if diff := cmp.Diff([]states{{Before: "old", After: "new", Verdict: tc.want}}, w.kind.states); diff != "" {
				t.Errorf("Events was told (-want +got):\n%s(%s)", diff, tc.why)
			}
			want := []recorded{{Revision: "new", Event: w.kind.list[0]}, {Revision: "new", Event: w.kind.list[1]}}
			if diff := cmp.Diff(want, w.events); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}
