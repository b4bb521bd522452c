package helmrelease

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
)

// TestFightIsPaced as package drift does it with fields.
func TestFightIsPaced(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		after []time.Duration // each time a release was there, somebody else was seen at it
		want  []time.Duration // for which it was left to them then
	}{
		"a person":       {why: "is answered at once, however often", after: []time.Duration{time.Minute, time.Minute, time.Minute, time.Minute, time.Minute, time.Minute, time.Minute}, want: make([]time.Duration, 7)},
		"a machine":      {why: "each further time is twice as long", after: make([]time.Duration, 9), want: []time.Duration{0, 0, 0, 0, 0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second}},
		"one that rests": {why: "it is no fight any more", after: []time.Duration{0, 0, 0, 0, 0, 0, time.Hour, 0}, want: []time.Duration{0, 0, 0, 0, 0, 10 * time.Second, 0, 0}},
		"one that is tireless": {why: "there is a longest pause", after: make([]time.Duration, 14), want: []time.Duration{
			0, 0, 0, 0, 0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute,
		}},
	}
	for name, tc := range tests {
		var f fight
		var got []time.Duration
		now := time.Unix(1000, 0)
		if f.take(now, now) {
			t.Errorf("%s: a pause begins before there is a release", name)
		}
		for _, after := range tc.after {
			f.release(now)
			now = now.Add(after)
			pauses := f.take(now, now)
			left := max(0, f.until.Sub(now))
			if pauses != (left > 0) {
				t.Errorf("%s: a pause of %s begins: %t", name, left, pauses)
			}
			if f.take(now, now) {
				t.Errorf("%s: who was seen already is counted again", name)
			}
			got = append(got, left)
			now = now.Add(left)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", name, tc.why, diff)
		}
	}
}

// TestOthersAtWork: what an action of ours has left in the middle is not the work of others.
func TestOthersAtWork(t *testing.T) {
	t.Parallel()
	locked := observe.Found{State: state.Locked, Facts: state.Facts{Stored: &state.Release{Status: state.StatusPendingUpgrade}}}
	left := locked
	left.Facts.Recorded = &state.Entry{Fits: true}
	tests := map[string]struct {
		why   string
		s     *scope
		found observe.Found
		want  bool
	}{
		"somebody has begun":      {s: &scope{memory: &memory{looked: true}}, found: locked, want: true},
		"it was so at first":      {why: "a process that died has left it", s: &scope{memory: &memory{}}, found: locked},
		"after an action of ours": {s: &scope{memory: &memory{looked: true}, history: &releases.History{}}, found: locked},
		"as we have left it":      {why: "an uninstallation that hangs goes on", s: &scope{memory: &memory{looked: true}}, found: left},
	}
	for name, tc := range tests {
		tc.s.hr = a(made(1, 1))
		waits := (&Reconciler{}).awaitOthers(tc.s, tc.found, askedPlace(tc.s.hr)) != nil
		if away := isTakenAway(tc.s, tc.found); away != tc.want || waits != tc.want {
			t.Errorf("%s: taken away %t, awaited %t; want %t (%s)", name, away, waits, tc.want, tc.why)
		}
	}
}
