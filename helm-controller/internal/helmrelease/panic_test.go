package helmrelease

import (
	"context"
	"errors"
	"strings"
	"testing"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
)

// TestActionThatPanicsHasFailed, where no package below keeps it from doing so.
func TestActionThatPanicsHasFailed(t *testing.T) {
	t.Parallel()
	got := carryOut(t.Context(), plan.Uninstall, func() action.Result { panic("a value that is secret") })
	if got.Err == nil || got.Action != plan.Uninstall || strings.Contains(got.Err.Error(), "secret") {
		t.Errorf("the result is %+v; want an error that does not tell what the panic says", got)
	}
}

// TestOutcomeThatCannotBeRecordedIsSettled: it would panic each time, and hold up the end of
// the process.
func TestOutcomeThatCannotBeRecordedIsSettled(t *testing.T) {
	t.Parallel()
	r := &Reconciler{} // which has nothing to tell it by
	j := newJobs(1)
	b, _ := j.start(one, longest, func(context.Context, func() func()) {}, func(*job) {})
	await(t, "the job", b.ended)
	m := &memory{work: &work{job: b, action: plan.Install}}
	r.conclude(t.Context(), a(), m, m.work)
	if m.pass.failed == nil {
		t.Error("the pass goes on as if nothing had happened")
	}
	m.settle()
	if m.work != nil || len(j.open) != 0 {
		t.Errorf("the work is %v, open are %v; want it to be over", m.work, j.open)
	}
}

// bomb is an error that panics if it is looked at.
type bomb struct{ error }

func (bomb) Is(error) bool { panic("no") }

// TestFailuresThatCannotBeCountedStay as they were.
func TestFailuresThatCannotBeCountedStay(t *testing.T) {
	t.Parallel()
	j := newJobs(1)
	b, _ := j.start(one, longest, func(context.Context, func() func()) {}, func(*job) {})
	await(t, "the job", b.ended)
	hr := a(func(hr *helmv2.HelmRelease) { hr.Status.Failures, hr.Status.UpgradeFailures = 3, 2 })
	m := &memory{work: &work{job: b, action: plan.Upgrade, result: action.Result{Err: bomb{errors.New("it failed")}, Wrote: true}}}
	r := &Reconciler{}
	for range 2 {
		r.conclude(t.Context(), hr, m, m.work)
		if hr.Status.Failures != 3 || hr.Status.UpgradeFailures != 2 {
			t.Errorf("failures are %d, of upgrades %d; want what there was", hr.Status.Failures, hr.Status.UpgradeFailures)
		}
	}
}
