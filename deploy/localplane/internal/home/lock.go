package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPoll is how often a lock that somebody else holds is tried. A lock call
// that waits could not be interrupted.
const lockPoll = 20 * time.Millisecond

// Mode is how a lock is shared.
type Mode int

// Modes of a lock.
const (
	Exclusive Mode = syscall.LOCK_EX
	Shared    Mode = syscall.LOCK_SH
)

// String names the mode.
func (m Mode) String() string {
	if m == Shared {
		return "shared"
	}
	return "exclusive"
}

// Lock is a hold on a file. The system releases it when the last process that has
// the file open ends.
type Lock struct{ file *os.File }

// Acquire waits for a lock until ctx ends.
func Acquire(ctx context.Context, path string, mode Mode) (*Lock, error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		l, ok, err := Try(path, mode)
		if err != nil || ok {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the %s lock %q: %w", mode, path, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Try takes a lock if that is possible now.
func Try(path string, mode Mode) (l *Lock, ok bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("locking: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), int(mode)|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	// A file that was removed since it was opened locks nothing.
	if err == nil && current(f, path) {
		return &Lock{f}, true, nil
	}
	closeErr := f.Close()
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, fmt.Errorf("locking %q: %w", path, errors.Join(err, closeErr))
	}
	return nil, false, nil
}

// File returns the locked file, for a process to inherit: it then holds the lock,
// too.
func (l *Lock) File() *os.File { return l.file }

// Release gives up this process's hold.
func (l *Lock) Release() {
	_ = l.file.Close() // nothing was written
}

// current tells whether path still names f.
func current(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(mine, named)
}
