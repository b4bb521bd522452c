package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"weir.dev/helm-controller/internal/action"
)

// settleTime is how long jobs that are interrupted may take to end, and what has ended may
// take to be told.
const settleTime = 5 * time.Second

// errGone is the cause of the end of a job of what is gone, without having been finalized.
var errGone = errors.New("the HelmRelease is gone")

// leastWork is what every job may work, although its waits are to be short.
const leastWork = 15 * time.Minute

// workLimit is how long a job may work, its waits not counted: each of these has a timeout of
// its own, so there is no end to what an action with many hooks may take. What works that long
// without one of them hangs.
func workLimit(timeout time.Duration) time.Duration { return max(3*timeout, leastWork) }

// overworked is the cause of the end of a job that has worked for too long.
type overworked struct{ limit time.Duration }

func (o overworked) Error() string {
	return fmt.Sprintf("it has worked for %s, waits not counted", o.limit)
}

// jobs are actions that are under way, each in a goroutine of its own, so that none holds
// a worker of the queue. Only so many work at a time: one that waits for the cluster lends
// its slot meanwhile.
type jobs struct {
	slots *slots

	mu     sync.Mutex
	root   context.Context // of all jobs
	end    context.CancelCauseFunc
	open   map[*job]bool // those whose outcome was not taken up yet
	closed chan struct{} // closed when no more jobs begin and none is open; nil while they may begin
}

// newJobs returns jobs of which so many work at a time.
func newJobs(concurrent int) *jobs {
	root, end := context.WithCancelCause(context.Background())
	return &jobs{slots: newSlots(concurrent), root: root, end: end, open: make(map[*job]bool)}
}

// object is what a job is for. Another may come to have its name.
type object struct {
	types.NamespacedName
	uid types.UID
}

// job is one that is under way, or has ended and is to be taken up.
type job struct {
	of    *jobs
	owner object
	ended chan struct{}
	stop  context.CancelCauseFunc

	// Guarded by the lock of the jobs.
	left bool     // nobody is there to take it up
	over []func() // to be called when it is not waited for any more
}

// start starts a job, and calls after when it has ended; false if the process is stopping.
// The context of run ends with the process, when the job is interrupted, and when it has
// worked longer than limit; lend is to be called around each wait, which does not count.
func (j *jobs) start(owner object, limit time.Duration, run func(ctx context.Context, lend func() (back func())), after func(*job)) (*job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed != nil {
		return nil, false
	}
	ctx, stop := context.WithCancelCause(j.root)
	started := &job{of: j, owner: owner, ended: make(chan struct{}), stop: stop}
	j.open[started] = true
	go func() {
		defer after(started)
		defer started.finish()
		defer stop(nil)
		s := &slot{of: j.slots, left: limit, tooLong: func() { stop(overworked{limit}) }}
		s.take(ctx, beginning)
		defer s.free()
		run(ctx, func() func() {
			s.free()
			return func() { s.take(ctx, returning) }
		})
	}()
	return started, true
}

// finish tells that the job has ended.
func (b *job) finish() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	close(b.ended)
	if b.left {
		b.close()
	}
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
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.close()
}

// atEnd has done called when what came of the job is known to the API server, or nobody is
// there to take it up.
func (b *job) atEnd(done func()) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if b.over = append(b.over, done); !b.of.open[b] {
		b.close()
	}
}

// close ends the waiting for the job, and with the last one that for all. The lock is held.
func (b *job) close() {
	delete(b.of.open, b)
	for _, done := range b.over {
		done()
	}
	b.over = nil
	b.of.tell()
}

// tell ends the waiting for the last job. The lock is held.
func (j *jobs) tell() {
	if j.closed != nil && len(j.open) == 0 {
		select {
		case <-j.closed:
		default:
			close(j.closed)
		}
	}
}

// abandon gives up the jobs for objects of a name but for the one that is there, if there is
// any: nobody takes up what comes of them. They end soon; it reports whether one is still
// under way.
func (j *jobs) abandon(name types.NamespacedName, there types.UID) (underWay bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for b := range j.open {
		if b.owner.NamespacedName != name || b.owner.uid == there {
			continue
		}
		b.left = true
		if b.hasEnded() {
			b.close()
		} else {
			b.interrupt(errGone)
			underWay = true
		}
	}
	return underWay
}

// underWay reports whether a job for an object of a name is.
func (j *jobs) underWay(name types.NamespacedName) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for b := range j.open {
		if b.owner.NamespacedName == name && !b.hasEnded() {
			return true
		}
	}
	return false
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
		j.end(action.ErrStopping)
	}
}
