package git

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// unfinished is the folder of a generation that is being made.
const unfinished = "unfinished"

// compact makes a generation of what is of use in g. It has the largest pack of g, which
// costs nothing, and one pack with what the newest commits have besides. The remote is
// not asked, and who reads g is not disturbed.
//
// Commits that a server let us have with all of their history are left behind: to have
// them means to have that too. If the last one is such a commit, nothing is gained.
func (g generation) compact(next generation) error {
	st := g.storage()
	defer func() { _ = st.Close() }() // it was only read
	commits, err := g.newest(st)
	if err != nil {
		return err
	}
	made := generation{store: g.store, dir: filepath.Join(g.store.dir, unfinished)}
	if err := os.RemoveAll(made.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(made.packDir(), 0o700); err != nil {
		return err
	}
	if err := made.take(slices.MaxFunc(g.packs(), func(a, b packOnDisk) int { return cmp.Compare(a.size, b.size) })); err != nil {
		return err
	}
	if err := made.add(st, commits); err != nil {
		return err
	}
	return os.Rename(made.dir, next.dir)
}

// use is a commit, when it was fetched, and whether with its history.
type use struct {
	commit  plumbing.Hash
	at      time.Time
	history bool
}

// newest returns the commits that were fetched last, as many as a remote is told of.
func (g generation) newest(st *filesystem.Storage) ([]use, error) {
	shallows, err := st.Shallow()
	if err != nil {
		return nil, err
	}
	refs, err := os.ReadDir(filepath.Join(g.dir, filepath.FromSlash(fetched)))
	if err != nil {
		return nil, err
	}
	var all []use
	for _, ref := range refs {
		info, err := ref.Info()
		if err != nil {
			return nil, err
		}
		hash := plumbing.NewHash(ref.Name())
		commit, err := object.GetCommit(st, hash)
		if err != nil {
			return nil, fmt.Errorf("fetched commit %s: %w", hash, err)
		}
		whole := len(commit.ParentHashes) > 0 && !slices.Contains(shallows, hash)
		all = append(all, use{hash, info.ModTime(), whole})
	}
	slices.SortFunc(all, func(a, b use) int { return b.at.Compare(a.at) })
	if len(all) == 0 || all[0].history {
		return nil, errors.New("there is no commit without its history to go on with")
	}
	all = slices.DeleteFunc(all, func(u use) bool { return u.history })
	return all[:min(len(all), maxHaves, g.store.packs/2)], nil
}

// take takes over a pack of another generation.
func (g generation) take(p packOnDisk) error {
	for _, ext := range []string{packExt, indexExt} {
		if err := os.Link(p.path+ext, filepath.Join(g.packDir(), filepath.Base(p.path)+ext)); err != nil {
			return err
		}
	}
	return nil
}

// add adds commits of another generation, and what they have that is not here.
func (g generation) add(from *filesystem.Storage, commits []use) error {
	here := g.storage()
	defer func() { _ = here.Close() }() // what is written is on disk
	w := walk{from: from, here: here, seen: make(map[plumbing.Hash]bool)}
	for _, u := range commits {
		if err := w.commit(u.commit); err != nil {
			return err
		}
	}
	if err := g.keep(from, here, w.missing); err != nil {
		return err
	}
	var shallow strings.Builder
	for _, u := range commits {
		shallow.WriteString(u.commit.String() + "\n")
		if err := g.write(fetched+u.commit.String(), u.commit.String()+"\n"); err != nil {
			return err
		}
		if err := os.Chtimes(filepath.Join(g.dir, filepath.FromSlash(fetched), u.commit.String()), u.at, u.at); err != nil {
			return err
		}
	}
	return g.write("shallow", shallow.String())
}

// keep stores objects of another generation in one pack.
func (g generation) keep(from, here *filesystem.Storage, objects []plumbing.Hash) error {
	if len(objects) == 0 {
		return nil
	}
	f, err := os.CreateTemp(g.packDir(), "tmp_compact_")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // what is left is removed at the next fetch
	defer f.Close()
	if err := writePack(f, from, objects); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	return packfile.WritePackfileToObjectStorage(here, f)
}

// walk collects the objects of commits that are not here.
type walk struct {
	from, here *filesystem.Storage
	seen       map[plumbing.Hash]bool
	missing    []plumbing.Hash
}

func (w *walk) commit(hash plumbing.Hash) error {
	w.object(hash)
	commit, err := object.GetCommit(w.from, hash)
	if err != nil {
		return fmt.Errorf("commit %s: %w", hash, err)
	}
	return w.tree(commit.TreeHash, 0)
}

func (w *walk) tree(hash plumbing.Hash, depth int) error {
	if !w.object(hash) || depth > maxDepth {
		return nil // nobody can read what is nested too deep
	}
	tree, err := object.GetTree(w.from, hash)
	if err != nil {
		return fmt.Errorf("tree %s: %w", hash, err)
	}
	for _, e := range tree.Entries {
		switch e.Mode {
		case filemode.Dir:
			err = w.tree(e.Hash, depth+1)
		case filemode.Submodule:
		default:
			w.object(e.Hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// object adds an object if it is not here, and reports whether it is a new one.
func (w *walk) object(hash plumbing.Hash) bool {
	if w.seen[hash] {
		return false
	}
	w.seen[hash] = true
	if !has(w.here, hash) {
		w.missing = append(w.missing, hash)
	}
	return true
}
