package home

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Own makes this process the owner of a file until it ends, and tells whether that
// worked: there can be one. The owner must not open the file again, as closing any
// of its descriptors would end the ownership.
func Own(path string) (l *Lock, ok bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("owning: %w", err)
	}
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &whole)
	switch {
	case err == nil:
		return &Lock{f}, true, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
		return nil, false, f.Close()
	default:
		return nil, false, fmt.Errorf("owning %q: %w", path, errors.Join(err, f.Close()))
	}
}

// Owner returns the process that owns the file, as the system knows it: a process
// id that was written down could have gone to another process since. Zero means
// nobody.
func Owner(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking who owns: %w", err)
	}
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("asking who owns %q: %w", path, err)
	}
	if whole.Type == syscall.F_UNLCK {
		return 0, nil
	}
	if whole.Pid <= 1 {
		return 0, fmt.Errorf("%q is owned by a process that cannot be seen from here (of another container?)", path)
	}
	return int(whole.Pid), nil
}
