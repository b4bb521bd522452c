package action_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/pkg/testplane"
)

// dead is a process that is killed before it makes a request: that one, and all that follow,
// do not come through.
type dead struct {
	mu   sync.Mutex
	left int
}

var errDead = errors.New("the process is dead")

// kill has the process die before its nth request from now.
func (w *world) kill(nth int) *dead {
	d := &dead{left: nth}
	w.Traffic.Break(func(r testplane.Request) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.left > 0 && !r.Watch {
			d.left--
		}
		if d.left == 0 {
			return errDead
		}
		return nil
	})
	return d
}

// died reports whether the process got that far.
func (d *dead) died() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left == 0
}

// attempted is the last of Install and Upgrade that was attempted.
func (w *world) attempted() plan.Action {
	switch w.hr.Status.LastAttemptedReleaseAction {
	case helmv2.ReleaseActionInstall:
		return plan.Install
	case helmv2.ReleaseActionUpgrade:
		return plan.Upgrade
	default:
		return plan.None
	}
}

// goOn does what is decided, as the next process would, until nothing more is to be done. It
// returns the decision that ends it.
func (w *world) goOn(spec plan.Spec, counters plan.Counters) plan.Decision {
	w.t.Helper()
	var done plan.Done
	for range 20 {
		found, err := w.observe()
		if err != nil {
			w.t.Fatalf("observing: %v", err)
		}
		w.hr.Status.History = state.Record(w.hr.Status.History, found.Recovered...)
		in := plan.Input{
			State: found.State, Why: found.Why, Spec: spec, Attempted: w.attempted(),
			Counters: counters, Remediated: found.Remediated, Done: done,
		}
		switch {
		case found.Sound:
			in.Target = plan.Sound
		case found.Previous != nil:
			in.Target = plan.Lost
		}
		d := plan.Decide(in)
		switch d.Then {
		case plan.Act:
		case plan.Again:
			done = plan.Done{}
			continue
		default:
			return d
		}
		if d.Forget {
			w.hr.Status.History = nil
		}
		done = done.With(d.Action)
		res := w.do(d.Action, func(in *action.Input) { in.Target, in.Drift = found.Previous, found.Drift })
		counters = counters.After(plan.Outcome{Action: d.Action, Failed: res.Err != nil, Wrote: res.Wrote}, w.attempted(), spec)
	}
	w.t.Fatalf("there is no end: %v is stored, and %v remembered", w.stored(), w.remembered())
	return plan.Decision{}
}

// TestKilledAnywhere: whenever a process is killed in the middle of an action, the next one
// ends where it would have, and the history is intact.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	remediates := plan.Spec{Upgrade: plan.Strategy{RemediateLast: true}}
	uninstalls := plan.Spec{Upgrade: plan.Strategy{Retries: 1, RemediateLast: true, Uninstalls: true}}
	failed := plan.Counters{All: 1, Upgrades: 1}
	upgraded := func(w *world) {
		w.must(plan.Install)
		w.values = map[string]any{"value": "two"}
	}
	broken := func(w *world) {
		upgraded(w)
		w.templates = append(w.templates, refused)
		if w.do(plan.Upgrade).Err == nil {
			w.t.Fatal("the upgrade succeeded")
		}
	}
	mended := func(w *world) {
		broken(w)
		w.templates = w.templates[:len(w.templates)-1]
	}
	tests := map[string]struct {
		before   func(*world)
		what     plan.Action
		spec     plan.Spec
		counters plan.Counters
		then     plan.Then
		value    string
		newest   string // what is stored in the end, but for its version
	}{
		"install":   {before: func(*world) {}, what: plan.Install, then: plan.Conclude, value: "one", newest: "deployed"},
		"upgrade":   {before: upgraded, what: plan.Upgrade, then: plan.Conclude, value: "two", newest: "deployed"},
		"rollback":  {before: broken, what: plan.Rollback, spec: remediates, counters: failed, then: plan.Stall, value: "one", newest: "deployed"},
		"uninstall": {before: mended, what: plan.UninstallRemediation, spec: uninstalls, counters: failed, then: plan.Conclude, value: "two", newest: "deployed"},
		"test":      {before: func(w *world) { w.must(plan.Install) }, what: plan.Test, then: plan.Conclude, value: "one", newest: "deployed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *helmv2.HelmReleaseSpec) {
				s.Test = &helmv2.Test{Enable: true}
				detecting()(s)
			})
			templates := append(w.templates, configMap("hooked", "x", hook("pre-install,pre-upgrade,pre-rollback,pre-delete,test")))
			for n := 1; ; n++ {
				w.hr.Status, w.values, w.templates = helmv2.HelmReleaseStatus{}, map[string]any{"value": "one"}, slices.Clone(templates)
				tc.before(w)
				found, err := w.observe()
				if err != nil {
					t.Fatal(err)
				}
				w.attempt(tc.what)
				d := w.kill(n)
				w.run(t.Context(), tc.what, func(in *action.Input) { in.Target = found.Previous })
				w.process.stop()
				w.Traffic.Break(nil)
				w.start()
				if got := w.goOn(tc.spec, tc.counters); got.Then != tc.then {
					t.Errorf("killed before request %d: it ends by %s: %s", n, got.Then, got.Why)
				}
				w.intact(n, tc.value, tc.newest)
				if !d.died() {
					if n < 5 {
						t.Errorf("the action was over after %d requests, which tests little", n)
					}
					return
				}
				w.must(plan.Uninstall)
			}
		})
	}
}

