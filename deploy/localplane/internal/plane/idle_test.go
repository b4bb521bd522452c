package plane

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"weir.dev/deploy/localplane/internal/home"
)

func TestIdleClock(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	type look struct {
		after  time.Duration
		unused bool
	}
	tests := map[string]struct {
		why   string
		looks []look
		want  bool // by the last of them
	}{
		"is over when nobody came":     {why: "the plane of a test run that was killed", want: true, looks: []look{{time.Minute, true}}},
		"is not over too early":        {why: "the next test may be about to come", looks: []look{{59 * time.Second, true}}},
		"is not over while it is used": {why: "a test may take an hour", looks: []look{{time.Hour, false}}},
		"begins anew after each use":   {why: "it was used until just now", looks: []look{{50 * time.Second, false}, {time.Minute, true}}},
		"is over after the last use":   {why: "all tests have ended", want: true, looks: []look{{50 * time.Second, false}, {110 * time.Second, true}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := idleClock{limit: time.Minute, used: start}
			var got bool
			for _, l := range tc.looks {
				got = c.over(start.Add(l.after), l.unused)
			}
			if got != tc.want {
				t.Errorf("over() = %t, want %t (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestAwaitIdle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	user, err := home.Acquire(t.Context(), path, home.Shared)
	if err != nil {
		t.Fatal(err)
	}
	used, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if l, err := awaitIdle(used, path, 10*time.Millisecond); l != nil || err != nil {
		t.Fatalf("awaitIdle() = %v, %v while somebody used the plane", l, err)
	}
	user.Release()
	l, err := awaitIdle(t.Context(), path, 10*time.Millisecond)
	if l == nil || err != nil {
		t.Fatalf("awaitIdle() = %v, %v when nobody used the plane; want the lock", l, err)
	}
	defer l.Release()
	if _, ok, err := home.Try(path, home.Shared); ok || err != nil {
		t.Errorf("a new user got in, %v, though the plane is about to stop", err)
	}
}

func TestNoLimitIsNeverIdle(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if l, err := awaitIdle(ctx, filepath.Join(t.TempDir(), "users"), 0); l != nil || err != nil {
		t.Errorf("awaitIdle() = %v, %v without a limit", l, err)
	}
}
