package cloud

import (
	"context"
	"slices"
	"sync"
	"time"
)

// tokens keeps credentials until they near their end. Who asks for one waits for nobody
// who asks for another: some of those who hand them out are chosen by tenants, and may
// not answer.
type tokens struct {
	size    int
	longest time.Duration
	now     func() time.Time
	metrics *metrics

	mu      sync.Mutex
	entries map[string]*entry
	used    []string // keys of entries, the one that was used last at the end
}

// entry is one token, or the place for it.
type entry struct {
	turn  chan struct{} // holds one; who has it may read and write the rest
	value any
	ends  time.Time
}

func newTokens(size int, longest time.Duration, m *metrics) *tokens {
	return &tokens{size: size, longest: longest, now: time.Now, metrics: m, entries: make(map[string]*entry)}
}

// kept returns what is kept by the key, or gets it and keeps it. Whoever asks for the
// same meanwhile gets the same.
func kept[T any](ctx context.Context, t *tokens, who Object, key string, get func(context.Context) (T, time.Time, error)) (T, error) {
	if t.size == 0 {
		value, _, err := get(ctx)
		return value, err
	}
	e := t.entry(key)
	select {
	case <-e.turn:
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
	defer func() { e.turn <- struct{}{} }()
	if value, ok := e.value.(T); ok && t.now().Before(e.ends) {
		t.metrics.asked(who, true, nil)
		return value, nil
	}
	value, ends, err := get(ctx)
	t.metrics.asked(who, false, err)
	if err != nil {
		return value, err
	}
	e.value, e.ends = value, t.renewal(ends)
	return value, nil
}

// renewal is when a token that ends is to be replaced: after four fifths of its life,
// as the kubelet does. The wall clock decides, since it does for who reads the token.
func (t *tokens) renewal(ends time.Time) time.Time {
	now := t.now().Round(0)
	life := ends.Sub(now) / 5 * 4
	return now.Add(min(life, t.longest))
}

// entry returns the place of a token, and makes room for it if need be.
func (t *tokens) entry(key string) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = append(slices.DeleteFunc(t.used, func(k string) bool { return k == key }), key)
	e, ok := t.entries[key]
	if !ok {
		e = &entry{turn: make(chan struct{}, 1)}
		e.turn <- struct{}{}
		t.entries[key] = e
		if len(t.used) > t.size {
			delete(t.entries, t.used[0]) // who waits for it gets it all the same
			t.used = t.used[1:]
			t.metrics.evicted()
		}
		t.metrics.keeps(len(t.entries))
	}
	return e
}