// intact fails the test unless the release is as it should be in the end.
func (w *world) intact(n int, value, newest string) {
	w.t.Helper()
	stored := w.stored()
	for i, s := range stored {
		_, status, _ := strings.Cut(s, " ")
		if i == 0 && status != newest || strings.HasPrefix(status, "pending") || i > 0 && status == "deployed" {
			w.t.Errorf("killed before request %d: %v is stored", n, stored)
		}
	}
	if len(stored) == 0 && newest != "" {
		w.t.Errorf("killed before request %d: nothing is stored", n)
	}
	if got := w.value("settings"); got != value {
		w.t.Errorf("killed before request %d: the value is %q, want %q", n, got, value)
	}
	if len(stored) == 0 {
		return
	}
	last, err := w.storage().Last(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := last.Verify(w.hr.Status.History[0]); err != nil {
		w.t.Errorf("killed before request %d: the history is not of what is stored: %v", n, err)
	}
}

// TestInterrupted: an action whose context ends is over at once, and is stored as failed.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(plan.Install)
	w.values = map[string]any{"value": "two"}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("there is a newer revision")
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Resource == "configmaps" {
			cancel(cause)
		}
		return nil
	})
	w.attempt(plan.Upgrade)
	res := w.run(ctx, plan.Upgrade)
	w.says(res.Err, cause.Error())
	if got := w.stored()[0]; got != "2 failed" {
		t.Errorf("%q is stored", got)
	}
	w.restart() // and what came of it is lost
	if got := w.goOn(plan.Spec{}, plan.Counters{}); got.Then != plan.Conclude {
		t.Errorf("it ends by %s: %s", got.Then, got.Why)
	}
	w.is("history", w.remembered(), "3 deployed upgrade", "2 failed upgrade", "1 superseded install")
}

// TestInterruptedUninstallGoesOn: what is not done yet needs the release to be done.
func TestInterruptedUninstallGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.templates = append(w.templates, configMap("last-words", "x", hook("post-delete")))
	w.must(plan.Install)
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "settings"}}
	w.Patch(held, "test", "metadata: {finalizers: [example.com/held]}")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan action.Result, 1)
	go func() { ended <- w.run(ctx, plan.Uninstall) }()
	w.Wait("the deletion of an object", held, func() bool { return held.DeletionTimestamp != nil })
	cancel(errors.New("the controller is stopping"))
	res := <-ended
	w.says(res.Err, "the controller is stopping")
	w.is("stored", w.stored(), "1 uninstalling")

	held.Finalizers = nil
	if err := w.Client.Update(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.must(plan.Uninstall)
	w.is("stored", w.stored())
	if got := w.value("last-words"); got != "x" {
		t.Errorf("the hook after the uninstallation left %q; want it to have run", got)
	}
}
