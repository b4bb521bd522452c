package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
)

// Verdict is how a run ended.
type Verdict int

const (
	// Succeeded means that the object is as its spec says.
	Succeeded Verdict = iota
	// Progressing means that the run goes on later, without holding a worker.
	Progressing
	// Waiting means that it is not this object's turn yet.
	Waiting
	// Failed means an error that may go away by itself; the run is repeated.
	Failed
	// Stalled means an error that only a new spec can mend; the run is not repeated.
	Stalled
)

// String returns the name of the verdict.
func (v Verdict) String() string {
	names := [...]string{"Succeeded", "Progressing", "Waiting", "Failed", "Stalled"}
	if v < 0 || int(v) >= len(names) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return names[v]
}

// Outcome is how a run ended and why.
type Outcome struct {
	Verdict Verdict
	// Reason is the CamelCase reason of the conditions; empty on success.
	Reason string
	// Err says what is in the way; nil on success.
	Err error
	// After is when a Waiting or Progressing run is repeated at the latest; zero
	// leaves it to an event.
	After time.Duration
}

// Message returns the text for conditions and events; empty on success.
func (o Outcome) Message() string {
	if o.Err == nil {
		return ""
	}
	return o.Err.Error()
}

// outcomeError carries an Outcome through the steps of a run.
type outcomeError struct{ Outcome }

func (e *outcomeError) Error() string { return e.Message() }
func (e *outcomeError) Unwrap() error { return e.Err }

// errDone ends a run early and well.
var errDone = errors.New("done")

// Stall reports an error that only a change of the spec can mend.
func Stall(reason string, err error) error {
	return &outcomeError{Outcome{Verdict: Stalled, Reason: reason, Err: err}}
}

// Fail reports an error that may go away without a change of the spec.
func Fail(reason string, err error) error {
	return &outcomeError{Outcome{Verdict: Failed, Reason: reason, Err: err}}
}

// Wait reports that it is not this object's turn yet, because of something that
// is expected to change: no error is logged. The run is repeated when an event
// asks for it, and after d at the latest; zero means only by an event.
func Wait(reason string, d time.Duration, format string, args ...any) error {
	return &outcomeError{Outcome{Verdict: Waiting, Reason: reason, After: d, Err: fmt.Errorf(format, args...)}}
}

// Progress reports that the work was begun and its end is awaited, without
// holding a worker. The run is repeated like that of Wait.
func Progress(d time.Duration, format string, args ...any) error {
	return &outcomeError{Outcome{Verdict: Progressing, Reason: meta.ProgressingReason, After: d, Err: fmt.Errorf(format, args...)}}
}

// Done ends a run early and well.
func Done() error { return errDone }

// Run calls the steps in order with the state of one run, until one returns an
// error or the context ends. Done counts as success.
func Run[S any](ctx context.Context, state S, steps ...func(context.Context, S) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := step(ctx, state); err != nil {
			if errors.Is(err, errDone) {
				return nil
			}
			return err
		}
	}
	return nil
}

// outcomeOf classifies the error that a run returned.
func outcomeOf(err error) Outcome {
	var known *outcomeError
	switch {
	case err == nil, errors.Is(err, errDone):
		return Outcome{Verdict: Succeeded}
	case errors.As(err, &known):
		out := known.Outcome
		out.Err = err // with what was wrapped around it on its way
		return out
	default:
		return Outcome{Verdict: Failed, Reason: meta.FailedReason, Err: err}
	}
}
