package helmrelease

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"weir.dev/helm-controller/internal/action"
)

// longest bounds every wait of a test here.
const longest = time.Minute

// one is what jobs are for.
var one = object{NamespacedName: types.NamespacedName{Namespace: "apps", Name: "web"}, uid: "1"}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(longest):
		t.Fatalf("waited %s for %s", longest, what)
	}
}

func TestJobsThatWaitLetOthersWork(t *testing.T) {
	t.Parallel()
	j := newJobs(1)
	waiting, health := make(chan struct{}), make(chan struct{})
	var working atomic.Int32
	first, ok := j.start(one, longest, func(_ context.Context, lend func() func()) {
		working.Add(1)
		working.Add(-1)
		back := lend()
		close(waiting)
		<-health
		back()
		if working.Add(1) != 1 {
			t.Error("the job goes on while another works")
		}
		working.Add(-1)
	}, func(*job) {})
	if !ok {
		t.Fatal("no job begins")
	}
	await(t, "the first to wait", waiting)
	second, _ := j.start(one, longest, func(context.Context, func() func()) {
		if working.Add(1) != 1 {
			t.Error("two jobs work at a time")
		}
		working.Add(-1)
	}, func(*job) {})
	await(t, "the second, while the first waits", second.ended)
	if first.hasEnded() {
		t.Error("the first has ended before what it waits for")
	}
	close(health)
	await(t, "the first", first.ended)
}

func TestJobTellsThatItHasEnded(t *testing.T) {
	t.Parallel()
	j := newJobs(1)
	told := make(chan struct{})
	ready := make(chan struct{})
	j.start(one, longest, func(context.Context, func() func()) { <-ready }, func(started *job) {
		if !started.hasEnded() {
			t.Error("the end is told before it has come")
		}
		close(told)
	})
	close(ready)
	await(t, "the end of the job to be told", told)
}

func TestInterruptedJobKnowsWhy(t *testing.T) {
	t.Parallel()
	j := newJobs(1)
	cause := errors.New("it is being deleted")
	var got error
	b, _ := j.start(one, longest, func(ctx context.Context, _ func() func()) {
		<-ctx.Done()
		got = context.Cause(ctx)
	}, func(*job) {})
	b.interrupt(cause)
	await(t, "the job", b.ended)
	if !errors.Is(got, cause) {
		t.Errorf("the job ends because of %v; want %v", got, cause)
	}
}

func TestDrainWaitsUntilAllIsTakenUp(t *testing.T) {
	t.Parallel()
	j := newJobs(2)
	b, _ := j.start(one, longest, func(ctx context.Context, _ func() func()) {
		if ctx.Err() != nil {
			t.Error("a job that is within its time is interrupted")
		}
	}, func(*job) {})
	await(t, "the job", b.ended)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		j.drain(longest)
	}()
	for {
		other, begins := j.start(one, longest, func(context.Context, func() func()) {}, func(*job) {})
		if !begins {
			break // drain has begun
		}
		other.takenUp()
	}
	select {
	case <-drained:
		t.Fatal("drained before the outcome was taken up")
	default:
	}
	b.takenUp()
	b.takenUp() // twice is once
	await(t, "the end", drained)
}

func TestDrainInterruptsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	j := newJobs(1)
	var cause error
	b, _ := j.start(one, longest, func(ctx context.Context, _ func() func()) {
		<-ctx.Done()
		cause = context.Cause(ctx)
	}, func(b *job) { b.takenUp() })
	j.drain(0)
	await(t, "the job", b.ended)
	if !errors.Is(cause, action.ErrStopping) {
		t.Errorf("the job ends because of %v; want %v", cause, action.ErrStopping)
	}
}

