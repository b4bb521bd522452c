package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"weir.dev/pkg/git/signature"
)

const (
	// maxPath bounds the path of an edit, in bytes.
	maxPath = 4096
	// maxMessage bounds the message of a commit, in bytes.
	maxMessage = 1 << 20
	// maxEdited bounds a tree, and a file that is edited, in bytes. They are in memory.
	maxEdited = 64 << 20
	// maxDelta bounds what a delta is made of, in bytes: that takes several times as much
	// memory.
	maxDelta = 16 << 20
)

var (
	// ErrNoChange: a draft would be a commit of what its parent has already.
	ErrNoChange = errors.New("nothing changes")
	// ErrNotEditable: at the path, or on the way to it, is a symbolic link, a submodule,
	// or a folder where a file should be, or the other way round.
	ErrNotEditable = errors.New("not an editable file")
)

// Edit replaces or creates a file of a commit's tree. The mode of an existing file is
// kept; a new one is not executable. Folders that are missing are made.
type Edit struct {
	Path    string // relative to the root, with slashes
	Content []byte
}

// Signer makes the signature of a commit: armored, OpenPGP or SSH. Package signature has
// some.
type Signer interface {
	Sign(message io.Reader) ([]byte, error)
}

// CommitOptions say who commits what for.
type CommitOptions struct {
	Author  object.Signature // the committer, too
	Message string
	Signer  Signer // nil: the commit is not signed
}

// Draft is a commit that no remote has yet, with all that it has beside its parent. It
// is in memory, and does not need the snapshot any more.
type Draft struct {
	Hash   plumbing.Hash
	Parent plumbing.Hash // zero if it is the first commit of all

	objects []piece // what a tree has before the tree, and the commit last
}

// Draft builds the commit on top of the snapshot that edits make: new files, the trees
// on the way to them, and the commit. Whatever else is in those trees stays as it is, to
// the byte. The error is ErrNoChange if the files are that way already.
func (s *Snapshot) Draft(edits []Edit, o CommitOptions) (*Draft, error) {
	root, err := planEdits(edits)
	if err != nil {
		return nil, err
	}
	d := drafter{objects: s.objects, seen: make(map[plumbing.Hash]bool)}
	tree, err := d.tree(s.tree.Hash, root, "")
	if err != nil {
		return nil, s.from.mark(err)
	}
	if tree == s.tree.Hash {
		return nil, ErrNoChange
	}
	commit, err := encodeCommit(tree, []plumbing.Hash{s.Commit.Hash}, o)
	if err != nil {
		return nil, fmt.Errorf("drafting commit: %w", err)
	}
	hash := d.add(piece{kind: plumbing.CommitObject, content: commit})
	return &Draft{Hash: hash, Parent: s.Commit.Hash, objects: d.pieces}, nil
}

// edited is what edits do inside of a folder, by name.
type edited map[string]*editStep

// editStep is what edits do to an entry: one of the two is set.
type editStep struct {
	edit   *Edit
	inside edited
}

