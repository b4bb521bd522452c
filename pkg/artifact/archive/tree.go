package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	// groupSize is how many entries a group has on average. Fewer would cost compression, more
	// would be compressed anew for the sake of one file.
	groupSize = 128

	// large is the size from which a file is a member of its own, so that it need not be compressed
	// again when a small file beside it changes.
	large = 256 << 10
)

// Node is a directory or regular file of a tree that is archived.
type Node struct {
	Path       string // clean, relative, with slashes
	Dir        bool
	Executable bool

	// Content names what a file holds, such as by its digest: two files of which it is the same
	// have the same bytes.
	Content string
}

// Files gives the files of a tree, by their place in its list of nodes.
type Files interface {
	Size(i int) (int64, error)
	Open(i int) (io.ReadCloser, error)
}

// WriteTree writes the archive of a tree, whose nodes come in the order that Compare defines.
// Directories that files need are added. What the tree has in common with an earlier archive is
// copied from there, and its files are not asked for; earlier may be nil. The bytes are the same
// whatever was copied.
//
// The archive is cut into groups of entries, and each group into gzip members. Where a group begins
// depends on the path of its first entry alone, so that a change stays within its group. An index
// of the members follows the end of the archive, in gzip members that hold nothing; see index.
func WriteTree(dst io.Writer, limits Limits, nodes []Node, files Files, earlier *Earlier) error {
	all, err := complete(nodes)
	if err != nil {
		return err
	}
	t := &treeWriter{Writer: newWriter(dst, limits), files: files, earlier: earlier}
	for len(all) > 0 && t.err == nil {
		n := 1
		for n < len(all) && !opensGroup(all[n].Path) {
			n++
		}
		t.group(all[:n])
		all = all[n:]
	}
	if t.err != nil {
		return t.err
	}
	t.begin(t.out)
	if err := t.Close(); err != nil {
		return err
	}
	if err := t.index.writeTo(t.out); err != nil {
		return fmt.Errorf("completing the archive: %w", err)
	}
	return nil
}

// node is a Node, and where it is among the caller's.
type node struct {
	Node
	at   int // -1 for a directory that was added
	size int64
}

// complete checks the nodes of a tree, and adds the root and the directories that files need.
func complete(nodes []Node) ([]node, error) {
	all := make([]node, 0, len(nodes)+len(nodes)/8+1)
	all = append(all, node{Node: Node{Path: ".", Dir: true}, at: -1})
	var order order
	for i, n := range nodes {
		if err := order.check(n.Path); err != nil {
			return nil, err
		}
		for _, dir := range order.missing(n.Path) {
			all = append(all, node{Node: Node{Path: dir, Dir: true}, at: -1})
		}
		order.pass(n.Path, n.Dir)
		if n.Dir {
			n.Executable, n.Content = false, ""
		}
		all = append(all, node{Node: n, at: i})
	}
	return all, nil
}

// opensGroup reports whether a group begins at a path. A digest, and no part of the path, decides,
// so that folders of any shape are cut alike.
func opensGroup(path string) bool {
	sum := sha256.Sum256([]byte(path))
	return binary.BigEndian.Uint32(sum[:])%groupSize == 0
}

// key is what determines the bytes of a group or member.
type key [sha256.Size]byte

func keyOf(nodes []node) key {
	var b []byte
	for _, n := range nodes {
		kind := byte('f')
		switch {
		case n.Dir:
			kind = 'd'
		case n.Executable:
			kind = 'x'
		}
		b = append(b, kind)
		b = binary.AppendUvarint(b, uint64(len(n.Path)))
		b = append(b, n.Path...)
		b = binary.AppendUvarint(b, uint64(len(n.Content)))
		b = append(b, n.Content...)
	}
	return sha256.Sum256(b)
}

type treeWriter struct {
	*Writer
	files   Files
	earlier *Earlier
	index   index
}

// group writes or copies a group. An error is kept by the Writer.
func (t *treeWriter) group(nodes []node) {
	g := group{key: keyOf(nodes)}
	if members, ok := t.earlier.group(g.key); ok {
		g.members = members
		if t.admitEntries(len(nodes)) {
			t.copyMembers(members)
		}
		t.index.groups = append(t.index.groups, g)
		return
	}
	if !t.measure(nodes) {
		return
	}
	for len(nodes) > 0 && t.err == nil {
		n := memberLength(nodes)
		g.members = append(g.members, t.member(nodes[:n]))
		nodes = nodes[n:]
	}
	t.index.groups = append(t.index.groups, g)
}

// measure asks for the sizes of files.
func (t *treeWriter) measure(nodes []node) bool {
	for i, n := range nodes {
		if n.Dir {
			continue
		}
		size, err := t.files.Size(n.at)
		if err != nil {
			_ = t.fail(fmt.Errorf("archiving %q: %w", n.Path, err)) // which remembers it
			return false
		}
		nodes[i].size = size
	}
	return true
}

// memberLength returns how many of the nodes are one member.
func memberLength(nodes []node) int {
	if nodes[0].size >= large {
		return 1
	}
	n := 1
	for n < len(nodes) && nodes[n].size < large {
		n++
	}
	return n
}

// member writes or copies one member.
func (t *treeWriter) member(nodes []node) member {
	k := keyOf(nodes)
	if m, ok := t.earlier.member(k); ok {
		if t.admitEntries(len(nodes)) {
			t.copyMembers([]member{m})
		}
		return m
	}
	out := &meter{w: t.out}
	t.begin(out)
	before := t.unpacked
	for _, n := range nodes {
		if !t.entry(n) {
			return member{}
		}
	}
	_ = t.end() // the Writer remembers it
	return member{key: k, length: out.n, unpacked: t.unpacked - before, sum: out.sum}
}

// entry writes one entry.
func (t *treeWriter) entry(n node) bool {
	if n.Dir {
		return t.directory(n.Path)
	}
	content, err := t.files.Open(n.at)
	if err != nil {
		_ = t.fail(fmt.Errorf("archiving %q: %w", n.Path, err)) // which remembers it
		return false
	}
	ok := t.file(n.Path, n.Executable, n.size, content)
	if err := content.Close(); err != nil && ok {
		_ = t.fail(fmt.Errorf("archiving %q: %w", n.Path, err)) // which remembers it
	}
	return t.err == nil
}

// copyMembers copies members from the earlier archive.
func (t *treeWriter) copyMembers(members []member) {
	for _, m := range members {
		if !t.admitContent(m.unpacked) {
			return
		}
		if _, err := io.CopyBuffer(t.out, t.earlier.open(m), t.buf); err != nil {
			_ = t.fail(fmt.Errorf("copying from the earlier archive: %w", err)) // which remembers it
			return
		}
	}
}

// meter counts what is written through it.
type meter struct {
	w   io.Writer
	n   int64
	sum uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.n += int64(n)
	m.sum = crc32.Update(m.sum, castagnoli, p[:n])
	return n, err
}
