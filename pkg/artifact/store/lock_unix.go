//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes an open file for this process. The kernel gives it up when the file is closed, also
// after a kill. The error is errLocked, or wraps errors.ErrUnsupported where files cannot be locked.
func lock(f *os.File) error {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errLocked
	default:
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
}
