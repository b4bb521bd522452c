package state_test

import (
	"testing"

	"weir.dev/helm-controller/internal/state"
)

var wanted = state.Content{ChartName: "demo", ChartVersion: "1.2.3", ConfigDigest: "sha256:a"}

// stored returns a release in storage that is made of what is wanted.
func stored(status string, change ...func(*state.Content)) *state.Release {
	r := &state.Release{Version: 2, Status: status, Content: wanted}
	for _, c := range change {
		c(&r.Content)
	}
	return r
}

// TestOf has the rows of the contract.
func TestOf(t *testing.T) {
	t.Parallel()
	fits := &state.Entry{Version: 2, Fits: true}
	tests := map[string]struct {
		why   string
		facts state.Facts
		want  state.State
	}{
		"nothing stored":                    {"", state.Facts{}, state.Absent},
		"nothing stored, but remembered":    {"somebody uninstalled it", state.Facts{Recorded: fits}, state.Absent},
		"pending-install":                   {"", state.Facts{Stored: stored(state.StatusPendingInstall)}, state.Locked},
		"pending-upgrade":                   {"", state.Facts{Stored: stored(state.StatusPendingUpgrade), Recorded: fits}, state.Locked},
		"pending-rollback":                  {"of whomever", state.Facts{Stored: stored(state.StatusPendingRollback), Recorded: &state.Entry{}}, state.Locked},
		"uninstalling":                      {"nobody carries it on", state.Facts{Stored: stored(state.StatusUninstalling), Recorded: &state.Entry{}}, state.Locked},
		"no history, uninstalled":           {"", state.Facts{Stored: stored(state.StatusUninstalled)}, state.Absent},
		"no history, deployed":              {"helm installed it", state.Facts{Stored: stored(state.StatusDeployed)}, state.Unmanaged},
		"no history, failed":                {"helm tried to", state.Facts{Stored: stored(state.StatusFailed)}, state.Unmanaged},
		"does not fit, deployed":            {"helm upgraded it", state.Facts{Stored: stored(state.StatusDeployed), Recorded: &state.Entry{}}, state.Unmanaged},
		"does not fit, failed":              {"helm tried to", state.Facts{Stored: stored(state.StatusFailed), Recorded: &state.Entry{}}, state.Unmanaged},
		"does not fit, superseded":          {"somebody deleted the newest", state.Facts{Stored: stored(state.StatusSuperseded), Recorded: &state.Entry{}}, state.Unmanaged},
		"failed":                            {"", state.Facts{Stored: stored(state.StatusFailed), Recorded: fits, Wanted: wanted}, state.Failed},
		"uninstalled":                       {"by a remediation that keeps the history", state.Facts{Stored: stored(state.StatusUninstalled), Recorded: fits}, state.Absent},
		"superseded":                        {"", state.Facts{Stored: stored(state.StatusSuperseded), Recorded: fits}, state.Unclear},
		"unknown":                           {"", state.Facts{Stored: stored("unknown"), Recorded: fits}, state.Unclear},
		"no status":                         {"", state.Facts{Stored: stored(""), Recorded: fits}, state.Unclear},
		"chart name":                        {"", deployed(func(c *state.Content) { c.ChartName = "other" }), state.OutOfSync},
		"chart version":                     {"", deployed(func(c *state.Content) { c.ChartVersion = "1.2.4" }), state.OutOfSync},
		"values":                            {"", deployed(func(c *state.Content) { c.ConfigDigest = "sha256:b" }), state.OutOfSync},
		"relaid":                            {"", also(deployed(), func(f *state.Facts) { f.Relaid = true }), state.OutOfSync},
		"not tested":                        {"", tested(state.Tests{Wanted: true}), state.Untested},
		"tests not wanted":                  {"", tested(state.Tests{Run: true, Failed: true}), state.InSync},
		"test failed":                       {"", tested(state.Tests{Wanted: true, Run: true, Failed: true}), state.Failed},
		"test failed, ignored":              {"", tested(state.Tests{Wanted: true, Run: true, Failed: true, Ignored: true}), state.InSync},
		"test passed":                       {"", tested(state.Tests{Wanted: true, Run: true}), state.InSync},
		"drifted":                           {"", also(deployed(), func(f *state.Facts) { f.Drifted = true }), state.Drifted},
		"drifted, not tested":               {"tests come first", also(tested(state.Tests{Wanted: true}), func(f *state.Facts) { f.Drifted = true }), state.Untested},
		"drifted, out of sync":              {"an upgrade mends it", also(deployed(func(c *state.Content) { c.ChartVersion = "2" }), func(f *state.Facts) { f.Drifted = true }), state.OutOfSync},
		"in sync":                           {"", deployed(), state.InSync},
		"out of sync, of a failed release":  {"it is failed first", state.Facts{Stored: stored(state.StatusFailed), Recorded: fits}, state.Failed},
		"the test of an older one has been": {"only the newest matters", also(deployed(), func(f *state.Facts) { f.Tests = state.Tests{Wanted: true} }), state.Untested},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, why := state.Of(tc.facts)
			if got != tc.want || why == "" {
				t.Errorf("Of = %s (%q), want %s: %s", got, why, tc.want, tc.why)
			}
		})
	}
}

