package cluster

import (
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/health"
)

// Waits tells actions that wait of what the watches of their clusters have seen. One is
// for all actions of a program, and is asked by what the watches wake. The zero value is
// ready for use; it is safe for concurrent use.
type Waits struct {
	mu      sync.Mutex
	waiting map[types.NamespacedName]chan struct{}
}

// Tell tells that something has changed for owner, and reports whether an action of it
// waits for that. If so, nobody else need be woken: when the action ends, its owner looks
// at all there is.
func (w *Waits) Tell(owner types.NamespacedName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	told, ok := w.waiting[owner]
	if !ok {
		return false
	}
	select {
	case told <- struct{}{}:
	default: // it is yet to look at what came before
	}
	return true
}

// join has owner be told until quit is called.
func (w *Waits) join(owner types.NamespacedName) (told <-chan struct{}, quit func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = make(map[types.NamespacedName]chan struct{})
	}
	news := make(chan struct{}, 1)
	w.waiting[owner] = news
	return news, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.waiting[owner] == news {
			delete(w.waiting, owner)
		}
	}
}

// lookEvery is how often a wait looks at what watches have told if nothing tells it of
// news. That asks no API server.
const lookEvery = 250 * time.Millisecond

// news returns what to wait for between two looks.
func (c *Client) news() (<-chan struct{}, <-chan time.Time, func()) {
	if c.opts.Waits != nil {
		told, quit := c.opts.Waits.join(c.opts.Owner)
		return told, nil, quit
	}
	tick := time.NewTicker(lookEvery)
	return nil, tick.C, tick.Stop
}

var errTimeout = errors.New("the time is up")

// await has a watcher tell of objects until done is satisfied with those that are not as
// they should be, or fails. It ends with errTimeout when the time is up, with ErrNewer when
// newer is closed, and with the action.
func (c *Client) await(w *health.Watcher, objects []health.Awaited, timeout time.Duration, newer <-chan struct{}, done func(open []health.Verdict) (bool, error)) error {
	if len(objects) == 0 {
		return nil
	}
	told, tick, quit := c.news()
	defer quit()
	w.Await(c.opts.Owner, objects)
	defer w.Await(c.opts.Owner, nil)
	if ok, err := done(w.Check(c.opts.Owner)); ok || err != nil {
		return err
	}
	defer c.lend()()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return c.interrupted()
		case <-newer:
			return ErrNewer
		case <-timer.C:
			return errTimeout
		case <-told:
		case <-tick:
		}
		if ok, err := done(w.Check(c.opts.Owner)); ok || err != nil {
			return err
		}
	}
}

// lend lets others work until the returned function is called.
func (c *Client) lend() (back func()) {
	if c.opts.Lend == nil {
		return func() {}
	}
	return c.opts.Lend()
}