// TestJobMayWaitButNotHang: what a job works in all has a limit, and only that.
func TestJobMayWaitButNotHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJobs(1)
		var waited, worked error
		var took time.Duration
		b, _ := j.start(one, time.Minute, func(ctx context.Context, lend func() func()) {
			begun := time.Now()
			for range 5 { // each wait is longer than all that it may work
				back := lend()
				<-time.After(time.Hour)
				back()
				<-time.After(11 * time.Second)
			}
			waited = ctx.Err()
			<-ctx.Done()
			worked, took = context.Cause(ctx), time.Since(begun)
		}, func(*job) {})
		<-b.ended
		if waited != nil {
			t.Errorf("it is ended with %v while it is within its limit", waited)
		}
		if want := (overworked{time.Minute}); !errors.Is(worked, want) || took != 5*time.Hour+time.Minute {
			t.Errorf("it is ended with %v after %s; want %v when it has worked for a minute", worked, took, want)
		}
		failed := errors.New("it failed")
		if errors.Is(cutBy(contextOf(t, worked), failed), worked) {
			t.Error("it counts as ended from outside; want it to have failed")
		}
		if got := cutBy(contextOf(t, action.ErrStopping), failed); !errors.Is(got, action.ErrStopping) {
			t.Errorf("the end of the process counts as %v", got)
		}
		if got := cutBy(contextOf(t, action.ErrStopping), nil); got != nil {
			t.Errorf("what had succeeded by then counts as ended by %v", got)
		}
	})
}

// contextOf returns a context that has ended because of something.
func contextOf(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, end := context.WithCancelCause(t.Context())
	end(cause)
	return ctx
}

func TestWorkLimit(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{time.Second: 15 * time.Minute, 5 * time.Minute: 15 * time.Minute, time.Hour: 3 * time.Hour} {
		if got := workLimit(timeout); got != want {
			t.Errorf("with a timeout of %s: %s; want %s", timeout, got, want)
		}
	}
}

// TestJobOfWhatIsGoneHoldsUpNobody: whoever would take it up does not come any more.
func TestJobOfWhatIsGoneHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const successor = types.UID("2")
	tests := map[string]struct {
		why string
		end func(j *jobs, b *job) // the job ends only if it is interrupted
	}{
		"abandoned, then ended": {why: "its object was seen to go", end: func(j *jobs, _ *job) {
			if !j.abandon(one.NamespacedName, "") {
				t.Error("it is not said to be under way")
			}
		}},
		"ended, then abandoned": {why: "its outcome was not taken up in time", end: func(j *jobs, b *job) {
			b.interrupt(errDeleted)
			<-b.ended
			if j.underWay(one.NamespacedName) || j.abandon(one.NamespacedName, "") {
				t.Error("it is said to be under way")
			}
		}},
		"outlived": {why: "another of its name was seen first", end: func(j *jobs, b *job) {
			if !j.abandon(one.NamespacedName, successor) {
				t.Error("the successor does not wait for the job of before")
			}
			<-b.ended
			if j.abandon(one.NamespacedName, successor) {
				t.Error("the successor waits for a job that has ended")
			}
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJobs(1)
			b, _ := j.start(one, longest, func(ctx context.Context, _ func() func()) { <-ctx.Done() }, func(*job) {})
			over := make(chan struct{})
			b.atEnd(func() { close(over) })
			other := types.NamespacedName{Namespace: "apps", Name: "other"}
			if j.abandon(one.NamespacedName, one.uid) || j.abandon(other, "") || j.underWay(other) || b.hasEnded() || !j.underWay(one.NamespacedName) {
				t.Fatal("a job is interrupted for its own object, or because of another")
			}
			tc.end(j, b)
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				j.drain(2 * longest)
			}()
			await(t, "the end: "+tc.why, drained)
			await(t, "what is called at the end", over)
		})
	}
}

// TestWhatIsCalledAtTheEnd of a job is called when its outcome was taken up, and not before;
// at once if that is over.
func TestWhatIsCalledAtTheEnd(t *testing.T) {
	t.Parallel()
	j, called := newJobs(1), 0
	b, _ := j.start(one, longest, func(context.Context, func() func()) {}, func(*job) {})
	b.atEnd(func() { called++ })
	await(t, "the job", b.ended)
	if called > 0 {
		t.Error("it is called before the outcome was taken up")
	}
	b.takenUp()
	b.takenUp()
	if called != 1 {
		t.Errorf("it is called %d times; want once", called)
	}
	if b.atEnd(func() { called++ }); called != 2 {
		t.Errorf("after the end, it is called %d times; want once more", called-1)
	}
}
