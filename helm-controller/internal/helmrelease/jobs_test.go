package helmrelease

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// longest bounds every wait of a test here.
const longest = time.Minute

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
	first, ok := j.start(func(_ context.Context, lend func() func()) {
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
	}, func() {})
	if !ok {
		t.Fatal("no job begins")
	}
	await(t, "the first to wait", waiting)
	second, _ := j.start(func(context.Context, func() func()) {
		if working.Add(1) != 1 {
			t.Error("two jobs work at a time")
		}
		working.Add(-1)
	}, func() {})
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
	var started *job
	ready := make(chan struct{})
	started, _ = j.start(func(context.Context, func() func()) { <-ready }, func() {
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
	b, _ := j.start(func(ctx context.Context, _ func() func()) {
		<-ctx.Done()
		got = context.Cause(ctx)
	}, func() {})
	b.interrupt(cause)
	await(t, "the job", b.ended)
	if !errors.Is(got, cause) {
		t.Errorf("the job ends because of %v; want %v", got, cause)
	}
}

func TestDrainWaitsUntilAllIsTakenUp(t *testing.T) {
	t.Parallel()
	j := newJobs(2)
	b, _ := j.start(func(ctx context.Context, _ func() func()) {
		if ctx.Err() != nil {
			t.Error("a job that is within its time is interrupted")
		}
	}, func() {})
	await(t, "the job", b.ended)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		j.drain(longest)
	}()
	for {
		if _, begins := j.start(func(context.Context, func() func()) {}, func() {}); !begins {
			break // drain has begun
		}
		j.mu.Lock()
		j.open--
		j.mu.Unlock()
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
	var b *job
	b, _ = j.start(func(ctx context.Context, _ func() func()) {
		<-ctx.Done()
		cause = context.Cause(ctx)
	}, func() { b.takenUp() })
	j.drain(0)
	await(t, "the job", b.ended)
	if !errors.Is(cause, errStopping) {
		t.Errorf("the job ends because of %v; want %v", cause, errStopping)
	}
}
