package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
)

// TestRows has the rows of the contract, one by one.
func TestRows(t *testing.T) {
	t.Parallel()
	rollsBack := plan.Strategy{Retries: 1, RemediateLast: true}
	uninstalls := plan.Strategy{Retries: 1, Uninstalls: true, RemediateLast: true}
	once := plan.Strategy{}
	retry := plan.Strategy{Retry: true}
	const retries, target = helmv2.ReasonRetriesExceeded, helmv2.ReasonMissingRollbackTarget
	tests := map[string]struct {
		why  string
		in   plan.Input
		want plan.Decision // but for Why
	}{
		"in sync":         {"nothing is to be done", plan.Input{State: state.InSync}, plan.Decision{Then: plan.Conclude, Truncate: true}},
		"in sync, forced": {"the user asks", plan.Input{State: state.InSync, Forced: true}, act(plan.Upgrade, forced)},
		"in sync, unmade": {"the user has asked, and got nothing", plan.Input{State: state.InSync, Unmade: true}, act(plan.Upgrade, forced)},
		"in sync, unmade, exhausted": {"it was stored and rolled back as often as it may be",
			plan.Input{State: state.InSync, Unmade: true, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: once}}, stall(retries)},
		"in sync, unmade, once more": {"retries are left",
			plan.Input{State: state.InSync, Unmade: true, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: rollsBack}}, act(plan.Upgrade, forced)},
		"in sync, exhausted, asked": {"the user asks again",
			plan.Input{State: state.InSync, Unmade: true, Forced: true, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: once}}, act(plan.Upgrade, forced)},
		"drifted, unmade, exhausted": {"drift is undone all the same",
			plan.Input{State: state.Drifted, Unmade: true, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: once, Corrects: true}}, act(plan.Correct)},
		"in sync, unmade again":     {"the next pass tries it", plan.Input{State: state.InSync, Unmade: true, Done: had(plan.Upgrade)}, plan.Decision{Then: plan.Fail}},
		"drifted, unmade":           {"an upgrade mends it too", plan.Input{State: state.Drifted, Unmade: true}, act(plan.Upgrade, forced)},
		"drifted, unmade again":     {"drift is no reason to wait", plan.Input{State: state.Drifted, Unmade: true, Spec: plan.Spec{Corrects: true}, Done: had(plan.Upgrade)}, act(plan.Correct)},
		"drifted, unmade, warn":     {"it is not in order", plan.Input{State: state.Drifted, Unmade: true, Done: had(plan.Upgrade)}, plan.Decision{Then: plan.Fail}},
		"in sync, force had":        {"it counts once", plan.Input{State: state.InSync, Forced: true, Done: had(plan.Upgrade)}, plan.Decision{Then: plan.Conclude, Truncate: true}},
		"locked":                    {"at once, whatever its age", plan.Input{State: state.Locked}, act(plan.Unlock)},
		"locked, forced":            {"nothing else goes before", plan.Input{State: state.Locked, Forced: true}, act(plan.Unlock)},
		"absent":                    {"first release", plan.Input{State: state.Absent}, act(plan.Install, forgetting)},
		"absent, exhausted":         {"0 retries are 1 attempt", plan.Input{State: state.Absent, Attempted: plan.Install, Counters: installs(1)}, stall(retries)},
		"absent, exhausted, forced": {"the force overrides", plan.Input{State: state.Absent, Attempted: plan.Install, Counters: installs(1), Forced: true}, act(plan.Install, forgetting, forced)},
		"absent, retries left": {"1 retry is 2 attempts",
			plan.Input{State: state.Absent, Spec: plan.Spec{Install: uninstalls}, Attempted: plan.Install, Counters: installs(1)}, act(plan.Install, forgetting)},
		"absent, without limit": {"negative is infinite",
			plan.Input{State: state.Absent, Spec: plan.Spec{Install: plan.Strategy{Retries: -1}}, Attempted: plan.Install, Counters: installs(99)}, act(plan.Install, forgetting)},
		"absent after a remediation": {"the retry is a new pass",
			plan.Input{State: state.Absent, Spec: plan.Spec{Install: uninstalls}, Attempted: plan.Install, Counters: installs(1), Done: had(plan.Install, plan.UninstallRemediation)}, plan.Decision{Then: plan.Again}},
		"absent after the last remediation": {"stalled at once when nothing is left",
			plan.Input{State: state.Absent, Spec: plan.Spec{Install: uninstalls}, Attempted: plan.Install, Counters: installs(2), Done: had(plan.Install, plan.UninstallRemediation)}, stall(retries)},
		"absent, an upgrade was uninstalled": {"or an installation would be the retry that is not left",
			plan.Input{State: state.Absent, Spec: plan.Spec{Upgrade: uninstalls}, Attempted: plan.Upgrade, Counters: upgrades(2), Remediated: true}, stall(retries)},
		"unmanaged":            {"it is adopted", plan.Input{State: state.Unmanaged}, act(plan.Upgrade, forgetting)},
		"unmanaged, exhausted": {"that was about another release", plan.Input{State: state.Unmanaged, Counters: upgrades(9)}, act(plan.Upgrade, forgetting)},
		"out of sync":          {"", plan.Input{State: state.OutOfSync}, act(plan.Upgrade)},
		"out of sync, exhausted": {"as after a rollback",
			plan.Input{State: state.OutOfSync, Attempted: plan.Upgrade, Counters: upgrades(1)}, stall(retries)},
		"out of sync, exhausted, forced": {"the force overrides",
			plan.Input{State: state.OutOfSync, Attempted: plan.Upgrade, Counters: upgrades(1), Forced: true}, act(plan.Upgrade, forced)},
		"out of sync after a rollback": {"the retry is a new pass",
			plan.Input{State: state.OutOfSync, Spec: plan.Spec{Upgrade: rollsBack}, Attempted: plan.Upgrade, Counters: upgrades(1), Remediated: true, Done: had(plan.Upgrade, plan.Rollback)}, plan.Decision{Then: plan.Again}},
		"out of sync after an upgrade": {"it would be upgraded for ever",
			plan.Input{State: state.OutOfSync, Attempted: plan.Upgrade, Done: had(plan.Upgrade)}, plan.Decision{Then: plan.Fail}},
		"untested":                  {"", plan.Input{State: state.Untested}, act(plan.Test)},
		"untested after both":       {"the newest was not tested", plan.Input{State: state.Untested, Done: had(plan.Test, plan.Upgrade)}, plan.Decision{Then: plan.Again}},
		"drifted, enabled":          {"", plan.Input{State: state.Drifted, Spec: plan.Spec{Corrects: true}}, act(plan.Correct)},
		"drifted, warn":             {"only told", plan.Input{State: state.Drifted}, plan.Decision{Then: plan.Conclude}},
		"drifted again":             {"the watch will tell", plan.Input{State: state.Drifted, Spec: plan.Spec{Corrects: true}, Done: had(plan.Correct)}, plan.Decision{Then: plan.Conclude}},
		"drifted, forced":           {"an upgrade mends it too", plan.Input{State: state.Drifted, Forced: true}, act(plan.Upgrade, forced)},
		"failed, retried":           {"RetryOnFailure upgrades", plan.Input{State: state.Failed, Spec: plan.Spec{Install: retry}, Attempted: plan.Install, Counters: installs(1)}, act(plan.Upgrade, truncating)},
		"failed, retried, resting":  {"at an interval", plan.Input{State: state.Failed, Spec: plan.Spec{Upgrade: retry}, Counters: upgrades(1), Resting: true}, plan.Decision{Then: plan.Later, Truncate: true}},
		"failed, retried, changed":  {"something new does not wait", plan.Input{State: state.Failed, Spec: plan.Spec{Upgrade: retry}, Resting: true}, act(plan.Upgrade, truncating)},
		"failed in this very pass":  {"at an interval", plan.Input{State: state.Failed, Spec: plan.Spec{Upgrade: retry}, Counters: upgrades(1), Done: had(plan.Upgrade)}, plan.Decision{Then: plan.Later, Truncate: true}},
		"failed, retried, forced":   {"the user does not wait", plan.Input{State: state.Failed, Spec: plan.Spec{Upgrade: retry}, Counters: upgrades(1), Resting: true, Forced: true}, act(plan.Upgrade, forced, truncating)},
		"failed, nothing attempted": {"as if by somebody else", plan.Input{State: state.Failed}, act(plan.Upgrade)},
		"failed, changed since":     {"it is another attempt", plan.Input{State: state.Failed, Spec: plan.Spec{Upgrade: rollsBack}, Attempted: plan.Upgrade, Target: plan.Sound}, act(plan.Upgrade)},
		"failed, forced":            {"", plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Forced: true}, act(plan.Upgrade, forced)},
		"failed, exhausted":         {"the last failure stays", plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: once}}, stall(retries)},
		"failed, last is remediated": {"",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(2), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Sound}, act(plan.Rollback, truncating)},
		"failed, no target": {"",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: rollsBack}}, stall(target, truncating)},
		"failed, target lost": {"the upgrade is tried again",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Lost}, act(plan.Upgrade, truncating)},
		"failed, target lost, exhausted": {"but not without end",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(2), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Lost}, stall(retries, truncating)},
		"failed, target sound": {"",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Sound}, act(plan.Rollback, truncating)},
		"failed, uninstalls": {"",
			plan.Input{State: state.Failed, Attempted: plan.Install, Counters: installs(1), Spec: plan.Spec{Install: uninstalls}}, act(plan.UninstallRemediation, truncating)},
		"the rollback failed": {"the retry comes next, not the rollback for ever",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Sound, Remediated: true}, act(plan.Upgrade)},
		"the rollback of the last failure failed": {"",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(2), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Sound, Remediated: true}, stall(retries)},
		"the rollback was killed": {"it is done again",
			plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(2), Spec: plan.Spec{Upgrade: rollsBack}, Target: plan.Sound, Remediated: true, Done: had(plan.Unlock)}, act(plan.Rollback, truncating)},
		"moved":     {"before anything else", plan.Input{State: state.Absent, Moved: "elsewhere"}, act(plan.Uninstall)},
		"suspended": {"", plan.Input{State: state.Locked, Moved: "elsewhere", Suspended: true}, plan.Decision{Then: plan.Conclude}},
		"unclear":   {"it is an error", plan.Input{State: state.Unclear}, plan.Decision{Then: plan.Fail}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.in.Why = "because"
			got := plan.Decide(tc.in)
			got.Why = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Decide(%+v): %s\n%s", tc.in, tc.why, diff)
			}
		})
	}
}

