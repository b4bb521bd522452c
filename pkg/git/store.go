package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// maxPacks is how many fetches a store takes up before it is compacted: each adds a
	// pack, and looking up an object asks every pack.
	maxPacks = 64
	// maxSpare is how many bytes there may be beside the largest pack, if that has not
	// more itself. A store with more is begun anew, which then costs no more than what
	// was fetched since the last time.
	maxSpare = 64 << 20
	// damaged is a file in objects that are not to be used any more.
	damaged = "damaged"
	// packExt and indexExt end the names of a pack and of its index.
	packExt, indexExt = ".pack", ".idx"
)

// Store is a bare object store of one remote on disk. It is safe for concurrent
// use: fetches happen one after the other, and reading never waits.
//
// On disk it has generations, which are folders with a number for a name. A store
// that is compacted or begun anew goes on in the next one, and whoever reads the last one
// is not disturbed.
type Store struct {
	dir   string
	packs int // how many there may be

	mu     sync.Mutex
	opened bool // since this process began, so that others may be reading
}

// Fetch returns the snapshot of a target. If the store has it, the remote is not
// asked, but for whether a commit is on its branch; otherwise only what the store lacks is transferred. A store that turns
// out to be damaged is begun anew.
func (s *Store) Fetch(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	if err := checkBranch(ctx, conn, t); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot, err := s.fetch(ctx, conn, t)
	if err == nil || ctx.Err() != nil || conn.spent || !errors.Is(err, ErrDamaged) {
		return snapshot, err
	}
	return s.fetch(ctx, conn, t)
}

// Has returns the snapshot of a commit that was fetched before.
func (s *Store) Has(commit plumbing.Hash) (*Snapshot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.generations()
	if err != nil || len(all) == 0 {
		return nil, false
	}
	g := s.generation(all[len(all)-1])
	if g.isDamaged() {
		return nil, false
	}
	st := g.storage()
	if _, err := st.Reference(fetchedRef(commit)); err != nil {
		_ = st.Close() // nothing was read
		return nil, false
	}
	s.touch()
	snapshot, err := g.open(st, commit)
	return snapshot, err == nil
}

// fetch brings the store up to date with t and opens its snapshot. Damage that it
// meets makes the next fetch begin anew.
func (s *Store) fetch(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	g, err := s.prepare()
	if err != nil {
		return nil, err
	}
	snapshot, err := g.fetch(ctx, conn, t)
	return snapshot, g.mark(err)
}

// prepare returns the generation to fetch into: the newest, unless it is worn. Then it
// is one with the same objects, or, if that cannot be had, without any.
func (s *Store) prepare() (generation, error) {
	all, err := s.generations()
	if err != nil {
		return generation{}, fmt.Errorf("opening store: %w", err)
	}
	newest := 0
	if len(all) > 0 {
		newest = all[len(all)-1]
	}
	last := newest
	if state := s.generation(newest).wear(); newest == 0 || state != sound {
		newest++
		if state == scattered {
			// What fails here costs a whole fetch, in which it comes up again.
			_ = s.generation(newest - 1).compact(s.generation(newest))
		}
	}
	switch {
	case !s.opened:
		err = s.removeExcept(newest) // nobody reads yet
	case newest > last:
		err = s.removeExcept(newest, last)
	}
	if err != nil {
		return generation{}, fmt.Errorf("compacting store: %w", err)
	}
	s.opened = true
	g := s.generation(newest)
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return generation{}, fmt.Errorf("opening store: %w", err)
	}
	if err := g.tidy(); err != nil {
		return generation{}, fmt.Errorf("opening store: %w", err)
	}
	s.touch()
	return g, nil
}

