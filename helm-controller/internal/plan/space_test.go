package plan_test

import (
	"testing"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
)

// invariants hold for every input there is.
var invariants = map[string]struct {
	why   string
	holds func(in plan.Input, d plan.Decision) bool
}{
	"nothing is done while suspended": {
		"a user who suspends works by hand",
		func(in plan.Input, d plan.Decision) bool { return !in.Suspended || d.Then == plan.Conclude },
	},
	"there is an action exactly where something is done": {
		"a stalled decision never has an action",
		func(_ plan.Input, d plan.Decision) bool { return (d.Then == plan.Act) == (d.Action != plan.None) },
	},
	"a stall, and nothing else, has a reason": {
		"the condition needs one",
		func(_ plan.Input, d plan.Decision) bool { return (d.Then == plan.Stall) == (d.Reason != "") },
	},
	"everything says why": {
		"it becomes a message or a line of the log",
		func(_ plan.Input, d plan.Decision) bool { return d.Why != "" },
	},
	"no type of action comes twice in a pass": {
		"a pass must end",
		func(in plan.Input, d plan.Decision) bool { return !in.Done.Has(d.Action) },
	},
	"a release that moves is uninstalled first": {
		"there would be two otherwise",
		func(in plan.Input, d plan.Decision) bool {
			return in.Suspended || in.Moved == "" || d.Action == plan.Uninstall || d.Then == plan.Fail
		},
	},
	"nothing else is uninstalled for good": {
		"it is what a user would miss most",
		func(in plan.Input, d plan.Decision) bool { return d.Action != plan.Uninstall || in.Moved != "" },
	},
	"a locked release is unlocked and nothing else": {
		"Helm refuses all else",
		func(in plan.Input, d plan.Decision) bool {
			return !decides(in, state.Locked) || d.Action == plan.Unlock || d.Then == plan.Fail
		},
	},
	"only a locked release is unlocked": {
		"to unlock is to count as failed",
		func(in plan.Input, d plan.Decision) bool { return d.Action != plan.Unlock || in.State == state.Locked },
	},
	"nothing is done about what is unclear": {
		"it could be anything",
		func(in plan.Input, d plan.Decision) bool { return !decides(in, state.Unclear) || d.Then == plan.Fail },
	},
	"retries never exceed the limit": {
		"but a user who asks for more gets more, once",
		func(in plan.Input, d plan.Decision) bool {
			switch {
			case d.Forced || d.Action.Type() != plan.Releases || in.State == state.Unmanaged:
				return true
			case in.State == state.Absent:
				return !exhausted(in.Spec.Install, in.Counters.Installs)
			case in.State == state.OutOfSync:
				return !exhausted(in.Spec.Upgrade, in.Counters.Upgrades)
			default:
				return !exhausted(active(in), failures(in))
			}
		},
	},
	"what has no limit does not exceed it": {
		"negative retries and RetryOnFailure mean without end",
		func(in plan.Input, d plan.Decision) bool {
			return d.Reason != helmv2.ReasonRetriesExceeded || limited(in.Spec.Install) || limited(in.Spec.Upgrade)
		},
	},
	"a stall for retries has used them up": {
		"nobody gives up early",
		func(in plan.Input, d plan.Decision) bool {
			return d.Reason != helmv2.ReasonRetriesExceeded ||
				exhausted(in.Spec.Install, in.Counters.Installs) || exhausted(in.Spec.Upgrade, in.Counters.Upgrades)
		},
	},
	"RetryOnFailure never stalls, and never remediates": {
		"it upgrades for ever",
		func(in plan.Input, d plan.Decision) bool {
			return !decides(in, state.Failed) || !active(in).Retry || d.Then != plan.Stall && d.Action.Type() != plan.Remediates
		},
	},
	"only RetryOnFailure comes later": {
		"everything else is tried again at once",
		func(in plan.Input, d plan.Decision) bool { return d.Then != plan.Later || active(in).Retry },
	},
	"a release in sync is acted upon when forced only": {
		"or every look would be an upgrade",
		func(in plan.Input, d plan.Decision) bool {
			return !decides(in, state.InSync) || d.Then == plan.Conclude || (d.Then == plan.Fail || d.Then == plan.Stall) && in.Unmade || d.Action == plan.Upgrade && d.Forced
		},
	},
	"what is forced was asked for": {
		"and only once in a pass",
		func(in plan.Input, d plan.Decision) bool {
			return !d.Forced || (in.Forced || in.Unmade) && !in.Done.Has(plan.Upgrade)
		},
	},
	"what could not be made is not in order": {
		"or a chart that does not render would be ready",
		func(in plan.Input, d plan.Decision) bool {
			return !in.Unmade || in.Suspended || d.Then != plan.Conclude
		},
	},
	"who asks for a release gets it": {
		"whatever the counters say",
		func(in plan.Input, d plan.Decision) bool {
			if in.Suspended || in.Moved != "" || !in.Forced || in.Done.Has(plan.Upgrade) {
				return true
			}
			switch in.State {
			case state.Absent, state.OutOfSync, state.Failed, state.Drifted, state.InSync, state.Unmanaged:
				return d.Action.Type() == plan.Releases
			}
			return true
		},
	},
	"drift is corrected where that is asked for": {
		"warn only tells",
		func(in plan.Input, d plan.Decision) bool {
			return d.Action != plan.Correct || in.State == state.Drifted && in.Spec.Corrects
		},
	},
	"only a failure is remediated": {
		"nothing else is undone",
		func(in plan.Input, d plan.Decision) bool {
			return d.Action.Type() != plan.Remediates || in.State == state.Failed && failures(in) > 0
		},
	},
	"a rollback goes to what is there": {
		"and where that is the strategy",
		func(in plan.Input, d plan.Decision) bool {
			return d.Action != plan.Rollback || in.Target == plan.Sound && !active(in).Uninstalls
		},
	},
	"the last failure is remediated if that is asked for": {
		"it leaves the release failed otherwise",
		func(in plan.Input, d plan.Decision) bool {
			return d.Action.Type() != plan.Remediates || !exhausted(active(in), failures(in)) || active(in).RemediateLast
		},
	},
	"only what is not ours, or gone, is forgotten": {
		"a rollback needs the history",
		func(in plan.Input, d plan.Decision) bool {
			return d.Forget == (in.State == state.Unmanaged && d.Action == plan.Upgrade || d.Action == plan.Install)
		},
	},
	"the next pass follows one that did something": {
		"or passes would follow each other for nothing",
		func(in plan.Input, d plan.Decision) bool { return d.Then != plan.Again || in.Done.Any() },
	},
	"what stalls stays stalled": {
		"or each interval would try again",
		func(in plan.Input, d plan.Decision) bool {
			if d.Then != plan.Stall || !possible(in) {
				return true
			}
			in.Done, in.Forced = plan.Done{}, false
			return plan.Decide(in).Then == plan.Stall
		},
	},
}