// TestStallMessages: other programs match on them.
func TestStallMessages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   plan.Input
		want string
	}{
		"install":  {plan.Input{State: state.Absent, Attempted: plan.Install, Counters: installs(1)}, "Failed to install after 1 attempt(s)"},
		"upgrade":  {plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1)}, "Failed to upgrade after 1 attempt(s)"},
		"rollback": {plan.Input{State: state.Failed, Attempted: plan.Upgrade, Counters: upgrades(1), Spec: plan.Spec{Upgrade: plan.Strategy{Retries: 1}}}, "Failed to perform remediation: missing target release for rollback"},
	}
	for name, tc := range tests {
		if got := plan.Decide(tc.in).Why; got != tc.want {
			t.Errorf("%s: Why = %q, want %q", name, got, tc.want)
		}
	}
}

// TestCounters: what counts, and against what.
func TestCounters(t *testing.T) {
	t.Parallel()
	ignores := plan.Spec{Upgrade: plan.Strategy{IgnoreTests: true}}
	tests := map[string]struct {
		why       string
		outcome   plan.Outcome
		attempted plan.Action
		spec      plan.Spec
		want      plan.Counters
	}{
		"success":             {"nothing failed", plan.Outcome{Action: plan.Install, Wrote: true}, plan.Install, plan.Spec{}, plan.Counters{}},
		"template":            {"nothing was written", plan.Outcome{Action: plan.Install, Failed: true}, plan.Install, plan.Spec{}, plan.Counters{}},
		"install":             {"", plan.Outcome{Action: plan.Install, Failed: true, Wrote: true}, plan.Install, plan.Spec{}, plan.Counters{All: 1, Installs: 1}},
		"upgrade":             {"", plan.Outcome{Action: plan.Upgrade, Failed: true, Wrote: true}, plan.Upgrade, plan.Spec{}, plan.Counters{All: 1, Upgrades: 1}},
		"test of an install":  {"as a failure of what was attempted", plan.Outcome{Action: plan.Test, Failed: true, Wrote: true}, plan.Install, plan.Spec{}, plan.Counters{All: 1, Installs: 1}},
		"test of an upgrade":  {"as a failure of what was attempted", plan.Outcome{Action: plan.Test, Failed: true, Wrote: true}, plan.Upgrade, plan.Spec{}, plan.Counters{All: 1, Upgrades: 1}},
		"test that is nought": {"no retry is used up", plan.Outcome{Action: plan.Test, Failed: true, Wrote: true}, plan.Upgrade, ignores, plan.Counters{All: 1}},
		"cut off":             {"that is no failure of the release", plan.Outcome{Action: plan.Upgrade, Failed: true, Wrote: true, Cut: true}, plan.Upgrade, plan.Spec{}, plan.Counters{}},
		"rollback":            {"no retry is used up", plan.Outcome{Action: plan.Rollback, Failed: true, Wrote: true}, plan.Upgrade, plan.Spec{}, plan.Counters{All: 1}},
	}
	for name, tc := range tests {
		got := plan.Counters{}.After(tc.outcome, tc.attempted, tc.spec)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s\n%s", name, tc.why, diff)
		}
	}
}