// generations returns the numbers of the generations on disk, the newest last.
func (s *Store) generations() ([]int, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var all []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

func (s *Store) generation(number int) generation {
	return generation{store: s, dir: filepath.Join(s.dir, strconv.Itoa(number))}
}

// removeExcept removes everything but some generations.
func (s *Store) removeExcept(numbers ...int) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && slices.Contains(numbers, n) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeUnused deletes the store if it was last used before the given time, and
// otherwise the generations that were.
func (s *Store) removeUnused(since time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.dir)
	if err != nil {
		return false, ignoreMissing(err)
	}
	if info.ModTime().Before(since) {
		return true, os.RemoveAll(s.dir)
	}
	all, err := s.generations()
	if err != nil || len(all) == 0 {
		return false, err
	}
	for _, n := range all[:len(all)-1] {
		g := s.generation(n)
		if info, err := os.Stat(g.dir); err != nil || !info.ModTime().Before(since) {
			continue
		}
		if err := os.RemoveAll(g.dir); err != nil {
			return false, err
		}
	}
	return false, os.Chtimes(s.dir, info.ModTime(), info.ModTime()) // this was no use of it
}

// touch marks the store as in use.
func (s *Store) touch() {
	now := time.Now()
	_ = os.Chtimes(s.dir, now, now) // there may be no store yet
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// generation is the objects and refs of a store from when it was begun anew.
type generation struct {
	store *Store
	dir   string
}

// wear is what keeps a generation from being used on.
type wear int

const (
	sound     wear = iota
	scattered      // it has too many packs
	spent          // it has little that is of use
)

// wear looks at what there is on disk.
func (g generation) wear() wear {
	packs := g.packs()
	var total, largest int64
	for _, p := range packs {
		total, largest = total+p.size, max(largest, p.size)
	}
	switch {
	case g.isDamaged(), total-largest > max(largest, maxSpare):
		return spent
	case len(packs) >= g.store.packs:
		return scattered
	default:
		return sound
	}
}

// packOnDisk is a pack of a generation.
type packOnDisk struct {
	path string // without the extension
	size int64
}

// packs returns the packs there are.
func (g generation) packs() []packOnDisk {
	var all []packOnDisk
	paths, _ := filepath.Glob(filepath.Join(g.packDir(), "*"+packExt)) // the pattern is valid
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil { // else nobody can use it
			all = append(all, packOnDisk{strings.TrimSuffix(path, packExt), info.Size()})
		}
	}
	return all
}

func (g generation) isDamaged() bool {
	_, err := os.Stat(filepath.Join(g.dir, damaged))
	return err == nil
}

// mark remembers that err is damage, if it is, and returns it. The file outlives this
// process, which may end before the next fetch.
func (g generation) mark(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	f, markErr := os.Create(filepath.Join(g.dir, damaged))
	switch {
	case errors.Is(markErr, fs.ErrNotExist):
		return err // it is gone altogether
	case markErr != nil:
		return errors.Join(err, markErr)
	}
	return errors.Join(err, f.Close())
}

// tidy removes what fetches left that failed or were killed: packs that are not whole,
// and indexes that were written ahead of their pack.
func (g generation) tidy() error {
	entries, err := os.ReadDir(g.packDir())
	if err != nil {
		return ignoreMissing(err)
	}
	packs := make(map[string]bool)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), packExt); ok {
			packs[name] = true
		}
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), indexExt)
		if filepath.Ext(e.Name()) == packExt || ok && packs[name] {
			continue
		}
		if err := os.Remove(filepath.Join(g.packDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (g generation) packDir() string { return filepath.Join(g.dir, "objects", "pack") }

// storage opens the object store. It sees what is on disk now, and keeps the packs open
// that it reads from, so it has to be closed.
func (g generation) storage() *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(g.dir, osfs.WithBoundOS()), cache.NewObjectLRUDefault(), filesystem.Options{
		KeepDescriptors: true,
		ExclusiveAccess: true, // the lock of Store sees to that
	})
}

// write replaces a small file, so that there is always the old one or the new one.
func (g generation) write(name, content string) error {
	path := filepath.Join(g.dir, filepath.FromSlash(name))
	tmp := filepath.Join(g.dir, "tmp_write")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