// decides reports whether the state is what is decided by.
func decides(in plan.Input, s state.State) bool {
	return !in.Suspended && in.Moved == "" && in.State == s
}

// possible reports whether an input can come about: a pass that has remediated finds what
// that has left, which is a failed release, one of before that is to be upgraded, or none.
func possible(in plan.Input) bool {
	switch {
	case in.Done.Has(plan.Rollback) && !in.Remediated, in.Remediated && in.Done.Has(plan.Unlock):
		return false
	case in.State == state.OutOfSync && in.Attempted == plan.Install && in.Counters.Installs > 0:
		return false // an installation is remediated by an uninstallation
	}
	return true
}

func active(in plan.Input) plan.Strategy { return in.Spec.Active(in.Attempted) }

func failures(in plan.Input) int64 {
	if in.Attempted == plan.Install {
		return in.Counters.Installs
	}
	return in.Counters.Upgrades
}

// limited and exhausted are said again here in the words of the contract.
func limited(s plan.Strategy) bool { return !s.Retry && s.Retries >= 0 }

func exhausted(s plan.Strategy, failures int64) bool {
	return limited(s) && failures > int64(s.Retries)
}

// TestEveryInput tries all inputs there are, in as far as they can make a difference.
func TestEveryInput(t *testing.T) {
	t.Parallel()
	for _, s := range state.All() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			tried := 0
			everyInput(s, func(in plan.Input) bool {
				tried++
				d := plan.Decide(in)
				for name, invariant := range invariants {
					if !invariant.holds(in, d) {
						t.Errorf("%s: %s: Decide(%+v) = %+v", name, invariant.why, in, d)
						return false
					}
				}
				return true
			})
			if tried < 10_000 {
				t.Errorf("only %d inputs were tried", tried)
			}
		})
	}
}

