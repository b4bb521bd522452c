package gitserver

import (
	"errors"
	"fmt"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// maxLoose is how many objects are written as files; more become one pack.
const maxLoose = 100

// batch collects the objects of a commit.
type batch struct {
	store   *store
	objects *memory.Storage
	hashes  []plumbing.Hash // of objects, once each
}

func newBatch(st *store) *batch { return &batch{store: st, objects: memory.NewStorage()} }

// tree returns the tree that changes make of base, the zero hash being an empty tree.
func (b *batch) tree(base plumbing.Hash, changes folder) (plumbing.Hash, error) {
	entries, err := b.entries(base, changes, "")
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return b.add(&object.Tree{Entries: entries})
}

// entries returns what changes make of the entries of a tree, in git's order. dir is
// for errors: "" or a path with a slash behind it.
func (b *batch) entries(base plumbing.Hash, changes folder, dir string) ([]object.TreeEntry, error) {
	var all []object.TreeEntry
	if !base.IsZero() {
		tree, err := object.GetTree(b.store, base)
		if err != nil {
			return nil, fmt.Errorf("reading folder %q: %w", dir, err)
		}
		all = tree.Entries
	}
	kept := make([]object.TreeEntry, 0, len(all)+len(changes))
	before := make(map[string]object.TreeEntry, len(changes))
	for _, e := range all {
		if changes[e.Name] != nil {
			before[e.Name] = e
		} else {
			kept = append(kept, e)
		}
	}
	for name, s := range changes {
		old, exists := before[name]
		if !exists {
			old = object.TreeEntry{Name: name, Mode: filemode.Empty}
		}
		entry, err := b.entry(old, s, dir+name)
		if err != nil {
			return nil, err
		}
		if entry.Mode != filemode.Empty {
			kept = append(kept, entry)
		}
	}
	sort.Sort(object.TreeEntrySorter(kept))
	return kept, nil
}

// entry returns what s makes of an entry. Mode Empty stands for no entry on both sides.
func (b *batch) entry(old object.TreeEntry, s *step, path string) (object.TreeEntry, error) {
	if s.delete {
		if old.Mode == filemode.Empty {
			return old, fmt.Errorf("%w: %q", ErrNoFile, path)
		}
		old.Mode = filemode.Empty
	}
	var err error
	switch {
	case s.put != nil:
		if old.Mode == filemode.Dir {
			return old, fmt.Errorf("%w: %q is a folder, to be deleted before a file can be there", ErrInvalidPath, path)
		}
		old.Mode = s.put.mode
		old.Hash, err = b.content(s.put)
		return old, err
	case s.inside == nil:
		return old, nil
	case old.Mode == filemode.Empty:
		old.Hash = plumbing.ZeroHash
	case old.Mode != filemode.Dir:
		return old, fmt.Errorf("%w: %q is a file, to be deleted before a folder can be there", ErrInvalidPath, path)
	}
	entries, err := b.entries(old.Hash, s.inside, path+"/")
	if err != nil || len(entries) == 0 {
		old.Mode = filemode.Empty // git has no empty folders
		return old, err
	}
	old.Mode = filemode.Dir
	old.Hash, err = b.add(&object.Tree{Entries: entries})
	return old, err
}

// content returns the hash of what is at a path.
func (b *batch) content(c *Change) (plumbing.Hash, error) {
	if c.mode == filemode.Submodule {
		return plumbing.NewHash(c.content), nil
	}
	blob := &plumbing.MemoryObject{}
	blob.SetType(plumbing.BlobObject)
	if _, err := blob.Write([]byte(c.content)); err != nil {
		return plumbing.ZeroHash, err
	}
	return b.put(blob)
}

// encoder is a tree or a commit.
type encoder interface {
	Encode(plumbing.EncodedObject) error
}

func (b *batch) add(what encoder) (plumbing.Hash, error) {
	obj := &plumbing.MemoryObject{}
	if err := what.Encode(obj); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("encoding object: %w", err)
	}
	return b.put(obj)
}

func (b *batch) put(obj *plumbing.MemoryObject) (plumbing.Hash, error) {
	hash := obj.Hash()
	if b.objects.HasEncodedObject(hash) == nil {
		return hash, nil
	}
	b.hashes = append(b.hashes, hash)
	return b.objects.SetEncodedObject(obj)
}

// write stores the objects: blobs and folders first, and the commit last.
func (b *batch) write() error {
	if len(b.hashes) > maxLoose {
		return b.writePack()
	}
	for _, hash := range b.hashes {
		obj, err := b.objects.EncodedObject(plumbing.AnyObject, hash)
		if err != nil {
			return err
		}
		if _, err := b.store.SetEncodedObject(obj); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) writePack() error {
	w, err := b.store.PackfileWriter()
	if err != nil {
		return err
	}
	const noDeltas = 0
	_, err = packfile.NewEncoder(w, b.objects, false).Encode(b.hashes, noDeltas)
	return errors.Join(err, w.Close())
}
