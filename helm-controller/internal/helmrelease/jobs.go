package helmrelease

import (
	"context"
	"errors"
	"sync"
	"time"
)

// settleTime is how long jobs that are interrupted may take to end, and what has ended may
// take to be told.
const settleTime = 5 * time.Second

// errStopping is the cause of the end of jobs when the process stops.
var errStopping = errors.New("the controller is stopping")

// jobs are actions that are under way, each in a goroutine of its own, so that none holds
// a worker of the queue. Only so many work at a time: one that waits for the cluster lends
// its slot meanwhile.
type jobs struct {
	slots chan struct{}

	mu     sync.Mutex
	root   context.Context // of all jobs
	end    context.CancelCauseFunc
	open   int           // jobs whose outcome was not taken up yet
	closed chan struct{} // closed when no more jobs begin and none is open; nil while they may begin
}

// newJobs returns jobs of which so many work at a time.
func newJobs(concurrent int) *jobs {
	root, end := context.WithCancelCause(context.Background())
	return &jobs{slots: make(chan struct{}, concurrent), root: root, end: end}
}

// job is one that is under way, or has ended and is to be taken up.
type job struct {
	of    *jobs
	ended chan struct{}
	stop  context.CancelCauseFunc
	once  sync.Once
}

// start begins a job, and calls after when it has ended; false if the process is stopping.
// The context of run ends with the process, or when the job is interrupted; lend is to be
// called around each wait.
func (j *jobs) start(run func(ctx context.Context, lend func() (back func())), after func()) (*job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed != nil {
		return nil, false
	}
	j.open++
	ctx, stop := context.WithCancelCause(j.root)
	started := &job{of: j, ended: make(chan struct{}), stop: stop}
	go func() {
		defer after()
		defer close(started.ended)
		defer stop(nil)
		s := &slot{of: j.slots}
		s.take(ctx)
		defer s.free()
		run(ctx, func() func() {
			s.free()
			return func() { s.take(ctx) }
		})
	}()
	return started, true
}

// hasEnded reports whether the job has.
func (b *job) hasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// interrupt has the job end soon, because of cause.
func (b *job) interrupt(cause error) { b.stop(cause) }

// takenUp tells that what came of the job is known to the API server.
func (b *job) takenUp() {
	b.once.Do(func() {
		b.of.mu.Lock()
		defer b.of.mu.Unlock()
		b.of.open--
		b.of.tell()
	})
}

// tell ends the waiting for the last job. The lock is held.
func (j *jobs) tell() {
	if j.closed != nil && j.open == 0 {
		select {
		case <-j.closed:
		default:
			close(j.closed)
		}
	}
}

// drain lets no more jobs begin, and returns when all have ended and were taken up. Those
// that take longer than grace are interrupted.
func (j *jobs) drain(grace time.Duration) {
	j.mu.Lock()
	if j.closed == nil {
		j.closed = make(chan struct{})
	}
	j.tell()
	done := j.closed
	j.mu.Unlock()
	for _, patience := range []time.Duration{grace, settleTime} {
		select {
		case <-done:
		case <-time.After(patience):
		}
		j.end(errStopping)
	}
}

// slot is the right of a job to work. It is used by the goroutine of the job only.
type slot struct {
	of   chan struct{}
	held bool
}

// take waits for a slot. If ctx ends before, the job goes on without one, to its end.
func (s *slot) take(ctx context.Context) {
	if s.held {
		return
	}
	select {
	case s.of <- struct{}{}:
		s.held = true
	case <-ctx.Done():
	}
}

func (s *slot) free() {
	if s.held {
		<-s.of
		s.held = false
	}
}
