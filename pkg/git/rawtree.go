package git

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
)

// Modes of entries that are new.
const (
	fileMode   = "100644"
	folderMode = "40000"
)

// entryKind is what an entry of a tree is.
type entryKind int

const (
	noEntry entryKind = iota
	fileEntry
	folderEntry
	linkEntry
	submoduleEntry
)

// String names the kind for errors.
func (k entryKind) String() string {
	switch k {
	case noEntry:
		return "missing entry"
	case fileEntry:
		return "file"
	case folderEntry:
		return "folder"
	case linkEntry:
		return "symbolic link"
	default:
		return "submodule"
	}
}

// treeEntry is an entry of a tree as it is written there. What is not changed stays as
// it is, also where git would write it in another way today.
type treeEntry struct {
	mode string // octal digits; "" if there is no such entry
	name string
	hash plumbing.Hash
}

// kind tells what the entry is, by the highest bits of its mode.
func (e treeEntry) kind() entryKind {
	if e.mode == "" {
		return noEntry
	}
	const mask, folder, file, link = 0o170000, 0o040000, 0o100000, 0o120000
	mode, err := strconv.ParseUint(e.mode, 8, 32)
	switch {
	case err != nil:
		return submoduleEntry // whatever it is, it is not touched
	case mode&mask == folder:
		return folderEntry
	case mode&mask == file:
		return fileEntry
	case mode&mask == link:
		return linkEntry
	default:
		return submoduleEntry
	}
}

// order is what entries are sorted by: folders as if a slash were behind their name.
func (e treeEntry) order() string {
	if e.kind() == folderEntry {
		return e.name + "/"
	}
	return e.name
}

// rawTree is the entries of a tree.
type rawTree []treeEntry

// parseTree reads a tree as git stores it.
func parseTree(raw []byte) (rawTree, error) {
	var t rawTree
	for len(raw) > 0 {
		head, rest, ok := bytes.Cut(raw, []byte{0})
		mode, name, named := bytes.Cut(head, []byte{' '})
		if !ok || !named || len(mode) == 0 || len(name) == 0 || len(rest) < len(plumbing.ZeroHash) {
			return nil, fmt.Errorf("%w: it is not as git writes a tree", ErrBadName)
		}
		e := treeEntry{mode: string(mode), name: string(name)}
		copy(e.hash[:], rest)
		t, raw = append(t, e), rest[len(e.hash):]
	}
	return t, nil
}

// named returns the entry of a name; one without a mode if there is none.
func (t rawTree) named(name string) (treeEntry, error) {
	found := treeEntry{name: name}
	for _, e := range t {
		switch {
		case e.name != name:
		case found.mode != "":
			return found, fmt.Errorf("%w: %q is there twice", ErrBadName, name)
		default:
			found = e
		}
	}
	return found, nil
}

// with returns the tree with an entry, which replaces the one of its name.
func (t rawTree) with(e treeEntry) rawTree {
	for i := range t {
		if t[i].name == e.name {
			t[i] = e
			return t
		}
	}
	at := slices.IndexFunc(t, func(other treeEntry) bool { return other.order() > e.order() })
	if at < 0 {
		at = len(t)
	}
	return slices.Insert(t, at, e)
}

// encode is the reverse of parseTree.
func (t rawTree) encode() []byte {
	var b bytes.Buffer
	for _, e := range t {
		b.WriteString(e.mode + " " + e.name + "\x00")
		b.Write(e.hash[:])
	}
	return b.Bytes()
}
