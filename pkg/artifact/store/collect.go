package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"weir.dev/pkg/artifact"
)

const (
	// lockSuffix ends the names of the lock files that a Flux installation leaves beside artifacts.
	lockSuffix = ".lock"

	// Bounds on one Collect. What it leaves, the next one finds.
	collectTime  = 5 * time.Second
	collectFiles = 1000
)

// Collect removes the artifacts of an object that are no longer needed, and returns how many that
// were. Those older than Options.TTL go; of the others, the oldest go until Options.Keep are left.
// The current artifact, the one that the object's status advertises, counts and always stays. It
// may be the zero Path if there is none.
//
// Whoever read a status before it changed can still fetch what it advertised for a while. With more
// than Options.Keep artifacts within Options.TTL that ends early: such a reader gets ErrNotFound
// from its fetch, and reads the object again.
func (s *Store) Collect(ctx context.Context, dir artifact.Dir, current artifact.Path, now time.Time) (int, error) {
	if dir.IsZero() {
		return 0, errNoPath
	}
	if !current.IsZero() && current.Dir() != dir {
		return 0, fmt.Errorf("collecting %q: the current artifact %q is elsewhere", dir, current)
	}
	ctx, cancel := context.WithTimeout(ctx, collectTime)
	defer cancel()

	files, err := s.candidates(ctx, dir.String())
	if err != nil {
		return 0, fmt.Errorf("collecting %q: %w", dir, err)
	}
	removed := 0
	for _, f := range expired(files, current.File(), now, s.opts.TTL, s.opts.Keep) {
		if ctx.Err() != nil {
			return removed, fmt.Errorf("collecting %q: %w", dir, context.Cause(ctx))
		}
		ok, err := s.removeIfUnchanged(dir.String()+"/"+f.name, f)
		if err != nil {
			return removed, err
		}
		if ok {
			removed++
		}
	}
	return removed, nil
}

// stored is an artifact's file as Collect found it.
type stored struct {
	name    string
	modTime time.Time
}

// candidates lists the regular files in a directory, without locks, and removes the temporary ones
// that nobody writes.
func (s *Store) candidates(ctx context.Context, dir string) ([]stored, error) {
	d, err := s.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var files []stored
	for len(files) < collectFiles {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		entries, err := d.ReadDir(min(100, collectFiles-len(files)))
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			switch {
			case strings.HasPrefix(e.Name(), tempPrefix):
				if err := s.sweep(dir+"/"+e.Name(), e); err != nil {
					return nil, err
				}
			case e.Type().IsRegular() && !strings.HasSuffix(e.Name(), lockSuffix):
				if info, err := e.Info(); err == nil { // else it is gone
					files = append(files, stored{e.Name(), info.ModTime()})
				}
			}
		}
	}
	return files, nil
}

// removeIfUnchanged removes a file unless a Put replaced it since it was listed.
func (s *Store) removeIfUnchanged(name string, f stored) (bool, error) {
	defer s.turns.take(name)()
	info, err := s.root.Lstat(name)
	if err != nil || !info.ModTime().Equal(f.modTime) {
		return false, nil //nolint:nilerr // gone, which is what was wanted
	}
	return true, s.remove(name)
}

// expired returns the files to remove, oldest first: those older than ttl, and as many more as
// there are above keep. The current file is counted, and never returned. Equally old files go by
// name.
func expired(files []stored, current string, now time.Time, ttl time.Duration, keep int) []stored {
	var old []stored
	for _, f := range files {
		if f.name != current {
			old = append(old, f)
		}
	}
	slices.SortFunc(old, func(a, b stored) int {
		return cmp.Or(a.modTime.Compare(b.modTime), cmp.Compare(a.name, b.name))
	})
	n := max(0, len(files)-keep)
	for n < len(old) && now.Sub(old[n].modTime) > ttl {
		n++
	}
	return old[:min(n, len(old))]
}
