package loop

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRun(t *testing.T) {
	t.Parallel()
	errCause := errors.New("the cluster is on fire")
	tests := map[string]struct {
		why   string
		steps map[string]error // what a step returns, nil unless named
		end   string           // the step in which the context ends
		want  []string         // steps that were taken
		err   error
	}{
		"takes the steps in order":             {why: "a later step uses what an earlier one found", want: []string{"a", "b", "c"}},
		"stops at the first error":             {why: "what follows has nothing to work on", steps: map[string]error{"b": errFault}, want: []string{"a", "b"}, err: errFault},
		"ends well when done":                  {why: "nothing is left to do", steps: map[string]error{"b": Done()}, want: []string{"a", "b"}},
		"ends well when done is wrapped":       {why: "helpers wrap what they return", steps: map[string]error{"b": fmt.Errorf("b: %w", Done())}, want: []string{"a", "b"}},
		"returns why the context ended":        {why: "the cause says who interrupted", end: "a", want: []string{"a"}, err: errCause},
		"tells a failure before an end":        {why: "the step knows better what it died of", end: "a", steps: map[string]error{"a": errFault}, want: []string{"a"}, err: errFault},
		"counts an end after the last as none": {why: "all is done", end: "c", want: []string{"a", "b", "c"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var taken []string
			step := func(name string) func(context.Context, *[]string) error {
				return func(_ context.Context, taken *[]string) error {
					*taken = append(*taken, name)
					if name == tc.end {
						cancel(errCause)
					}
					return tc.steps[name]
				}
			}
			err := Run(ctx, &taken, step("a"), step("b"), step("c"))
			if !errors.Is(err, tc.err) {
				t.Errorf("Run returned %v, want %v (%s)", err, tc.err, tc.why)
			}
			if diff := cmp.Diff(tc.want, taken); diff != "" {
				t.Errorf("steps (-want +got):\n%s(%s)", diff, tc.why)
			}
		})
	}
}

func TestRunOfNothing(t *testing.T) {
	t.Parallel()
	if err := Run(t.Context(), 0); err != nil {
		t.Errorf("Run without steps returned %v", err)
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		err     error
		want    Outcome // without Err
		message string
		cause   error // what Err wraps
	}{
		"nothing":       {why: "all is well", err: nil, want: Outcome{Verdict: Succeeded}},
		"Done":          {why: "it ends early and well", err: Done(), want: Outcome{Verdict: Succeeded}},
		"Done wrapped":  {why: "helpers wrap", err: fmt.Errorf("x: %w", Done()), want: Outcome{Verdict: Succeeded}},
		"Stall":         {why: "only a new spec helps", err: Stall("Bad", errFault), want: Outcome{Verdict: Stalled, Reason: "Bad"}, message: errFault.Error(), cause: errFault},
		"Stall wrapped": {why: "the context stays", err: fmt.Errorf("a: %w", fmt.Errorf("b: %w", Stall("Bad", errFault))), want: Outcome{Verdict: Stalled, Reason: "Bad"}, message: "a: b: " + errFault.Error(), cause: errFault},
		"Fail":          {why: "it may go away", err: Fail("Broken", errFault), want: Outcome{Verdict: Failed, Reason: "Broken"}, message: errFault.Error(), cause: errFault},
		"Fail wrapped":  {why: "the context stays", err: fmt.Errorf("a: %w", Fail("Broken", errFault)), want: Outcome{Verdict: Failed, Reason: "Broken"}, message: "a: " + errFault.Error(), cause: errFault},
		"Fail of none":  {why: "a failure without a text is still no success", err: Fail("Broken", nil), want: Outcome{Verdict: Failed, Reason: "Broken"}},
		"Wait":          {why: "not our turn", err: Wait("Early", time.Second, "%s is not ready: %w", "x", errFault), want: Outcome{Verdict: Waiting, Reason: "Early", After: time.Second}, message: "x is not ready: " + errFault.Error(), cause: errFault},
		"Wait wrapped":  {why: "the context stays", err: fmt.Errorf("a: %w", Wait("Early", 0, "b")), want: Outcome{Verdict: Waiting, Reason: "Early"}, message: "a: b"},
		"Progress":      {why: "the end is awaited", err: Progress(time.Minute, "%d left", 3), want: Outcome{Verdict: Progressing, Reason: "Progressing", After: time.Minute}, message: "3 left"},
		"of two":        {why: "the outer one knows more", err: Fail("Outer", Stall("Inner", errFault)), want: Outcome{Verdict: Failed, Reason: "Outer"}, message: errFault.Error(), cause: errFault},
		"any other":     {why: "an error that nobody judged may go away", err: errFault, want: Outcome{Verdict: Failed, Reason: "Failed"}, message: errFault.Error(), cause: errFault},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := outcomeOf(tc.err)
			if got.Message() != tc.message {
				t.Errorf("message is %q, want %q (%s)", got.Message(), tc.message, tc.why)
			}
			if (got.Err == nil) != (tc.want.Verdict == Succeeded) || tc.cause != nil && !errors.Is(got.Err, tc.cause) {
				t.Errorf("Err is %v, want one of %v (%s)", got.Err, tc.cause, tc.why)
			}
			if got.Err = nil; got != tc.want {
				t.Errorf("outcome is %+v, want %+v (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestVerdictString(t *testing.T) {
	t.Parallel()
	want := map[Verdict]string{
		Succeeded: "Succeeded", Progressing: "Progressing", Waiting: "Waiting", Failed: "Failed", Stalled: "Stalled",
		-1: "Verdict(-1)", Stalled + 1: "Verdict(5)",
	}
	for v, name := range want {
		if got := v.String(); got != name {
			t.Errorf("verdict %d is %q, want %q", int(v), got, name)
		}
	}
}
