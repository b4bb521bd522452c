package oom

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEndsNearTheLimit(t *testing.T) {
	t.Parallel()
	current := write(t, "current", "949\n")
	ctx, err := Watch(t.Context(), Options{Threshold: 95, Interval: time.Millisecond, MaxPath: write(t, "max", "1000\n"), CurrentPath: current})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctx.Err(); err != nil {
		t.Fatalf("ended below the threshold: %v", context.Cause(ctx))
	}
	if err := os.WriteFile(current, []byte("950\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("did not end at the threshold")
	}
	if !errors.Is(context.Cause(ctx), ErrNear) {
		t.Errorf("the cause is %v; want %v", context.Cause(ctx), ErrNear)
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		used, limit uint64
		want        bool
	}{
		"below":     {used: 94, limit: 100},
		"at":        {used: 95, limit: 100, want: true},
		"above":     {used: 101, limit: 100, want: true},
		"unlimited": {used: 1 << 40, limit: 1 << 63},
	} {
		if got := near(tc.used, tc.limit, 95); got != tc.want {
			t.Errorf("%s: near(%d, %d) is %t; want %t", name, tc.used, tc.limit, got, tc.want)
		}
	}
}

func TestRefusesWhatTellsNothing(t *testing.T) {
	t.Parallel()
	good := write(t, "good", "1")
	for name, tc := range map[string]struct {
		max, current string
		is           error
	}{
		"no limit":     {max: write(t, "max", "max\n"), current: good, is: errUnlimited},
		"no file":      {max: filepath.Join(t.TempDir(), "none"), current: good, is: os.ErrNotExist},
		"no number":    {max: write(t, "max", "much"), current: good},
		"nothing used": {max: good, current: write(t, "current", "")},
	} {
		_, err := Watch(t.Context(), Options{Threshold: 95, Interval: time.Hour, MaxPath: tc.max, CurrentPath: tc.current})
		if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: the error is %v; want one that is %v", name, err, tc.is)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts Options
		ok   bool
	}{
		"as it is by default": {opts: Options{Threshold: 95, Interval: time.Second}, ok: true},
		"never":               {opts: Options{Threshold: 101, Interval: time.Second}},
		"always":              {opts: Options{Interval: time.Second}},
		"all the time":        {opts: Options{Threshold: 95}},
	} {
		if err := tc.opts.Validate(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