func deployed(change ...func(*state.Content)) state.Facts {
	return state.Facts{Stored: stored(state.StatusDeployed, change...), Recorded: &state.Entry{Version: 2, Fits: true}, Wanted: wanted}
}

func tested(tests state.Tests) state.Facts {
	return also(deployed(), func(f *state.Facts) { f.Tests = tests })
}

func also(f state.Facts, change func(*state.Facts)) state.Facts {
	change(&f)
	return f
}

// TestOfAlwaysSaysWhy tries every combination of facts: there is always a state, and a
// reason for it, and what is not ours is never taken for it.
func TestOfAlwaysSaysWhy(t *testing.T) {
	t.Parallel()
	statuses := []string{
		"", "unknown", state.StatusDeployed, state.StatusFailed, state.StatusUninstalled, state.StatusUninstalling, state.StatusSuperseded,
		state.StatusPendingInstall, state.StatusPendingUpgrade, state.StatusPendingRollback,
	}
	seen := make(map[state.State]bool)
	for _, status := range statuses {
		for flags := range 1 << 9 {
			on := func(n int) bool { return flags&(1<<n) != 0 }
			f := state.Facts{
				Wanted: wanted, Relaid: on(0), Drifted: on(1),
				Tests: state.Tests{Wanted: on(2), Run: on(3), Failed: on(4), Ignored: on(5)},
			}
			if status != "" {
				f.Stored = stored(status)
				if on(6) {
					f.Stored.ConfigDigest = "another"
				}
			}
			if on(7) {
				f.Recorded = &state.Entry{Version: 2, Fits: on(8)}
			}
			got, why := state.Of(f)
			seen[got] = true
			managed := f.Recorded != nil && f.Recorded.Fits
			switch got {
			case state.Failed, state.OutOfSync, state.Untested, state.Drifted, state.InSync:
				if !managed || f.Stored == nil {
					t.Fatalf("Of(%+v) = %s, of what is not ours", f, got)
				}
			case state.Unmanaged:
				if managed {
					t.Fatalf("Of(%+v) = %s, of what is ours", f, got)
				}
			}
			if why == "" {
				t.Fatalf("Of(%+v) = %s, and nobody knows why", f, got)
			}
		}
	}
	for _, s := range state.All() {
		if !seen[s] {
			t.Errorf("no facts amount to %s", s)
		}
	}
}

// TestOurs: what a killed process has left is recognised, and nothing else.
func TestOurs(t *testing.T) {
	t.Parallel()
	attempted := state.Content{ChartVersion: "1.2.3", ConfigDigest: "sha256:a"}
	old := state.Content{ChartName: "demo", ChartVersion: "1.2.2", ConfigDigest: "sha256:a"}
	release := func(change ...func(*state.Release)) *state.Release {
		r := stored(state.StatusPendingUpgrade)
		r.Labelled = true
		for _, c := range change {
			c(r)
		}
		return r
	}
	tests := map[string]struct {
		why   string
		facts state.Facts
		want  bool
	}{
		"the next":        {"an upgrade was killed", state.Facts{Stored: release(), Recorded: &state.Entry{Version: 1}, Attempted: attempted}, true},
		"the first":       {"an installation was killed", state.Facts{Stored: release(), Attempted: attempted}, true},
		"nothing":         {"", state.Facts{Attempted: attempted}, false},
		"not labelled":    {"helm does not label", state.Facts{Stored: stored(state.StatusDeployed), Recorded: &state.Entry{Version: 1}, Attempted: attempted}, false},
		"the same":        {"somebody changed it", state.Facts{Stored: release(), Recorded: &state.Entry{Version: 2}, Attempted: attempted}, false},
		"one too many":    {"somebody made one in between", state.Facts{Stored: release(func(r *state.Release) { r.Version = 3 }), Recorded: &state.Entry{Version: 1}, Attempted: attempted}, false},
		"another version": {"that was not attempted", state.Facts{Stored: release(), Recorded: &state.Entry{Version: 1}, Attempted: old}, false},
		"other values":    {"those were not attempted", state.Facts{Stored: release(func(r *state.Release) { r.ConfigDigest = "b" }), Recorded: &state.Entry{Version: 1}, Attempted: attempted}, false},
		"never attempted": {"", state.Facts{Stored: release(func(r *state.Release) { r.Content = state.Content{} })}, false},
		"rolled back": {"a rollback was killed", state.Facts{
			Stored: release(func(r *state.Release) { r.Content = old }), Recorded: &state.Entry{Version: 1, Failed: true}, Attempted: attempted, Earlier: []state.Content{wanted, old},
		}, true},
		"rolled back by hand": {"nothing had failed", state.Facts{
			Stored: release(func(r *state.Release) { r.Content = old }), Recorded: &state.Entry{Version: 1}, Attempted: attempted, Earlier: []state.Content{wanted, old},
		}, false},
		"known": {"there is nothing to recognise", state.Facts{Stored: release(), Recorded: &state.Entry{Version: 2, Fits: true}, Attempted: attempted}, false},
	}
	for name, tc := range tests {
		if got := state.Ours(tc.facts); got != tc.want {
			t.Errorf("%s: Ours = %t, want %t: %s", name, got, tc.want, tc.why)
		}
	}
}
