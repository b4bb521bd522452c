package bootstrap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"weir.dev/pkg/git"
)

// maxFile bounds a file that is read from the repository, in bytes.
const maxFile = 16 << 20

// files are those of a commit, with edits on top, as a build reads them. They are for one
// goroutine.
type files struct {
	snapshot *git.Snapshot // nil if there is no commit
	nodes    map[string]*node
}

// node is a file or folder. It is what a list has of it, and what Stat tells.
type node struct {
	path    string
	dir     bool
	edited  bool
	content []byte // of what is edited
	entry   git.Entry
	below   []fs.DirEntry
	size    int64
}

// newFiles returns the files of a snapshot with edits.
func newFiles(snapshot *git.Snapshot, entries []git.Entry, edits []git.Edit) *files {
	f := &files{snapshot: snapshot, nodes: map[string]*node{".": {path: ".", dir: true}}}
	for _, e := range entries {
		n := f.at(e.Path, e.Dir)
		n.entry = e
	}
	for _, e := range edits {
		n := f.at(e.Path, false)
		n.edited, n.content, n.size = true, e.Content, int64(len(e.Content))
	}
	return f
}

// at returns the node of a path, which is made if need be, with the folders above.
func (f *files) at(name string, dir bool) *node {
	if n, ok := f.nodes[name]; ok {
		return n
	}
	n := &node{path: name, dir: dir}
	f.nodes[name] = n
	above := f.at(path.Dir(name), true)
	above.below = append(above.below, n)
	return n
}

// paths returns those of all files.
func (f *files) paths() []string {
	var all []string
	for name, n := range f.nodes {
		if !n.dir {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func (f *files) find(op, name string) (*node, error) {
	n, ok := f.nodes[name]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n, nil
}

// Open is there for the interface only: files are read whole.
func (f *files) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
}

// ReadDir lists a folder.
func (f *files) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(n.below, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return n.below, nil
}

// Stat tells what is at a path.
func (f *files) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	if !n.dir && !n.edited && n.size == 0 {
		if n.size, err = f.snapshot.Size(n.entry); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// ReadFile returns the content of a file.
func (f *files) ReadFile(name string) ([]byte, error) {
	n, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.edited || n.dir {
		return n.content, nil
	}
	r, size, err := f.snapshot.Open(n.entry)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, and the limit is %d", name, size, maxFile)
	}
	return io.ReadAll(io.LimitReader(r, maxFile))
}

// FileDigest names the content of a file.
func (f *files) FileDigest(name string) (string, bool) {
	n, ok := f.nodes[name]
	if !ok || n.dir {
		return "", false
	}
	if n.edited {
		sum := sha256.Sum256(n.content)
		return hex.EncodeToString(sum[:]), true
	}
	return hex.EncodeToString([]byte(n.entry.Content())), true
}

// DirDigest names what is in a folder.
func (f *files) DirDigest(name string) (string, bool) {
	n, ok := f.nodes[name]
	if !ok || !n.dir {
		return "", false
	}
	h := sha256.New()
	for _, e := range n.below {
		fmt.Fprintf(h, "%q %t\n", e.Name(), e.IsDir())
	}
	return hex.EncodeToString(h.Sum(nil)), true
}

// Name is the last part of the path.
func (n *node) Name() string { return path.Base(n.path) }

// IsDir reports whether it is a folder.
func (n *node) IsDir() bool { return n.dir }

// Size is that of a file.
func (n *node) Size() int64 { return n.size }

// Mode tells files from folders.
func (n *node) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// Type is the part of Mode that tells files from folders.
func (n *node) Type() fs.FileMode { return n.Mode().Type() }

// Info returns the node itself.
func (n *node) Info() (fs.FileInfo, error) { return n, nil }

// ModTime is none: Git does not know.
func (n *node) ModTime() time.Time { return time.Time{} }

// Sys is nil.
func (n *node) Sys() any { return nil }
