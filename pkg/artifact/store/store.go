// Package store keeps artifacts on local disk. A file that Put has returned is complete and never
// changes; readers need no lock. Putting other content under the same path makes a new file there,
// and whoever has the old one open reads the old one to its end.
//
// A crash at any point leaves what was there before, and at most a temporary file that the next
// Open removes. There are no lock files: a rename is atomic, and one process at a time owns the
// store, which is what leader election is for. A temporary file is locked by the process that
// writes it, so a standby that opens the store early removes nothing that is still being written.
//
// What to keep is the caller's decision, by Collect and RemoveAll; so is the status that advertises
// a file. Verify tells whether the two still agree.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/internal/filelock"
)

const (
	defaultKeep    = 2
	defaultTTL     = time.Minute
	defaultMaxSize = 1 << 30
)

const (
	modeFile = 0o600
	modeDir  = 0o750
)

// staleAfter is when a temporary file counts as left behind if nothing better tells.
const staleAfter = time.Hour

// tempPrefix starts the names of temporary files. No artifact's name starts with a dot.
const tempPrefix = ".tmp-"

var (
	// ErrTooLarge is wrapped by Put when the content exceeds Options.MaxSize.
	ErrTooLarge = artifact.ErrTooLarge

	// ErrNotFound is wrapped when there is no file for a path.
	ErrNotFound = errors.New("artifact not found")

	// ErrAltered is wrapped when a file is not what was stored. The caller removes it.
	ErrAltered = errors.New("artifact was altered")
)

// Options say where a Store is and bound how much it keeps.
type Options struct {
	Dir       string             // must exist
	Keep      int                // newest artifacts of an object to retain, with the current one; 0 means 2
	TTL       time.Duration      // older artifacts go first, never the current one; 0 means 1m
	MaxSize   int64              // refuse larger artifacts; 0 means 1 GiB, negative means no limit
	Algorithm artifact.Algorithm // what Put digests with; empty means SHA-256
}

// Validate reports what is wrong with options, nil if nothing is.
func (o Options) Validate() error {
	if o.Dir == "" {
		return errors.New("no storage directory is set")
	}
	if o.Keep < 0 {
		return fmt.Errorf("number of artifacts to keep is %d", o.Keep)
	}
	if o.TTL < 0 {
		return fmt.Errorf("time to keep artifacts is %s", o.TTL)
	}
	_, err := artifact.ParseAlgorithm(string(o.Algorithm))
	return err
}

// Store is a directory of artifacts. Its methods may be called at the same time.
type Store struct {
	opts  Options
	root  *os.Root
	turns turns
	known known

	// Faults to inject in tests.
	wrap func(*os.File) file

	hashes, hashedBytes atomic.Int64 // what Verify read
}

// Open opens the store in an existing directory, and removes temporary files that a crash left.
func Open(opts Options) (*Store, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Keep == 0 {
		opts.Keep = defaultKeep
	}
	if opts.TTL == 0 {
		opts.TTL = defaultTTL
	}
	if opts.MaxSize == 0 {
		opts.MaxSize = defaultMaxSize
	}
	opts.Algorithm, _ = artifact.ParseAlgorithm(string(opts.Algorithm)) // validated above

	info, err := os.Stat(opts.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("storage directory %q does not exist: create it, or mount a volume there", opts.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("storage directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("storage directory %q is not a directory", opts.Dir)
	}
	root, err := os.OpenRoot(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("storage directory: %w", err)
	}
	s := &Store{opts: opts, root: root, wrap: func(f *os.File) file { return f }}
	if err := s.sweepAll(); err != nil {
		root.Close()
		return nil, fmt.Errorf("removing temporary files: %w", err)
	}
	return s, nil
}

// Close releases the directory. Files that are open stay so.
func (s *Store) Close() error { return s.root.Close() }

// Has reports whether there is a file for the path. It does not look into it; Verify does.
func (s *Store) Has(path artifact.Path) bool {
	info, err := s.lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// Open opens an artifact for reading.
func (s *Store) Open(path artifact.Path) (*os.File, error) {
	if _, err := s.lstat(path); err != nil {
		return nil, err
	}
	f, err := s.root.Open(path.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, path)
	}
	return f, err
}

// Remove removes an artifact, and the lock file beside it that a Flux installation may have left.
// There may be nothing to remove.
func (s *Store) Remove(path artifact.Path) error {
	if path.IsZero() {
		return errNoPath
	}
	defer s.turns.take(path.String())()
	return s.remove(path.String())
}

// RemoveAll removes all artifacts of an object, and reports whether there were any.
func (s *Store) RemoveAll(dir artifact.Dir) (bool, error) {
	if dir.IsZero() {
		return false, errNoPath
	}
	if _, err := s.root.Lstat(dir.String()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s.known.forgetBelow(dir.String() + "/")
	if err := s.root.RemoveAll(dir.String()); err != nil {
		return false, fmt.Errorf("removing artifacts of %q: %w", dir, err)
	}
	return true, nil
}

var errNoPath = errors.New("no artifact path is given")

// remove removes one artifact by its name in the store. The caller has its turn.
func (s *Store) remove(name string) error {
	s.known.forget(name)
	for _, name := range [...]string{name, name + lockSuffix} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing artifact: %w", err)
		}
	}
	return nil
}

func (s *Store) lstat(path artifact.Path) (fs.FileInfo, error) {
	if path.IsZero() {
		return nil, errNoPath
	}
	info, err := s.root.Lstat(path.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, path)
	}
	return info, err
}

// sweepAll removes temporary files from all directories.
func (s *Store) sweepAll() error {
	return fs.WalkDir(s.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process is at work
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil // a volume's lost+found, say; nothing of ours
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), tempPrefix) {
			return s.sweep(name, d)
		}
		return nil
	})
}

// sweep removes one temporary file or link, unless somebody writes it.
func (s *Store) sweep(name string, d fs.DirEntry) error {
	if d.Type().IsRegular() {
		f, err := s.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		if inUse(f) {
			return nil
		}
	}
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// inUse reports whether a process writes a temporary file. Where files cannot be locked, its age
// has to tell.
func inUse(f *os.File) bool {
	err := filelock.Take(f)
	if errors.Is(err, errors.ErrUnsupported) {
		info, err := f.Stat()
		return err == nil && time.Since(info.ModTime()) < staleAfter
	}
	return err != nil
}

// turns lets one caller at a time work on a path.
type turns struct {
	mu   sync.Mutex
	busy map[string]*turn
}

type turn struct {
	sync.Mutex
	waiting int
}

// take waits for the path's turn and returns what ends it.
func (t *turns) take(path string) (done func()) {
	t.mu.Lock()
	if t.busy == nil {
		t.busy = make(map[string]*turn)
	}
	mine := t.busy[path]
	if mine == nil {
		mine = new(turn)
		t.busy[path] = mine
	}
	mine.waiting++
	t.mu.Unlock()

	mine.Lock()
	return func() {
		mine.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.waiting--; mine.waiting == 0 {
			delete(t.busy, path)
		}
	}
}
