package fetch

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
)

const (
	copyBuffer  = 64 << 10
	writeBuffer = 256 << 10
)

// contents is an unpacked artifact: the bytes of its files, and where they are.
type contents struct {
	digest artifact.Digest
	file   *os.File
	size   int64
	root   *node
}

// drop removes the contents from disk. Whoever still reads gets an error.
func (c *contents) drop() error {
	return errors.Join(c.file.Close(), os.Remove(c.file.Name()))
}

// unpack reads an archive into a new file and an index of it.
func (c *Cache) unpack(r io.Reader) (*contents, error) {
	file, err := os.CreateTemp(c.opts.Dir, treePattern)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	u := &unpacking{
		tree:  &contents{file: file, root: newDir(".")},
		out:   bufio.NewWriterSize(file, writeBuffer),
		limit: c.opts.MaxFiles,
		sum:   sha256.New(),
		buf:   make([]byte, copyBuffer),
	}
	u.nodes = map[string]*node{".": u.tree.root}
	limits := archive.Limits{MaxSize: -1, MaxUnpacked: c.opts.MaxUnpacked, MaxFiles: c.opts.MaxFiles} // r has its limit
	if err = archive.Read(r, limits, u.add); err == nil {
		err = u.out.Flush()
	}
	if err != nil {
		_ = u.tree.drop() // what is wrong with it is the error to tell
		return nil, err
	}
	u.tree.root.finish(u.sum)
	return u.tree, nil
}

type unpacking struct {
	tree  *contents
	out   *bufio.Writer
	nodes map[string]*node // by path
	limit int              // of nodes; negative: none
	sum   hash.Hash
	buf   []byte
}

// add takes one entry of the archive. If a path comes again, the last one counts.
func (u *unpacking) add(e archive.Entry, content io.Reader) error {
	n, err := u.node(e.Path, e.Dir)
	if err != nil || e.Dir {
		return err
	}
	n.executable, n.offset, n.size = e.Executable, u.tree.size, e.Size
	u.sum.Reset()
	for {
		k, err := content.Read(u.buf)
		u.sum.Write(u.buf[:k])
		if _, err := u.out.Write(u.buf[:k]); err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		u.tree.size += int64(k)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	u.sum.Sum(n.digest[:0])
	return nil
}

// node returns the node of a path, made with the directories above it if it is new.
func (u *unpacking) node(name string, dir bool) (*node, error) {
	if n := u.nodes[name]; n != nil {
		if n.dir != dir {
			return nil, fmt.Errorf("%w: %q is a file and a directory", ErrCorrupt, name)
		}
		return n, nil
	}
	// Directories that no entry names count too: one long path can stand for thousands.
	if u.limit >= 0 && len(u.nodes) > u.limit {
		return nil, fmt.Errorf("%w: the number of entries exceeds the limit of %d files and directories", ErrTooLarge, u.limit)
	}
	above, base := ".", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		above, base = name[:i], name[i+1:]
	}
	parent, err := u.node(above, true)
	if err != nil {
		return nil, err
	}
	n := &node{name: base, dir: dir}
	parent.children = append(parent.children, n)
	u.nodes[name] = n
	return n, nil
}

// node is a file or directory. It is its own fs.FileInfo and fs.DirEntry.
type node struct {
	name       string
	dir        bool
	executable bool
	offset     int64
	size       int64
	digest     [sha256.Size]byte // of a file's content, or of the listing of a directory
	children   []*node           // of a directory, by name
}

func newDir(name string) *node { return &node{name: name, dir: true} }

// finish sorts a directory and all below it, and computes the digests of their listings.
func (n *node) finish(sum hash.Hash) {
	n.children = slices.Clip(n.children)
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for _, child := range n.children {
		if child.dir {
			child.finish(sum)
		}
	}
	sum.Reset()
	for _, child := range n.children {
		kind := "f"
		if child.dir {
			kind = "d"
		}
		sum.Write([]byte(kind + child.name + "\x00")) // a name has no NUL
	}
	sum.Sum(n.digest[:0])
}

// find returns the node of a clean path below this one, nil if there is none.
func (n *node) find(name string) *node {
	if name == "." {
		return n
	}
	for part := range strings.SplitSeq(name, "/") {
		if !n.dir {
			return nil
		}
		i, ok := slices.BinarySearchFunc(n.children, part, func(child *node, part string) int {
			return strings.Compare(child.name, part)
		})
		if !ok {
			return nil
		}
		n = n.children[i]
	}
	return n
}
