package action_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/pkg/testplane"
)

// interrupt carries out an action that is interrupted, because of cause, when it writes a
// ConfigMap.
func (w *world) interrupt(cause error, what plan.Action, change ...func(*action.Input)) action.Result {
	w.t.Helper()
	ctx, cancel := context.WithCancelCause(w.t.Context())
	defer cancel(nil)
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Resource != "configmaps" || !r.Write() || ctx.Err() != nil {
			return nil
		}
		cancel(cause)
		return errBroken
	})
	defer w.Traffic.Break(nil)
	res := w.run(ctx, what, change...)
	w.says(res.Err, cause.Error())
	return res
}

// failedUpgrade installs, and upgrades to what fails once the value was changed. It returns the
// release to go back to.
func (w *world) failedUpgrade() *helmv2.Snapshot {
	w.t.Helper()
	w.must(plan.Install)
	target := w.hr.Status.History[0]
	w.values = map[string]any{"value": "two"}
	w.templates = append(w.templates, strings.Replace(refused, "{name: refused}", "{name: refused, "+hook("post-upgrade")+"}", 1))
	if w.do(plan.Upgrade).Err == nil {
		w.t.Fatal("the upgrade succeeded")
	}
	return target
}

// TestInterruptedRollbackIsRepeated: who was stopped in the middle of it has not failed to go back.
func TestInterruptedRollbackIsRepeated(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{action.ErrStopping, errors.New("it has worked for too long")} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			target := w.failedUpgrade()
			w.interrupt(cause, plan.Rollback, func(in *action.Input) { in.Target = target })
			w.restart() // and what came of it is lost
			got := w.goOn(plan.Spec{Upgrade: plan.Strategy{RemediateLast: true}}, plan.Counters{All: 1, Upgrades: 1})
			switch value := w.value("settings"); {
			case !errors.Is(cause, action.ErrStopping):
				if got.Reason != helmv2.ReasonRetriesExceeded || w.stored()[0] != "3 failed" {
					t.Errorf("it ends by %s: %s, and %q is stored; want the rollback to have failed", got.Then, got.Why, w.stored())
				}
			case w.stored()[0] != "4 deployed" || value != "one":
				t.Errorf("it ends by %s: %s, the value is %q, and %q is stored; want it to have been rolled back", got.Then, got.Why, value, w.stored())
			}
		})
	}
}

// TestStoppedTestIsRepeated: a test that nobody waited for did not fail, whether or not what came
// of it was saved.
func TestStoppedTestIsRepeated(t *testing.T) {
	t.Parallel()
	for name, saved := range map[string]bool{"saved": true, "lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true} })
			w.templates = append(w.templates, configMap("first", "x", hook("test")), configMap("second", "x", hook("test")))
			w.must(plan.Install)
			res := w.interrupt(action.ErrStopping, plan.Test)
			if saved {
				w.hr.Status.History = state.Record(w.hr.Status.History, res.Snapshots...)
			}
			if s := w.hr.Status.History[0]; s.HasBeenTested() {
				t.Errorf("the tests are said to have run: %+v", *s.TestHooks)
			}
			w.restart()
			if got := w.state(); got != state.Untested {
				t.Errorf("the release is %s", got)
			}
			if got := w.goOn(plan.Spec{Upgrade: plan.Strategy{RemediateLast: true}}, plan.Counters{}); got.Then != plan.Conclude {
				t.Errorf("it ends by %s: %s", got.Then, got.Why)
			}
			w.is("stored", w.stored(), "1 deployed")
			tests := *w.hr.Status.History[0].TestHooks
			if len(tests) != 2 || tests["first"].Phase != state.PhaseSucceeded || tests["second"].Phase != state.PhaseSucceeded {
				t.Errorf("the tests are %+v", tests)
			}
		})
	}
}

// TestHookThatIsAlsoATest: an install runs it, and no tests by that.
func TestHookThatIsAlsoATest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true} })
	w.templates = append(w.templates, configMap("account", "x", hook("pre-install,pre-upgrade,test")), configMap("pure", "x", hook("test")))
	w.must(plan.Install)
	if got := w.state(); got != state.Untested {
		t.Errorf("the release is %s", got)
	}
	w.must(plan.Test)
	if got := w.state(); got != state.InSync {
		t.Errorf("after the tests, the release is %s", got)
	}
}

// TestUnlockThatIsNotRecorded: a release that was unlocked by a process that could not tell is the
// one that it was before, and the rollback that left it is repeated.
func TestUnlockThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.failedUpgrade()
	res := w.interrupt(action.ErrStopping, plan.Rollback, func(in *action.Input) { in.Target = target })
	w.hr.Status.History = state.Record(w.hr.Status.History, res.Snapshots...)
	w.restart()
	before := slices.Clone(w.hr.Status.History)
	if got := w.state(); got != state.Locked {
		t.Fatalf("the release is %s", got)
	}
	w.must(plan.Unlock)
	w.hr.Status.History = before
	w.restart()
	got := w.goOn(plan.Spec{Upgrade: plan.Strategy{RemediateLast: true}}, plan.Counters{All: 1, Upgrades: 1})
	if got.Reason != helmv2.ReasonRetriesExceeded {
		t.Errorf("it ends by %s: %s", got.Then, got.Why)
	}
	if w.stored()[0] != "4 deployed" || w.value("settings") != "one" {
		t.Errorf("the value is %q, and %q is stored; want it to have been rolled back", w.value("settings"), w.stored())
	}
	w.is("history", w.remembered(), "4 deployed rollback", "3 failed rollback", "2 failed upgrade", "1 superseded install")
}
