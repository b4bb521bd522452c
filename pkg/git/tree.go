package git

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// maxDepth bounds how deep the folders of a tree may be nested.
	maxDepth = 256
	// maxEntries bounds how many files and folders a tree may have. One that has
	// the same folder many times over takes no room in a repository, and all the
	// memory that there is once it is listed.
	maxEntries = 1 << 20
)

var (
	// ErrTooDeep: a tree is nested deeper than any that a person made.
	ErrTooDeep = errors.New("folders are nested too deep")
	// ErrBadName: a tree has an entry that git itself would not check out.
	ErrBadName = errors.New("not a file name")
)

// Snapshot is one commit with its whole tree, and no history. It is for one
// goroutine at a time, and keeps files open until it is closed.
type Snapshot struct {
	Commit *object.Commit

	tree    *object.Tree
	objects *filesystem.Storage
	from    generation
}

// Close closes the files that were read from. What was read stays.
func (s *Snapshot) Close() error { return s.objects.Close() }

// open reads a commit and its root tree. It closes the object store unless there is a
// Snapshot, which does it then.
func (g generation) open(st *filesystem.Storage, hash plumbing.Hash) (*Snapshot, error) {
	snapshot, err := g.read(st, hash)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return snapshot, nil
}

func (g generation) read(st *filesystem.Storage, hash plumbing.Hash) (*Snapshot, error) {
	obj, err := st.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w: %w", hash, ErrDamaged, err)
	}
	if obj.Type() != plumbing.CommitObject {
		return nil, fmt.Errorf("%s is a %s and no commit: %w", hash, obj.Type(), ErrNoRef)
	}
	commit, err := object.DecodeCommit(st, obj)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w: %w", hash, ErrDamaged, err)
	}
	tree, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("tree of commit %s: %w: %w", hash, ErrDamaged, err)
	}
	return &Snapshot{Commit: commit, tree: tree, objects: st, from: g}, nil
}

// Entry is a file or folder of a snapshot.
type Entry struct {
	// Path is relative to the root, with slashes.
	Path string
	// Dir says that it is a folder; Executable and Size are of files.
	Dir        bool
	Executable bool
	// Submodule says that the folder is of another repository. It is empty here.
	Submodule bool

	hash plumbing.Hash
}

// Entries returns the files and folders of the snapshot, in no certain order.
// Symbolic links are left out, and a submodule is an empty folder.
func (s *Snapshot) Entries() ([]Entry, error) {
	l := lister{objects: s.objects, limit: maxEntries}
	if err := l.list(s.tree, "", 0); err != nil {
		return nil, s.from.mark(err)
	}
	return l.entries, nil
}

// Root returns the folder that has all others. It is for In.
func (s *Snapshot) Root() Entry { return Entry{Path: ".", Dir: true, hash: s.Commit.TreeHash} }

// In returns the files and folders that are directly in a folder of the snapshot, in no
// certain order. Symbolic links are left out, and a submodule is an empty folder. Nothing
// but the folder is read, so that whoever knows some of what is there by its Content can
// leave that out.
func (s *Snapshot) In(folder Entry) ([]Entry, error) {
	if !folder.Dir || folder.Submodule {
		return nil, nil
	}
	tree, err := object.GetTree(s.objects, folder.hash)
	if err != nil {
		return nil, s.from.mark(fmt.Errorf("folder %q: %w: %w", folder.Path, ErrDamaged, err))
	}
	l := lister{limit: maxEntries}
	for _, e := range tree.Entries {
		if err := l.add(e, folder.Path); err != nil {
			return nil, err
		}
	}
	return l.entries, nil
}

// lister collects the entries of a tree.
type lister struct {
	objects *filesystem.Storage
	limit   int
	entries []Entry
}

func (l *lister) list(tree *object.Tree, dir string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("folder %q: %w", dir, ErrTooDeep)
	}
	for _, e := range tree.Entries {
		before := len(l.entries)
		if err := l.add(e, dir); err != nil {
			return err
		}
		if e.Mode != filemode.Dir || len(l.entries) == before {
			continue
		}
		at := l.entries[before].Path
		sub, err := object.GetTree(l.objects, e.Hash)
		if err != nil {
			return fmt.Errorf("folder %q: %w: %w", at, ErrDamaged, err)
		}
		if err := l.list(sub, at, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// add collects one entry of a folder, unless it is a symbolic link.
func (l *lister) add(e object.TreeEntry, dir string) error {
	if !nameable(e.Name) {
		return fmt.Errorf("folder %q has an entry named %q: %w", dir, e.Name, ErrBadName)
	}
	if e.Mode == filemode.Symlink {
		return nil
	}
	if len(l.entries) == l.limit {
		return fmt.Errorf("%w: the commit has more than %d files and folders", ErrTooLarge, l.limit)
	}
	entry := Entry{Path: path.Join(dir, e.Name), hash: e.Hash, Executable: e.Mode == filemode.Executable}
	entry.Submodule = e.Mode == filemode.Submodule
	entry.Dir = e.Mode == filemode.Dir || entry.Submodule
	l.entries = append(l.entries, entry)
	return nil
}

// nameable reports whether a name is one of a file in its folder, and no path, and
// not the folder in which git keeps a repository, in one of the forms that some file
// system takes for it.
func nameable(name string) bool {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return false
	}
	// NTFS ends a name before a backslash or colon.
	if end := strings.IndexAny(name, `\:`); end >= 0 {
		name = name[:end]
	}
	switch strings.ToLower(strings.TrimRight(name, " .")) {
	case ".git", "git~1":
		return false
	}
	return true
}

// Content names what a file or folder holds: two files of which it is the same have the
// same bytes, and two folders the same files of the same names.
func (e Entry) Content() string { return string(e.hash[:]) }

// Size returns the size of a file.
func (s *Snapshot) Size(e Entry) (int64, error) {
	size, err := s.objects.EncodedObjectSize(e.hash)
	if err != nil {
		return 0, s.from.mark(fmt.Errorf("file %q: %w: %w", e.Path, ErrDamaged, err))
	}
	return size, nil
}

// Open returns the content of a file and its size, which is within the limit for objects
// that there was when it was fetched.
func (s *Snapshot) Open(e Entry) (io.ReadCloser, int64, error) {
	blob, err := object.GetBlob(s.objects, e.hash)
	if err != nil {
		return nil, 0, s.from.mark(fmt.Errorf("file %q: %w: %w", e.Path, ErrDamaged, err))
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, 0, s.from.mark(fmt.Errorf("file %q: %w: %w", e.Path, ErrDamaged, err))
	}
	return r, blob.Size, nil
}
