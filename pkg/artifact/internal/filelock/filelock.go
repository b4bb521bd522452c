// Package filelock tells files of processes that live from those that were left by
// processes which were killed.
package filelock

import "errors"

// ErrHeld says that another process, or another open file of this one, has the lock.
var ErrHeld = errors.New("file is locked")
