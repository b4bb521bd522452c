package helmrelease

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
