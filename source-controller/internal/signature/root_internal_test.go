package signature

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// TestPublicRootIsFetchedSeldom: what the instance vouches for seldom changes, and one
// that does not answer is not asked by every object in turn.
func TestPublicRootIsFetchedSeldom(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	fetches, broken := 0, errors.New("cannot be reached")
	var fail error
	p := newPublicRoot(func(context.Context) (root.TrustedMaterial, error) {
		fetches++
		return &root.BaseTrustedMaterial{}, fail
	})
	p.now = func() time.Time { return now }
	steps := []struct {
		why     string
		after   time.Duration
		fail    error
		fetches int
		err     error
	}{
		{why: "the first use", fail: broken, fetches: 1, err: broken},
		{why: "too soon after a failure", after: 59 * time.Second, fetches: 1, err: broken},
		{why: "a minute after a failure", after: time.Second, fetches: 2},
		{why: "known", after: 23 * time.Hour, fetches: 2},
		{why: "old, and the instance fails: the old one does", after: time.Hour, fail: broken, fetches: 3},
		{why: "too soon after that", after: time.Second, fetches: 3},
		{why: "a minute after that", after: time.Minute, fetches: 4},
	}
	for _, s := range steps {
		now, fail = now.Add(s.after), s.fail
		got, err := p.get(t.Context())
		if !errors.Is(err, s.err) || (got == nil) != (s.err != nil) || fetches != s.fetches {
			t.Errorf("%s: root %v, %v, after %d fetches; want %v after %d", s.why, got, err, fetches, s.err, s.fetches)
		}
	}
}

// TestInterruptedFetchIsNoFailure: a run that ends says nothing of the instance.
func TestInterruptedFetchIsNoFailure(t *testing.T) {
	t.Parallel()
	p := newPublicRoot(func(ctx context.Context) (root.TrustedMaterial, error) { return &root.BaseTrustedMaterial{}, ctx.Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("get = %v; want that it was canceled", err)
	}
	if _, err := p.get(t.Context()); err != nil {
		t.Errorf("the next get = %v; want it to fetch at once", err)
	}
}
