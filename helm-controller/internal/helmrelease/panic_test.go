package helmrelease

import (
	"context"
	"strings"
	"testing"

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
