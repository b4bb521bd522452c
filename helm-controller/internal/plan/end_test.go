package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
)

// world is a release and what its HelmRelease knows of it, as far as it matters.
type world struct {
	exists     bool
	status     string
	wanted     bool // it is made of what is asked for
	tests      verdict
	good       bool // there is an earlier release to go back to
	remediated bool
	attempted  plan.Action
	counters   plan.Counters
}

type verdict int

const (
	unknown verdict = iota
	passed
	failed
)

// rules are what does not change.
type rules struct {
	spec   plan.Spec
	tested bool // tests are asked for
}

// state is what a world is observed to be.
func (w world) state(r rules) state.State {
	f := state.Facts{Tests: state.Tests{
		Wanted: r.tested, Run: w.tests != unknown, Failed: w.tests == failed, Ignored: r.spec.Active(w.attempted).IgnoreTests,
	}}
	if w.exists {
		f.Stored = &state.Release{Status: w.status}
		f.Recorded = &state.Entry{Fits: true}
		if !w.wanted {
			f.Stored.ChartVersion = "another"
		}
	}
	s, _ := state.Of(f)
	return s
}

// after returns what a world may be after an action: it may succeed, or fail. An action
// that fails before it has written anything ends the pass, so it is none of the outcomes.
func (w world) after(a plan.Action, r rules) []world {
	good := w.good || w.exists && w.status == state.StatusDeployed && w.tests != failed
	done, undone := w, w
	switch a {
	case plan.Install, plan.Upgrade:
		done = world{exists: true, status: state.StatusDeployed, wanted: true, good: good, attempted: a, counters: w.counters}
		undone = done
		undone.status = state.StatusFailed
	case plan.Test:
		done.tests, undone.tests = passed, failed
	case plan.Rollback:
		done.status, done.wanted, done.tests, done.remediated = state.StatusDeployed, false, unknown, true
		undone.status, undone.tests, undone.remediated = state.StatusFailed, unknown, true
	case plan.UninstallRemediation:
		done.exists, done.remediated, done.good = false, true, false
		undone.status, undone.remediated = state.StatusUninstalling, true
	case plan.Unlock:
		done.status = state.StatusFailed
		return []world{done}
	case plan.Correct:
		return []world{done}
	}
	undone.counters = w.counters.After(plan.Outcome{Action: a, Failed: true, Wrote: true}, undone.attempted, r.spec)
	return []world{done, undone}
}

// place is a world in the middle of a pass.
type place struct {
	world
	done plan.Done
}

// journey follows all that may happen.
type journey struct {
	rules rules
	open  map[place]bool // where we are on the way
	ends  map[place]bool // from where every way is known to end
	steps int
}

// follow returns a way that does not end; nil if all do.
func (j *journey) follow(w world, done plan.Done, way []string) (endless []string) {
	key := place{w, done}
	switch {
	case j.ends[key]:
		return nil
	case j.open[key], len(j.open) > 200:
		return way
	}
	j.steps++
	j.open[key] = true
	defer delete(j.open, key)
	in := plan.Input{
		State: w.state(j.rules), Why: "because", Spec: j.rules.spec, Attempted: w.attempted, Counters: w.counters, Remediated: w.remediated, Done: done,
	}
	if w.good {
		in.Target = plan.Sound
	}
	d := plan.Decide(in)
	way = append(way, fmt.Sprintf("%s->%s %s", in.State, d.Then, d.Action))
	switch d.Then {
	case plan.Act:
		for _, next := range w.after(d.Action, j.rules) {
			if endless := j.follow(next, done.With(d.Action), way); endless != nil {
				return endless
			}
		}
	case plan.Again:
		if endless := j.follow(w, plan.Done{}, way); endless != nil {
			return endless
		}
	case plan.Fail:
		if in.State != state.Locked { // which an uninstallation that fails leaves
			return append(way, d.Why)
		}
	}
	j.ends[key] = true
	return nil
}

// TestEverythingEnds: whatever fails, as often as it may, the release is as it should be
// in the end, or stalled, or rests until it is retried.
func TestEverythingEnds(t *testing.T) {
	t.Parallel()
	for _, spec := range specs() {
		if unlimited(spec.Install) || unlimited(spec.Upgrade) {
			continue
		}
		for _, tested := range []bool{false, true} {
			j := &journey{rules: rules{spec: spec, tested: tested}, open: make(map[place]bool), ends: make(map[place]bool)}
			for _, w := range beginnings() {
				if endless := j.follow(w, plan.Done{}, nil); endless != nil {
					t.Fatalf("with %+v, tests %t, beginning with %+v: there is no end to\n%s", spec, tested, w, strings.Join(endless, ", "))
				}
			}
			if j.steps < 20 {
				t.Errorf("with %+v: only %d steps were taken", spec, j.steps)
			}
		}
	}
}

// unlimited reports whether a strategy goes on for ever without a rest.
func unlimited(s plan.Strategy) bool { return !s.Retry && s.Retries < 0 }

// beginnings returns what a process may find when it starts and nothing has failed yet.
func beginnings() []world {
	var all []world
	for _, attempted := range []plan.Action{plan.None, plan.Install, plan.Upgrade} {
		all = append(all, world{attempted: attempted})
		for _, status := range []string{
			state.StatusDeployed, state.StatusFailed, state.StatusUninstalled,
			state.StatusPendingInstall, state.StatusPendingUpgrade, state.StatusPendingRollback, state.StatusUninstalling,
		} {
			for flags := range 1 << 2 {
				all = append(all, world{
					exists: true, status: status, wanted: flags&1 != 0, good: flags&2 != 0, attempted: attempted,
					remediated: status == state.StatusPendingRollback,
				})
			}
		}
	}
	return all
}
