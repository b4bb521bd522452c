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
)

// maxDepth bounds how deep the folders of a tree may be nested.
const maxDepth = 256

var (
	// ErrTooDeep: a tree is nested deeper than any that a person made.
	ErrTooDeep = errors.New("folders are nested too deep")
	// ErrBadName: a tree has an entry that git itself would not check out.
	ErrBadName = errors.New("not a file name")
)

// Entry is a file or folder of a snapshot.
type Entry struct {
	// Path is relative to the root, with slashes.
	Path string
	// Dir says that it is a folder; Executable and Size are of files.
	Dir        bool
	Executable bool

	hash plumbing.Hash
}

// Entries returns the files and folders of the snapshot, in no certain order.
// Symbolic links are left out, and a submodule is an empty folder.
func (s *Snapshot) Entries() ([]Entry, error) {
	return s.list(nil, s.tree, "", 0)
}

func (s *Snapshot) list(out []Entry, tree *object.Tree, dir string, depth int) ([]Entry, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("folder %q: %w", dir, ErrTooDeep)
	}
	for _, e := range tree.Entries {
		if !nameable(e.Name) {
			return nil, fmt.Errorf("folder %q has an entry named %q: %w", dir, e.Name, ErrBadName)
		}
		entry := Entry{Path: path.Join(dir, e.Name), hash: e.Hash, Executable: e.Mode == filemode.Executable}
		switch e.Mode {
		case filemode.Symlink:
			continue
		case filemode.Dir:
			sub, err := object.GetTree(s.store, e.Hash)
			if err != nil {
				return nil, fmt.Errorf("folder %q: %w: %w", entry.Path, ErrDamaged, err)
			}
			entry.Dir = true
			out = append(out, entry)
			if out, err = s.list(out, sub, entry.Path, depth+1); err != nil {
				return nil, err
			}
			continue
		case filemode.Submodule:
			entry.Dir = true
		}
		out = append(out, entry)
	}
	return out, nil
}

// nameable reports whether a name is one of a file in its folder, and no path.
func nameable(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// Open returns the content of a file and its size.
func (s *Snapshot) Open(e Entry) (io.ReadCloser, int64, error) {
	blob, err := object.GetBlob(s.store, e.hash)
	if err != nil {
		return nil, 0, fmt.Errorf("file %q: %w: %w", e.Path, ErrDamaged, err)
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, 0, fmt.Errorf("file %q: %w: %w", e.Path, ErrDamaged, err)
	}
	return r, blob.Size, nil
}
