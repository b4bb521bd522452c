package git

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// ErrNoFolder: the commit has no such folder.
var ErrNoFolder = errors.New("no such folder")

// EntriesOf is Entries of some folders only: what is below them, themselves, and the
// folders above them. Of others, not even the tree is read. The root is ".".
func (s *Snapshot) EntriesOf(folders []string) ([]Entry, error) {
	folders, err := outermost(folders)
	if err != nil {
		return nil, err
	}
	if slices.Contains(folders, ".") {
		return s.Entries()
	}
	l := lister{objects: s.objects, limit: maxEntries}
	above := make(map[string]bool)
	for _, folder := range folders {
		if err := l.folder(s.tree, folder, above); err != nil {
			return nil, s.from.mark(err)
		}
	}
	return l.entries, nil
}

// outermost cleans the names of folders, and drops those that are in another.
func outermost(folders []string) ([]string, error) {
	var all []string
	for _, folder := range folders {
		clean := path.Clean("./" + folder)
		if clean == ".." || strings.HasPrefix(clean, "../") || path.IsAbs(folder) {
			return nil, fmt.Errorf("%q: %w: it is outside of the repository", folder, ErrNoFolder)
		}
		all = append(all, clean)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(slices.Clone(all), func(folder string) bool {
		return slices.ContainsFunc(all, func(other string) bool { return strings.HasPrefix(folder, other+"/") })
	}), nil
}

// folder lists one folder, by its path, and the folders above it that were not listed
// yet.
func (l *lister) folder(root *object.Tree, folder string, above map[string]bool) error {
	tree, parts := root, strings.Split(folder, "/")
	for i, name := range parts {
		e, ok := entryOf(tree, name)
		switch at := path.Join(parts[:i+1]...); {
		case !ok:
			return fmt.Errorf("%q: %w", folder, ErrNoFolder)
		case e.Mode == filemode.Submodule && i == len(parts)-1:
			l.entries = append(l.entries, Entry{Path: at, Dir: true, Submodule: true, hash: e.Hash})
			return nil
		case e.Mode != filemode.Dir:
			return fmt.Errorf("%q: %w: %q is none", folder, ErrNoFolder, at)
		case !above[at]:
			above[at] = true
			l.entries = append(l.entries, Entry{Path: at, Dir: true, hash: e.Hash})
		}
		var err error
		if tree, err = object.GetTree(l.objects, e.Hash); err != nil {
			return fmt.Errorf("folder %q: %w: %w", folder, ErrDamaged, err)
		}
	}
	return l.list(tree, folder, len(parts))
}

// entryOf returns the entry of a tree that has a name, if that is one of a file.
func entryOf(tree *object.Tree, name string) (object.TreeEntry, bool) {
	at := slices.IndexFunc(tree.Entries, func(e object.TreeEntry) bool { return e.Name == name })
	if at < 0 || !nameable(name) {
		return object.TreeEntry{}, false
	}
	return tree.Entries[at], true
}
