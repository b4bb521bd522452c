package fetch

import (
	"encoding/hex"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"weir.dev/pkg/artifact"
)

var (
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)

	_ io.ReaderAt = (*openFile)(nil)
	_ io.Seeker   = (*openFile)(nil)
)

// Tree is the content of one artifact. It never changes, and its methods may be called at the same
// time. Its files have no times, no owner, and the modes 0444 or 0555.
//
// What a reader made of a tree is what it would make of another one if
//
//   - for each file that it read, FileDigest gives the same,
//   - for each directory that it listed, DirDigest gives the same,
//   - each path that it looked for and missed is missing there, and
//   - each path of which it asked only the kind has that kind there.
//
// So a reader that keeps a record of these can tell whether a new revision concerns it, at a cost
// that follows what it read and not how large the tree is. DirDigest is of names and kinds only;
// the content of a file counts for those who read it.
type Tree struct {
	contents *contents
	release  func()
	released atomic.Bool
}

// Release says that the caller no longer reads the tree. Calling it again does nothing. Files that
// were opened must not be read afterwards; FileDigest and DirDigest still answer.
func (t *Tree) Release() {
	if !t.released.Swap(true) {
		t.release()
	}
}

// Digest returns the digest of the artifact.
func (t *Tree) Digest() artifact.Digest { return t.contents.digest }

// FileDigest returns the SHA-256 digest of a file's content, and false if there is no such file.
func (t *Tree) FileDigest(name string) (string, bool) { return t.digest(name, false) }

// DirDigest returns a digest of the names and kinds in a directory, and false if there is no such
// directory. It does not depend on what the files in it contain, or on what is further below.
func (t *Tree) DirDigest(name string) (string, bool) { return t.digest(name, true) }

// Open opens a file or a directory. Files are also io.ReaderAt and io.Seeker.
func (t *Tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return &openDir{node: n, name: name}, nil
	}
	return &openFile{SectionReader: io.NewSectionReader(t.contents.file, n.offset, n.size), node: n}, nil
}

// Stat describes a file or a directory.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ReadFile returns the content of a file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errIsDir}
	}
	content := make([]byte, n.size)
	if _, err := t.contents.file.ReadAt(content, n.offset); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

// ReadDir lists a directory, sorted by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDir}
	}
	return entriesOf(n.children), nil
}

func (t *Tree) digest(name string, dir bool) (string, bool) {
	if !isPath(name) {
		return "", false
	}
	n := t.contents.root.find(name)
	if n == nil || n.dir != dir {
		return "", false
	}
	text := append(make([]byte, 0, 71), artifact.SHA256+":"...)
	return string(hex.AppendEncode(text, n.digest[:])), true
}

func (t *Tree) find(op, name string) (*node, error) {
	err := fs.ErrNotExist
	switch {
	case t.released.Load():
		err = fs.ErrClosed
	case !isPath(name):
		err = fs.ErrInvalid
	default:
		if n := t.contents.root.find(name); n != nil {
			return n, nil
		}
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: err}
}

// isPath is fs.ValidPath, but for names that are not UTF-8: a tree from Git may have such files,
// and a walk that meets one should not fail.
func isPath(name string) bool {
	if name == "" || name[0] == '/' || path.Clean(name) != name {
		return false
	}
	return name != ".." && !strings.HasPrefix(name, "../")
}

const (
	errIsDir  = treeError("is a directory")
	errNotDir = treeError("is not a directory")
)

type treeError string

func (e treeError) Error() string { return string(e) }

func entriesOf(nodes []*node) []fs.DirEntry {
	entries := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		entries[i] = n
	}
	return entries
}

type openFile struct {
	*io.SectionReader
	node *node
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	node *node
	name string
	next int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.node, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errIsDir}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.node.children[d.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.next += len(rest)
	return entriesOf(rest), nil
}

func (n *node) Name() string               { return n.name }
func (n *node) IsDir() bool                { return n.dir }
func (n *node) Size() int64                { return n.size }
func (n *node) ModTime() time.Time         { return time.Time{} }
func (n *node) Sys() any                   { return nil }
func (n *node) Type() fs.FileMode          { return n.Mode().Type() }
func (n *node) Info() (fs.FileInfo, error) { return n, nil }
func (n *node) String() string             { return fs.FormatDirEntry(n) }

func (n *node) Mode() fs.FileMode {
	switch {
	case n.dir:
		return fs.ModeDir | 0o555
	case n.executable:
		return 0o555
	default:
		return 0o444
	}
}
