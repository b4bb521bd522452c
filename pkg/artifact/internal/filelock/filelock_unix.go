//go:build unix

package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Take takes an open file for this process, without waiting. The kernel gives it up
// when the file is closed, also after a kill. The error is ErrHeld, or wraps
// errors.ErrUnsupported where files cannot be locked.
func Take(f *os.File) error {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrHeld
	default:
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
}