// planEdits sorts edits by the folders that they are in.
func planEdits(edits []Edit) (edited, error) {
	root := make(edited)
	for i := range edits {
		e := &edits[i]
		parts := strings.Split(e.Path, "/")
		if len(e.Path) > maxPath || len(parts) > maxDepth || !allNameable(parts) {
			return nil, fmt.Errorf("%.*q: %w", maxPath, e.Path, ErrBadName)
		}
		if len(e.Content) > maxEdited {
			return nil, fmt.Errorf("file %q: %w: it has %d bytes, and the limit is %d", e.Path, ErrTooLarge, len(e.Content), maxEdited)
		}
		if err := root.plan(parts, e); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func allNameable(parts []string) bool {
	return !slices.ContainsFunc(parts, func(name string) bool { return !nameable(name) })
}

func (f edited) plan(parts []string, e *Edit) error {
	step, known := f[parts[0]]
	if !known {
		step = new(editStep)
		f[parts[0]] = step
	}
	last := len(parts) == 1
	switch {
	case step.edit != nil && last:
		return fmt.Errorf("%q: %w: it is edited twice", e.Path, ErrNotEditable)
	case step.edit != nil, step.inside != nil && last:
		return fmt.Errorf("%q: %w: it is to be both a file and a folder", e.Path, ErrNotEditable)
	case last:
		step.edit = e
		return nil
	case step.inside == nil:
		step.inside = make(edited)
	}
	return step.inside.plan(parts[1:], e)
}

// drafter collects the objects of a draft.
type drafter struct {
	objects *filesystem.Storage
	seen    map[plumbing.Hash]bool
	pieces  []piece
}

// tree returns what edits make of a tree; the zero hash is an empty one.
func (d *drafter) tree(old plumbing.Hash, edits edited, dir string) (plumbing.Hash, error) {
	var before []byte
	if !old.IsZero() {
		var err error
		if before, err = readObject(d.objects, plumbing.TreeObject, old, maxEdited); err != nil {
			return old, fmt.Errorf("folder %q: %w", dir, err)
		}
	}
	entries, err := parseTree(before)
	if err != nil {
		return old, fmt.Errorf("folder %q: %w", dir, err)
	}
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		entry, err := entries.named(name)
		if err != nil {
			return old, fmt.Errorf("folder %q: %w", dir, err)
		}
		if entry, err = d.entry(entry, edits[name], path.Join(dir, name)); err != nil {
			return old, err
		}
		entries = entries.with(entry)
	}
	return d.add(piece{kind: plumbing.TreeObject, content: entries.encode(), base: old}.shortened(before)), nil
}

// entry returns what edits make of an entry of a tree, which has no mode if it is new.
func (d *drafter) entry(e treeEntry, step *editStep, at string) (treeEntry, error) {
	kind := e.kind()
	if step.edit != nil {
		if kind != noEntry && kind != fileEntry {
			return e, fmt.Errorf("%q: %w: it is a %s", at, ErrNotEditable, kind)
		}
		return d.file(e, step.edit)
	}
	if kind != noEntry && kind != folderEntry {
		return e, fmt.Errorf("%q: %w: on the way to what is edited, it is a %s", at, ErrNotEditable, kind)
	}
	if kind == noEntry {
		e.mode = folderMode
	}
	var err error
	e.hash, err = d.tree(e.hash, step.inside, at)
	return e, err
}

// file replaces the content of a file.
func (d *drafter) file(e treeEntry, edit *Edit) (treeEntry, error) {
	p := piece{kind: plumbing.BlobObject, content: edit.Content, base: e.hash}
	if p.id() == e.hash {
		return e, nil
	}
	if e.kind() == noEntry {
		e.mode = fileMode
	} else if before, err := readObject(d.objects, plumbing.BlobObject, e.hash, maxEdited); err == nil {
		p = p.shortened(before)
	} else if !errors.Is(err, ErrTooLarge) { // of which there is just no delta
		return e, fmt.Errorf("file %q: %w", edit.Path, err)
	}
	e.hash = d.add(p)
	return e, nil
}

// add keeps an object, unless it is the one before, or there already.
func (d *drafter) add(p piece) plumbing.Hash {
	p.hash = p.id()
	if p.hash != p.base && !d.seen[p.hash] {
		d.seen[p.hash] = true
		d.pieces = append(d.pieces, p)
	}
	return p.hash
}

// piece is an object that goes into a pack.
type piece struct {
	kind    plumbing.ObjectType
	hash    plumbing.Hash
	content []byte
	base    plumbing.Hash // what was there before; zero if there was nothing
	delta   []byte        // what makes this of the base; empty if that is not worth it
}

func (p piece) id() plumbing.Hash { return plumbing.ComputeHash(p.kind, p.content) }

// shortened adds the delta of what was there before, if it is much shorter than the whole.
func (p piece) shortened(before []byte) piece {
	if len(before) == 0 || len(p.content) == 0 || max(len(before), len(p.content)) > maxDelta {
		return p
	}
	delta := packfile.DiffDelta(before, p.content)
	if len(delta) > len(p.content)/2 {
		return p
	}
	if same, err := packfile.PatchDelta(before, delta); err == nil && bytes.Equal(same, p.content) {
		p.delta = delta
	}
	return p
}

// encodeCommit returns a commit as git stores it, signed if there is who signs.
func encodeCommit(tree plumbing.Hash, parents []plumbing.Hash, o CommitOptions) ([]byte, error) {
	message := strings.TrimRight(o.Message, "\n") + "\n"
	switch {
	case strings.ContainsRune(message, 0):
		return nil, errors.New("the message has a zero byte")
	case len(message) > maxMessage:
		return nil, fmt.Errorf("the message has %d bytes, and the limit is %d", len(message), maxMessage)
	}
	who := object.Signature{Name: inSignature(o.Author.Name), Email: inSignature(o.Author.Email), When: o.Author.When}
	c := &object.Commit{Author: who, Committer: who, Message: message, TreeHash: tree, ParentHashes: parents}
	payload, err := encoded(c.EncodeWithoutSignature)
	if err != nil || o.Signer == nil {
		return payload, err
	}
	made, err := o.Signer.Sign(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	c.PGPSignature = string(made)
	whole, err := encoded(c.Encode)
	if err != nil {
		return nil, err
	}
	if signed, err := signature.Commit(whole); err != nil || !bytes.Equal(signed.Payload, payload) || len(signed.Signature) == 0 {
		return nil, errors.New("signing: what the signer made is no signature of a commit")
	}
	return whole, nil
}

// encoded returns what encode writes.
func encoded(encode func(plumbing.EncodedObject) error) ([]byte, error) {
	var obj plumbing.MemoryObject
	if err := encode(&obj); err != nil {
		return nil, fmt.Errorf("encoding commit: %w", err)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, fmt.Errorf("encoding commit: %w", err)
	}
	return io.ReadAll(r)
}

// inSignature returns a name or address without what ends one in a commit, as git has it.
func inSignature(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == '<' || r == '>' {
			return -1
		}
		return r
	}, name))
}