// TestResets: failures count until something else is attempted.
func TestResets(t *testing.T) {
	t.Parallel()
	last := plan.Attempt{Generation: 1, ChartVersion: "1.0.0", ConfigDigest: "a"}
	tests := map[string]struct {
		now   plan.Attempt
		asked bool
		want  bool
	}{
		"the same":   {now: last},
		"generation": {now: plan.Attempt{Generation: 2, ChartVersion: "1.0.0", ConfigDigest: "a"}, want: true},
		"chart":      {now: plan.Attempt{Generation: 1, ChartVersion: "1.0.1", ConfigDigest: "a"}, want: true},
		"values":     {now: plan.Attempt{Generation: 1, ChartVersion: "1.0.0", ConfigDigest: "b"}, want: true},
		"asked":      {now: last, asked: true, want: true},
	}
	for name, tc := range tests {
		if why, got := plan.Resets(last, tc.now, tc.asked); got != tc.want || got != (why != "") {
			t.Errorf("%s: Resets = %q, %t; want %t", name, why, got, tc.want)
		}
	}
}

// TestMoved: what makes it another release.
func TestMoved(t *testing.T) {
	t.Parallel()
	was := plan.Place{Storage: "flux-system", Namespace: "shop", Name: "app", Chart: "demo"}
	with := func(change func(*plan.Place)) plan.Place {
		p := was
		change(&p)
		return p
	}
	tests := map[string]struct {
		was, want plan.Place
		inPlace   bool
		moved     bool
	}{
		"the same":        {was: was, want: was},
		"never installed": {want: was},
		"storage":         {was: was, want: with(func(p *plan.Place) { p.Storage = "other" }), moved: true},
		"namespace":       {was: was, want: with(func(p *plan.Place) { p.Namespace = "other" }), moved: true},
		"name":            {was: was, want: with(func(p *plan.Place) { p.Name = "other" }), moved: true},
		"chart":           {was: was, want: with(func(p *plan.Place) { p.Chart = "other" }), moved: true},
		"chart, in place": {was: was, want: with(func(p *plan.Place) { p.Chart = "other" }), inPlace: true},
		"name, in place":  {was: was, want: with(func(p *plan.Place) { p.Name = "other" }), inPlace: true, moved: true},
	}
	for name, tc := range tests {
		if got := plan.Moved(tc.was, tc.want, tc.inPlace); (got != "") != tc.moved {
			t.Errorf("%s: Moved = %q, want %t", name, got, tc.moved)
		}
	}
}

func installs(n int64) plan.Counters { return plan.Counters{All: n, Installs: n} }

func upgrades(n int64) plan.Counters { return plan.Counters{All: n, Upgrades: n} }

// had returns a pass that had some actions.
func had(actions ...plan.Action) plan.Done {
	var d plan.Done
	for _, a := range actions {
		d = d.With(a)
	}
	return d
}

func act(a plan.Action, more ...func(*plan.Decision)) plan.Decision {
	return with(plan.Decision{Then: plan.Act, Action: a}, more)
}

func stall(reason string, more ...func(*plan.Decision)) plan.Decision {
	return with(plan.Decision{Then: plan.Stall, Reason: reason}, more)
}

func with(d plan.Decision, more []func(*plan.Decision)) plan.Decision {
	for _, m := range more {
		m(&d)
	}
	return d
}

func forced(d *plan.Decision)     { d.Forced = true }
func forgetting(d *plan.Decision) { d.Forget = true }
func truncating(d *plan.Decision) { d.Truncate = true }
