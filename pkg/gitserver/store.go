package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	lockSuffix = ".lock"
	lockWait   = 5 * time.Second
	lockPoll   = 5 * time.Millisecond
)

// errMoved: a ref is not what it was a moment ago.
var errMoved = errors.New("somebody else moved the ref")

// store is the objects and refs of a bare repository. go-git writes refs in place,
// where a reader can find them empty; store replaces them as git does: complete files
// are renamed, under a lock file that the git command respects too.
//
// A store remembers which packs there are, so it is opened for one operation.
type store struct {
	*filesystem.Storage
	dir string
}

func openStore(dir string) *store {
	return &store{Storage: filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault()), dir: dir}
}

// IterReferences leaves out lock files, which go-git takes for refs.
func (s *store) IterReferences() (storer.ReferenceIter, error) {
	all, err := s.Storage.IterReferences()
	if err != nil {
		return nil, err
	}
	return storer.NewReferenceFilteredIter(func(r *plumbing.Reference) bool {
		return !strings.HasSuffix(r.Name().String(), lockSuffix)
	}, all), nil
}

// resolve returns what a ref points to, or the zero hash if there is no such ref.
func (s *store) resolve(name plumbing.ReferenceName) (plumbing.Hash, error) {
	ref, err := storer.ResolveReference(s, name)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
		return plumbing.ZeroHash, nil
	case err != nil:
		return plumbing.ZeroHash, fmt.Errorf("reading ref %q: %w", name, err)
	}
	return ref.Hash(), nil
}

// anything, as the old value of swap, means that it does not matter.
func anything(plumbing.Hash) bool { return true }

// exactly is the old value that a ref has to have.
func exactly(want plumbing.Hash) func(plumbing.Hash) bool {
	return func(is plumbing.Hash) bool { return is == want }
}

// swap lets a ref point to next if its old value is one that was expected, and errMoved
// otherwise. The zero hash stands for no ref on both sides.
func (s *store) swap(ctx context.Context, name plumbing.ReferenceName, expected func(plumbing.Hash) bool, next plumbing.Hash) error {
	path := filepath.Join(s.dir, filepath.FromSlash(name.String()))
	if err := s.lock(ctx, path, next); err != nil {
		return fmt.Errorf("locking ref %q: %w", name, err)
	}
	locked := true
	defer func() {
		if locked {
			remove(path + lockSuffix)
		}
		s.removeEmpty(filepath.Dir(path))
	}()
	old, err := s.resolve(name)
	if err != nil {
		return err
	}
	if !expected(old) {
		return errMoved
	}
	if next.IsZero() {
		if err := s.RemoveReference(name); err != nil {
			return fmt.Errorf("deleting ref %q: %w", name, err)
		}
		return nil
	}
	clearEmpty(path)
	if err := os.Rename(path+lockSuffix, path); err != nil {
		return fmt.Errorf("writing ref %q: %w", name, err)
	}
	locked = false // from here on, a lock file is somebody else's
	return nil
}

// lock makes the lock file of a ref, which holds the value to be. It waits for others
// that hold it, but not forever.
func (s *store) lock(ctx context.Context, path string, next plumbing.Hash) error {
	tmp, err := os.CreateTemp(s.dir, "tmp_ref_")
	if err != nil {
		return err
	}
	defer remove(tmp.Name())
	_, err = tmp.WriteString(next.String() + "\n")
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		// A link appears with its content, and only if there is nothing of that name.
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Link(tmp.Name(), path+lockSuffix))
		if err == nil {
			return nil
		}
		// The folder may have been removed between the two steps.
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, waiting for who holds it", context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// removeEmpty removes folders that a deleted ref left empty: they would be in the way
// of a ref of that name.
func (s *store) removeEmpty(dir string) {
	for {
		rel, err := filepath.Rel(s.dir, dir)
		if err != nil || strings.Count(filepath.ToSlash(rel), "/") < 2 {
			return // refs/heads and the like stay
		}
		if os.Remove(dir) != nil {
			return
		}
		dir = filepath.Dir(dir)
	}
}

// clearEmpty removes a folder that has nothing but folders in it.
func clearEmpty(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			clearEmpty(filepath.Join(path, e.Name()))
		}
	}
	remove(path) // fails where a ref is left, and so does what comes next
}

// remove removes a file or an empty folder that is in nobody's way if it stays.
func remove(path string) { _ = os.Remove(path) }

// checkRef accepts what git accepts as a full name of a ref.
func checkRef(name plumbing.ReferenceName) error {
	if !strings.HasPrefix(name.String(), "refs/") || name.Validate() != nil {
		return fmt.Errorf("%w: %q", ErrInvalidRef, name)
	}
	return nil
}
