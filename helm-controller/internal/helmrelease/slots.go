package helmrelease

import (
	"context"
	"slices"
	"sync"
	"time"
)

// slots are the right to work, of which there are so many. Who comes back from a wait goes
// before those that have not begun: what is under way holds its charts, manifests and
// objects until its end, so as little as possible is to be under way.
type slots struct {
	mu     sync.Mutex
	free   int
	queues [2][]chan struct{} // of returning, and of those that begin; closed for who is given one
}

// The queues of slots, the first one first.
const (
	returning = iota
	beginning
)

func newSlots(n int) *slots { return &slots{free: n} }

// take waits for a slot in one of the queues; false if ctx ends before.
func (s *slots) take(ctx context.Context, queue int) bool {
	turn, taken := s.ask(queue)
	if taken {
		return true
	}
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.queues[queue], turn)
	if at < 0 {
		return true // its turn came at the same time
	}
	s.queues[queue] = slices.Delete(s.queues[queue], at, at+1)
	return false
}

// ask takes a slot if one is free, or queues up.
func (s *slots) ask(queue int) (turn chan struct{}, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil, true
	}
	turn = make(chan struct{})
	s.queues[queue] = append(s.queues[queue], turn)
	return turn, false
}

// give gives a slot back, or on to who is next.
func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q, waiting := range s.queues {
		if len(waiting) > 0 {
			close(waiting[0])
			s.queues[q] = waiting[1:]
			return
		}
	}
	s.free++
}

// slot is the right of a job to work, for a while in all. It is used by the goroutine of the
// job only.
type slot struct {
	of      *slots
	held    bool
	left    time.Duration // to work
	tooLong func()        // called when nothing is left
	since   time.Time     // it works
	timer   *time.Timer
}

// take waits for a slot in one of the queues. If ctx ends before, the job goes on without
// one, to its end.
func (s *slot) take(ctx context.Context, queue int) {
	if s.held || !s.of.take(ctx, queue) {
		return
	}
	s.held, s.since = true, time.Now()
	s.timer = time.AfterFunc(s.left, s.tooLong)
}

func (s *slot) free() {
	if s.held {
		s.timer.Stop()
		s.left -= time.Since(s.since)
		s.of.give()
		s.held = false
	}
}
