package drift

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/pkg/manifest"
)

// Pause is a field that is left to somebody else for a while, because whoever it is
// takes it back at once each time.
type Pause struct {
	// Change is the last time that it was taken; its zero value means that the object
	// as a whole is left alone.
	Change Change
	// Times is how often it was restored in a row.
	Times int
	// For is how long it is left alone.
	For time.Duration
}

// Restored tells that an object was restored, how that left it, and what Explain said
// was taken; nothing means that it was deleted. It returns what is left to others from
// now on.
func (w *Watcher) Restored(id manifest.ID, live metav1.Object, taken []Change) []Pause {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[id]
	if !ok || o.last == nil {
		return nil
	}
	if o.contest == nil {
		o.contest = newContest(w.standOf(live))
	}
	if !newer(o.version, live.GetResourceVersion()) {
		o.contest.seen = o.contest.left
	}
	now := time.Now()
	pauses := o.contest.fight.record(taken, w.opts.Manager, o.answered, now)
	o.settle(now)
	w.schedule(id, o, now)
	return pauses
}

// schedule sees to it that the end of the next pause is noticed. The lock is held.
func (w *Watcher) schedule(id manifest.ID, o *object, now time.Time) {
	c := o.contest
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if next := c.fight.next(now); !next.IsZero() {
		c.timer = time.AfterFunc(next.Sub(now), func() { w.resume(id, c) })
	}
}

// resume ends the pauses that are over.
func (w *Watcher) resume(id manifest.ID, c *contest) {
	w.mu.Lock()
	o, ok := w.objects[id]
	if !ok || o.contest != c || o.last == nil {
		w.mu.Unlock()
		return
	}
	now := time.Now()
	o.settle(now)
	w.schedule(id, o, now)
	wake, owner := w.noteDrift(o), o.last.Owner
	w.mu.Unlock()
	if wake {
		w.opts.Wake(owner)
	}
}
