package loop

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// open knows since when the outcome of objects is open and was not told. The zero
// value is ready.
type open struct {
	mu    sync.Mutex
	since map[types.NamespacedName]time.Time
}

// wait returns how much longer the outcome of an object may stay untold, zero if that
// is over.
func (o *open) wait(key types.NamespacedName, out Outcome, patience time.Duration, now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if out.Verdict != Progressing && out.Verdict != Waiting {
		delete(o.since, key)
		return 0
	}
	since, ok := o.since[key]
	if !ok {
		since = now
	}
	left := patience - now.Sub(since)
	if left <= 0 {
		delete(o.since, key)
		return 0
	}
	if o.since == nil {
		o.since = make(map[types.NamespacedName]time.Time)
	}
	o.since[key] = since
	return left
}

// forget drops what is known of an object.
func (o *open) forget(key types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, key)
}

// sooner returns the shorter of two delays, of which zero means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
