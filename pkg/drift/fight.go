package drift

import (
	"slices"
	"time"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

const (
	// reaction is how soon a field must be taken from us again for it to be the work
	// of a machine that watches it, and not of a person or of a timer.
	reaction = time.Second
	// patience is how many times in a row a machine is answered at once.
	patience = 5
	// firstPause and longestPause are how long a field is left to the machine then;
	// each further time twice as long.
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// wholeObject stands for a fight about an object as such: it is deleted again and
// again, or written under our own name by somebody else.
const wholeObject = ""

// bout is how often in a row the same field was taken from us at machine speed.
type bout struct {
	times int
	last  time.Time // of its restoration
	until time.Time // the field is left to the other; zero means that it is not
	path  fieldpath.Path
}

// restored returns the bout after a restoration at now of what was taken from us at
// taken.
func (b bout) restored(taken, now time.Time) bout {
	since := b.last
	if b.until.After(since) {
		since = b.until
	}
	if taken.Sub(since) >= reaction {
		b.times = 0
	}
	b.times++
	b.last, b.until = now, time.Time{}
	if b.times >= patience {
		b.until = now.Add(pause(b.times))
	}
	return b
}

// pause is how long a field is left alone after it was restored for the nth time.
func pause(n int) time.Duration {
	d := firstPause
	for ; n > patience && d < longestPause; n-- {
		d *= 2
	}
	return min(d, longestPause)
}

// fight is the bouts about one object, by the path of the field.
type fight map[string]bout

// record takes in that what was taken has been restored at now, and returns what is
// left to others from then on. What was written under our own name cannot be told from
// what we wrote, so it counts as a fight about the object as a whole.
func (f fight) record(taken []Change, manager string, at, now time.Time) []Pause {
	if len(taken) == 0 || slices.ContainsFunc(taken, func(c Change) bool { return c.Manager == manager }) {
		taken = []Change{{}}
	}
	var pauses []Pause
	for _, c := range taken {
		b := f[c.Path].restored(at, now)
		b.path = c.path
		f[c.Path] = b
		if b.until.After(now) {
			pauses = append(pauses, Pause{Change: c, Times: b.times, For: b.until.Sub(now)})
		}
	}
	return pauses
}

// yielded returns the fields that are left to others at now, and whether that is the
// object as a whole.
func (f fight) yielded(now time.Time) (fields *fieldpath.Set, whole bool) {
	fields = fieldpath.NewSet()
	for key, b := range f {
		if !b.until.After(now) {
			continue
		}
		if key == wholeObject {
			return fieldpath.NewSet(), true
		}
		fields.Insert(b.path)
	}
	return fields, false
}

// next returns when the first pause ends after now; zero if there is none.
func (f fight) next(now time.Time) time.Time {
	var first time.Time
	for _, b := range f {
		if b.until.After(now) && (first.IsZero() || b.until.Before(first)) {
			first = b.until
		}
	}
	return first
}
