package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/state"
)

// snapshot returns one of a version.
func snapshot(version int, status string, change ...func(*helmv2.Snapshot)) *helmv2.Snapshot {
	s := &helmv2.Snapshot{Name: "app", Namespace: "shop", Version: version, Status: status}
	for _, c := range change {
		c(s)
	}
	return s
}

func testFailed(s *helmv2.Snapshot) {
	s.TestHooks = &map[string]*helmv2.TestHookStatus{"a": {Phase: "Succeeded"}, "b": {Phase: state.PhaseFailed}}
}

// versions returns which releases are in a history.
func versions(h helmv2.Snapshots) []int {
	var out []int
	for _, s := range h {
		out = append(out, s.Version)
	}
	return out
}

// TestPreviousAndTruncate: a rollback goes to the newest release but one that was good, and
// what is older is not remembered.
func TestPreviousAndTruncate(t *testing.T) {
	t.Parallel()
	const ok, failed, old = state.StatusDeployed, state.StatusFailed, state.StatusSuperseded
	tests := map[string]struct {
		why      string
		history  helmv2.Snapshots
		ignore   bool
		previous int // 0 if there is none
		kept     []int
	}{
		"empty":          {"", nil, false, 0, nil},
		"one":            {"nobody goes back to where he is", helmv2.Snapshots{snapshot(1, ok)}, false, 0, []int{1}},
		"two":            {"", helmv2.Snapshots{snapshot(2, failed), snapshot(1, old)}, false, 1, []int{2, 1}},
		"older":          {"are of no use", helmv2.Snapshots{snapshot(3, failed), snapshot(2, old), snapshot(1, old)}, false, 2, []int{3, 2}},
		"failed between": {"it is passed over, and kept", helmv2.Snapshots{snapshot(3, failed), snapshot(2, failed), snapshot(1, old)}, false, 1, []int{3, 2, 1}},
		"test failed":    {"it was not good", helmv2.Snapshots{snapshot(3, failed), snapshot(2, old, testFailed), snapshot(1, old)}, false, 1, []int{3, 2, 1}},
		"test ignored":   {"it was", helmv2.Snapshots{snapshot(3, failed), snapshot(2, old, testFailed), snapshot(1, old)}, true, 2, []int{3, 2}},
		"all failed": {"RetryOnFailure would go on for ever", helmv2.Snapshots{
			snapshot(7, failed), snapshot(6, failed), snapshot(5, failed), snapshot(4, failed), snapshot(3, failed), snapshot(2, failed),
		}, false, 0, []int{7, 6, 5, 4, 3}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := 0
			if p := state.Previous(tc.history, tc.ignore); p != nil {
				got = p.Version
			}
			if got != tc.previous {
				t.Errorf("Previous = %d, want %d: %s", got, tc.previous, tc.why)
			}
			if diff := cmp.Diff(tc.kept, versions(state.Truncate(tc.history, tc.ignore))); diff != "" {
				t.Errorf("Truncate: %s\n%s", tc.why, diff)
			}
		})
	}
}

// TestRecord: what storage tells takes the place of what was known, and what it does not
// tell stays.
func TestRecord(t *testing.T) {
	t.Parallel()
	installed := func(s *helmv2.Snapshot) { s.Action = helmv2.ReleaseActionInstall }
	history := helmv2.Snapshots{snapshot(1, state.StatusDeployed, installed, testFailed)}
	got := state.Record(history, snapshot(1, state.StatusSuperseded), snapshot(2, state.StatusDeployed))
	want := helmv2.Snapshots{snapshot(2, state.StatusDeployed), snapshot(1, state.StatusSuperseded, installed, testFailed)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Record (-want +got):\n%s", diff)
	}
	failed := helmv2.Snapshots{snapshot(2, state.StatusFailed), snapshot(1, state.StatusSuperseded)}
	after := state.Record(failed, snapshot(2, state.StatusSuperseded), snapshot(3, state.StatusFailed))
	if to := state.Previous(after, false); to == nil || to.Version != 1 {
		t.Errorf("after a rollback that failed, one goes back to %v, want the release before what failed", to)
	}
	if kept := state.Truncate(after, false); len(kept) != 3 {
		t.Errorf("of these releases, %v are kept; want all, as a rollback goes back to the first", versions(kept))
	}
	if history[0].Status != state.StatusDeployed || len(history) != 1 {
		t.Errorf("the given history was changed: %+v", history[0])
	}
	if other := state.Record(got, &helmv2.Snapshot{Name: "app", Namespace: "elsewhere", Version: 2}); len(other) != 3 {
		t.Errorf("a release of another namespace took the place of one: %v", versions(other))
	}
}
