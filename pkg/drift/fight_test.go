package drift

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// TestBout goes through rounds of somebody taking a field and us restoring it. A round
// is how long after the restoration, or after the end of the pause, it is taken again.
func TestBout(t *testing.T) {
	t.Parallel()
	const machine, person = 100 * time.Millisecond, 3 * time.Second
	rounds := func(n int, d time.Duration) []time.Duration {
		out := make([]time.Duration, n)
		for i := range out {
			out[i] = d
		}
		return out
	}
	tests := map[string]struct {
		why   string
		after []time.Duration
		times int
		pause time.Duration // after the last round
	}{
		"a first time":               {why: "anybody may err once", after: rounds(1, machine), times: 1},
		"a person, again and again":  {why: "edits at human speed are undone at once however often", after: rounds(50, person), times: 1},
		"a machine within patience":  {why: "a short burst is no fight", after: rounds(4, machine), times: 4},
		"a machine out of patience":  {why: "the field is left alone", after: rounds(5, machine), times: 5, pause: 5 * time.Second},
		"a machine that goes on":     {why: "each pause is twice as long", after: rounds(8, machine), times: 8, pause: 40 * time.Second},
		"a machine that never stops": {why: "the pause has an end", after: rounds(30, machine), times: 30, pause: 10 * time.Minute},
		"a machine that rests":       {why: "the fight is over", after: append(rounds(8, machine), person), times: 1},
		"exactly the reaction time":  {why: "the limit itself is a person", after: []time.Duration{machine, reaction}, times: 1},
		"a machine after a person":   {why: "only what comes in a row counts", after: append(rounds(3, person), rounds(4, machine)...), times: 5, pause: 5 * time.Second},
		"a person in the end":        {why: "no pause is left over", after: append(rounds(5, machine), person), times: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bout
			now := time.Unix(1000, 0)
			for _, d := range tc.after {
				if b.until.After(now) {
					now = b.until
				}
				now = now.Add(d)
				b = b.restored(now, now)
			}
			left := time.Duration(0)
			if !b.until.IsZero() {
				left = b.until.Sub(now)
			}
			if b.times != tc.times || left != tc.pause {
				t.Errorf("restored %d times in a row, left alone for %s; want %d and %s (%s)", b.times, left, tc.times, tc.pause, tc.why)
			}
		})
	}
}

func TestFightYieldsOnlyWhatIsFoughtFor(t *testing.T) {
	t.Parallel()
	replicas, image := fieldpath.MakePathOrDie("spec", "replicas"), fieldpath.MakePathOrDie("spec", "image")
	f, now := make(fight), time.Unix(1000, 0)
	var pauses []Pause
	for range patience {
		now = now.Add(10 * time.Millisecond)
		pauses = f.record([]Change{{Path: "spec.replicas", Manager: "hpa", path: replicas}}, "us", now, now)
	}
	f.record([]Change{{Path: "spec.image", Manager: "person", path: image}}, "us", now, now)

	if len(pauses) != 1 || pauses[0].Times != patience || pauses[0].For != firstPause || pauses[0].Change.Manager != "hpa" {
		t.Errorf("paused %+v; want spec.replicas of hpa for %s after %d times", pauses, firstPause, patience)
	}
	fields, whole := f.yielded(now)
	if !fields.Has(replicas) || fields.Has(image) || whole {
		t.Errorf("yields %s, whole %t; want only spec.replicas", fields, whole)
	}
	if got, want := f.next(now), now.Add(firstPause); !got.Equal(want) {
		t.Errorf("the next pause ends at %s; want %s", got, want)
	}
	if fields, _ := f.yielded(now.Add(firstPause)); !fields.Empty() {
		t.Errorf("yields %s when the pause is over; want nothing", fields)
	}
	if !f.next(now.Add(firstPause)).IsZero() {
		t.Error("a pause that is over is still awaited")
	}
}

func TestFightAboutTheObjectAsAWhole(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		taken []Change
		whole bool
	}{
		"deleted":                  {why: "there is no field to leave", whole: true},
		"written under our name":   {why: "what is ours and what is theirs cannot be told apart", taken: []Change{{Path: "a", Manager: "us", path: fieldpath.MakePathOrDie("a")}}, whole: true},
		"written by somebody else": {why: "only the field is left", taken: []Change{{Path: "a", Manager: "them", path: fieldpath.MakePathOrDie("a")}}},
		"removed by who knows whom": {
			why: "a removed field can be left removed", taken: []Change{{Path: "a", path: fieldpath.MakePathOrDie("a")}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, now := make(fight), time.Unix(1000, 0)
			for range patience {
				f.record(tc.taken, "us", now, now)
			}
			if _, whole := f.yielded(now); whole != tc.whole {
				t.Errorf("the object is left as a whole: %t; want %t (%s)", whole, tc.whole, tc.why)
			}
		})
	}
}

func TestPauseGrowsToItsLimit(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for n := patience; n < patience+9; n++ {
		got = append(got, pause(n))
	}
	s := time.Second
	want := []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 600 * s, 600 * s}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pauses differ (-want +got):\n%s", diff)
	}
}
