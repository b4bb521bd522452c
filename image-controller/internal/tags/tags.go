// Package tags keeps the list of tags of each ImageRepository on disk, so that policies
// can be evaluated at once after a restart.
//
// What Put has returned is complete, and survives a crash. In memory there are some
// hundred bytes an object, and the lists that were read last, up to a limit; whoever reads
// the same list shares it. A file that is damaged counts as none. Which tags belong into a
// list is the caller's to say.
package tags

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// folder of the storage that has the lists.
	folder = "imagerepository"
	// fileName is that of a list, in the folder of its object.
	fileName = "tags"
	// defaultCompressAbove is how many bytes a list has that is compressed.
	defaultCompressAbove = 64 << 10
	// maxList bounds what is read of a file, in bytes after it was decompressed.
	maxList = 64 << 20
	// maxShared is how many bytes of lists are kept in memory. The last one that was
	// read is kept whatever its size.
	maxShared = 16 << 20
)

// List is a list of tags.
type List struct {
	// Revision is a digest of the tags, sha256:<hex>: equal for equal lists.
	Revision string
	// Tags are sorted, the last of the alphabet first, each of them once. They are shared
	// and not to be changed.
	Tags []string
}

// Scan is what is known of a list without reading it.
type Scan struct {
	Revision string
	Time     time.Time // of the last Put, also if the list was the same
}

// Store keeps lists. It is safe for concurrent use.
type Store struct {
	// CompressAbove is how many bytes a list has that is compressed. It may be set
	// before the store is used; 64 KiB unless it is.
	CompressAbove int

	dir  string
	now  func() time.Time
	tree sync.RWMutex // is held for writing by who removes folders

	mu      sync.Mutex
	entries map[types.NamespacedName]*entry
	shared  *shared
}

// entry is what is known of the list of an object.
type entry struct {
	mu    sync.Mutex // of the file, too
	valid bool       // the file was written, or read whole
	image string
	scan  Scan
}

// Open returns the Store in a folder, which must exist.
func Open(dir string) (*Store, error) {
	dir = filepath.Join(dir, folder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of tags: %w", err)
	}
	return &Store{
		CompressAbove: defaultCompressAbove, dir: dir, now: time.Now,
		entries: make(map[types.NamespacedName]*entry), shared: newShared(maxShared),
	}, nil
}

// Put keeps the tags of an image, which is the name that the spec of repo has. If they are
// those that are kept, only the time of that is noted.
func (s *Store) Put(repo types.NamespacedName, image string, tags []string) (List, error) {
	list, text := newList(tags)
	e := s.entry(repo)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !s.look(repo, e) || e.image != image || e.scan.Revision != list.Revision {
		e.valid = false
		if err := s.write(repo, image, list.Revision, text); err != nil {
			return List{}, fmt.Errorf("storing tags: %w", err)
		}
		e.valid, e.image, e.scan.Revision = true, image, list.Revision
		s.shared.put(repo, image, list, len(text))
	}
	e.scan.Time = s.now()
	// The time is worth nothing but a scan too many after a restart.
	_ = os.Chtimes(s.path(repo), e.scan.Time, e.scan.Time)
	return list, nil
}

// Get returns the tags of an image, and false if there are none, or those of another.
func (s *Store) Get(repo types.NamespacedName, image string) (List, bool, error) {
	if list, ok := s.shared.get(repo, image); ok {
		return list, true, nil
	}
	e := s.entry(repo)
	e.mu.Lock()
	defer e.mu.Unlock()
	if list, ok := s.shared.get(repo, image); ok {
		return list, true, nil // by somebody else, meanwhile
	}
	found, err := s.read(repo)
	if errors.Is(err, errDamaged) || errors.Is(err, os.ErrNotExist) {
		e.valid = false
		return List{}, false, nil
	}
	if err != nil {
		return List{}, false, fmt.Errorf("reading tags: %w", err)
	}
	e.know(found)
	if found.image != image {
		return List{}, false, nil
	}
	s.shared.put(repo, image, found.list, found.size)
	return found.list, true, nil
}

// Scanned returns what is known of the tags of an image, and false if there are none, or
// those of another. The list is read only if it was not since the process began.
func (s *Store) Scanned(repo types.NamespacedName, image string) (Scan, bool) {
	e := s.entry(repo)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !s.look(repo, e) || e.image != image {
		return Scan{}, false
	}
	return e.scan, true
}

// Delete removes the list of an object that is gone.
func (s *Store) Delete(repo types.NamespacedName) error {
	s.tree.Lock()
	defer s.tree.Unlock()
	s.mu.Lock()
	delete(s.entries, repo)
	s.mu.Unlock()
	s.shared.forget(repo)
	dir := filepath.Dir(s.path(repo))
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing tags: %w", err)
	}
	_ = os.Remove(filepath.Dir(dir)) // which has others of its namespace, or nothing
	return nil
}

// look makes sure that e is true of the file, and reports whether there is a list.
func (s *Store) look(repo types.NamespacedName, e *entry) bool {
	if e.valid {
		_, err := os.Stat(s.path(repo))
		return err == nil
	}
	found, err := s.read(repo)
	if err != nil {
		return false // it is to be made anew, whatever is wrong with it
	}
	e.know(found)
	return true
}

// know takes in what was read.
func (e *entry) know(found file) {
	e.valid, e.image, e.scan = true, found.image, Scan{Revision: found.list.Revision, Time: found.time}
}

func (s *Store) entry(repo types.NamespacedName) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[repo]
	if !ok {
		e = new(entry)
		s.entries[repo] = e
	}
	return e
}

func (s *Store) path(repo types.NamespacedName) string {
	return filepath.Join(s.dir, repo.Namespace, repo.Name, fileName)
}

// newList sorts tags, and joins them in one text that all of them are a part of, so that a
// long list is few things to the garbage collector.
func newList(tags []string) (List, string) {
	sorted := slices.Clone(tags)
	slices.SortFunc(sorted, func(a, b string) int { return strings.Compare(b, a) })
	text := strings.Join(slices.Compact(sorted), "\n")
	return listOf(text), text
}

// listOf is the list that a text has, a tag a line.
func listOf(text string) List {
	sum := sha256.Sum256([]byte(text))
	list := List{Revision: "sha256:" + hex.EncodeToString(sum[:]), Tags: []string{}}
	if text != "" {
		list.Tags = strings.Split(text, "\n")
	}
	return list
}