// everyInput calls try with all inputs of a state, until it returns false.
func everyInput(s state.State, try func(plan.Input) bool) {
	in := plan.Input{State: s, Why: "because"}
	actions := []plan.Action{plan.Upgrade, plan.Rollback, plan.Test, plan.Unlock}
	if s == state.Drifted {
		actions = append(actions, plan.Correct)
	}
	had := passes(actions...)
	for _, in.Spec = range specs() {
		for _, in.Counters = range counters() {
			for _, in.Attempted = range []plan.Action{plan.None, plan.Install, plan.Upgrade} {
				for _, in.Target = range []plan.Target{plan.NoTarget, plan.Lost, plan.Sound} {
					for _, in.Done = range had {
						for flags := range 1 << 4 {
							in.Remediated, in.Forced, in.Resting = flags&1 != 0, flags&2 != 0, flags&4 != 0
							if in.Unmade = flags&8 != 0; in.Unmade && s != state.InSync && s != state.Drifted {
								break // which is not said of others
							}
							if !try(in) {
								return
							}
						}
						in.Unmade = false
					}
				}
			}
		}
		for _, in.Done = range passes(plan.Upgrade, plan.Unlock, plan.Uninstall) {
			for flags := range 1 << 2 {
				in.Suspended, in.Moved, in.Forced = flags&1 != 0, "", flags&2 != 0
				if !in.Suspended {
					in.Moved = "elsewhere"
				}
				if !try(in) {
					return
				}
			}
			in.Suspended, in.Moved, in.Forced = false, "", false
		}
	}
}

// specs returns strategies of all kinds, one of them at a time beside one that is plain.
func specs() []plan.Spec {
	var all []plan.Spec
	plain := plan.Strategy{Retries: 1, RemediateLast: true}
	for _, s := range strategies() {
		all = append(all, plan.Spec{Install: s, Upgrade: plain}, plan.Spec{Install: plain, Upgrade: s, Corrects: true})
	}
	return all
}

func strategies() []plan.Strategy {
	all := []plan.Strategy{{Retry: true}}
	for _, retries := range []int{-1, 0, 1} {
		for flags := range 1 << 2 {
			all = append(all, plan.Strategy{Retries: retries, RemediateLast: flags&1 != 0, Uninstalls: flags&2 != 0})
		}
	}
	return all
}

func counters() []plan.Counters {
	var all []plan.Counters
	for _, pair := range [][2]int64{{0, 0}, {1, 1}, {2, 0}, {0, 2}} {
		all = append(all, plan.Counters{All: pair[0] + pair[1], Installs: pair[0], Upgrades: pair[1]})
	}
	return all
}

// passes returns all that a pass may have done, of some actions.
func passes(actions ...plan.Action) []plan.Done {
	var all []plan.Done
	for set := range 1 << len(actions) {
		var d plan.Done
		for i, a := range actions {
			if set&(1<<i) != 0 {
				d = d.With(a)
			}
		}
		all = append(all, d)
	}
	return all
}
