package fetch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"weir.dev/pkg/artifact/internal/filelock"
)

// lockPattern names the files by which processes hold their folders.
const lockPattern = "*.lock"

// Scratch is a folder of this process alone, for the Dir of a Cache. It outlives the
// process only if that is killed; then the next one to come removes it.
type Scratch struct {
	Dir  string
	lock *os.File
}

// NewScratch makes a folder below parent, which is made if it is missing, and removes
// those that killed processes have left there. Nothing else may be in parent.
func NewScratch(parent string) (*Scratch, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for artifacts: %w", err)
	}
	if err := sweep(parent); err != nil {
		return nil, fmt.Errorf("removing what killed processes have left: %w", err)
	}
	for {
		s, err := newScratch(filepath.Join(parent, rand.Text()))
		if errors.Is(err, filelock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // a sweep that came in between has the lock, or has removed the file
		}
		return s, err
	}
}

// newScratch makes a folder, its lock first.
func newScratch(dir string) (*Scratch, error) {
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a folder for artifacts: %w", err)
	}
	err = filelock.Take(lock)
	if err == nil {
		_, err = os.Lstat(lock.Name())
	}
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("making a folder for artifacts: %w", err)
	}
	return &Scratch{Dir: dir, lock: lock}, nil
}

// Remove removes the folder.
func (s *Scratch) Remove() error {
	return errors.Join(os.RemoveAll(s.Dir), os.Remove(s.lock.Name()), s.lock.Close())
}

// sweep removes the folders that no process holds, and then their locks.
func sweep(parent string) error {
	locks, err := filepath.Glob(filepath.Join(parent, lockPattern))
	if err != nil {
		return err
	}
	for _, name := range locks {
		if err := sweepOne(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func sweepOne(name string) error {
	lock, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer lock.Close()
	if filelock.Take(lock) != nil {
		return nil // in use, or nobody can tell
	}
	return errors.Join(os.RemoveAll(name[:len(name)-len(".lock")]), os.Remove(name))
}
