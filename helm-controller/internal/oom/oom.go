// Package oom notices that a process is about to run out of the memory that it may use,
// so that it can end in good order before the kernel ends it in none.
package oom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxNumber bounds what is read of a file that holds one number.
const maxNumber = 64

// Files of the control group of a process in a container, the newer hierarchy first.
var (
	maxPaths     = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}
	currentPaths = []string{"/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}
)

// ErrNear is the cause of the end of a context that Watch made.
var ErrNear = errors.New("the memory in use is near its limit")

// errUnlimited means that there is no limit to be near to.
var errUnlimited = errors.New("the memory is not limited")

// Options say what to look at, and when it is too much.
type Options struct {
	Threshold   uint8         // percentage of the limit, 1 to 100
	Interval    time.Duration // between two looks
	MaxPath     string        // file with the limit; "" means that of the control group
	CurrentPath string        // file with what is in use; "" means that of the control group
}

// Validate refuses what cannot work, naming the flag.
func (o Options) Validate() error {
	if o.Threshold < 1 || o.Threshold > 100 {
		return fmt.Errorf("--oom-watch-memory-threshold is %d: it must be from 1 to 100", o.Threshold)
	}
	if o.Interval <= 0 {
		return fmt.Errorf("--oom-watch-interval is %s: it must be positive", o.Interval)
	}
	return nil
}

// Watch returns a context that ends, because of ErrNear, once more memory is in use than
// the threshold allows. It is an error if that cannot be told, for want of a limit.
func Watch(ctx context.Context, o Options) (context.Context, error) {
	limit, err := first(o.MaxPath, maxPaths)
	if err != nil {
		return ctx, fmt.Errorf("reading the memory limit: %w", err)
	}
	if _, err := first(o.CurrentPath, currentPaths); err != nil {
		return ctx, fmt.Errorf("reading the memory in use: %w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(o.Interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				used, err := first(o.CurrentPath, currentPaths)
				if err == nil && near(used, limit, o.Threshold) {
					end(fmt.Errorf("%w: %d of %d bytes", ErrNear, used, limit))
					return
				}
			}
		}
	}()
	return ctx, nil
}

// near reports whether as many percent of the limit are in use.
func near(used, limit uint64, percent uint8) bool {
	return float64(used) >= float64(limit)/100*float64(percent)
}

// first reads the file at path, or else the first there is of others.
func first(path string, others []string) (uint64, error) {
	if path != "" {
		return number(path)
	}
	for _, other := range others {
		n, err := number(other)
		if !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
	return 0, fmt.Errorf("there is none of %s", strings.Join(others, ", "))
}

// number reads a file that holds one number.
func number(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNumber))
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	if text == "max" {
		return 0, fmt.Errorf("%s: %w", path, errUnlimited)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds no number: %w", path, err)
	}
	return n, nil
}
