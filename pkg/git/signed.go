package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"weir.dev/pkg/git/signature"
)

const (
	// maxSigned bounds a commit or tag that may be signed, in bytes.
	maxSigned = 8 << 20
	// maxTags bounds how many tags lead to each other before there is a commit.
	maxTags = 8
)

// Tag is an annotated tag.
type Tag struct {
	Hash   plumbing.Hash
	Name   string // that it was given when it was made; other refs may lead to it
	Signed signature.Signed
}

// Annotated reports whether the target is reached by an annotated tag.
func (t Target) Annotated() bool { return t.Want != t.Commit }

// Signed returns the commit as it was signed, if it was.
func (s *Snapshot) Signed() (signature.Signed, error) {
	object, err := readObject(s.objects, plumbing.CommitObject, s.Commit.Hash, maxSigned)
	if err != nil {
		return signature.Signed{}, s.from.mark(err)
	}
	signed, err := signature.Commit(object)
	if err != nil {
		return signature.Signed{}, fmt.Errorf("commit %s: %w", s.Commit.Hash, err)
	}
	// The tree that is published must be the one that was signed, whoever else has read
	// the commit.
	if tree, _, _ := bytes.Cut(signed.Payload, []byte("\n")); string(tree) != "tree "+s.tree.Hash.String() {
		return signature.Signed{}, fmt.Errorf("commit %s: %w: it does not begin with its tree", s.Commit.Hash, signature.ErrMalformed)
	}
	return signed, nil
}

// HasTag returns the annotated tag of a target, if it was fetched before.
func (s *Store) HasTag(t Target) (*Tag, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.generations()
	if err != nil || len(all) == 0 {
		return nil, false
	}
	tag, err := s.generation(all[len(all)-1]).tag(t)
	return tag, err == nil
}

// FetchTag returns the annotated tag of a target. It asks the remote only if the store
// does not have it: a tag that is put on a commit that was fetched before.
func (s *Store) FetchTag(ctx context.Context, conn *Conn, t Target) (*Tag, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.prepare()
	if err != nil {
		return nil, err
	}
	tag, err := g.tag(t)
	if !errors.Is(err, ErrDamaged) {
		return tag, err
	}
	st := g.storage()
	defer func() { _ = st.Close() }() // what is written is on disk
	req, err := request(st, conn.Refs, t)
	if err != nil {
		return nil, g.mark(err)
	}
	if err := g.receive(ctx, conn, st, req); err != nil {
		return nil, g.mark(errors.Join(err, g.tidy()))
	}
	tag, err = g.tag(t)
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("%w: it did not send the tag %s", ErrProtocol, t.Want)
	}
	return tag, err
}

// tag reads an annotated tag, and makes sure that it leads to the commit of the target:
// that it does, so far only the remote has said.
func (g generation) tag(t Target) (*Tag, error) {
	st := g.storage()
	defer func() { _ = st.Close() }() // it was only read
	var outer *Tag
	for at, n := t.Want, 0; n < maxTags; n++ {
		object, err := readObject(st, plumbing.TagObject, at, maxSigned)
		if err != nil {
			return nil, err
		}
		signed, err := signature.Tag(object)
		if err != nil {
			return nil, fmt.Errorf("tag %s: %w", at, err)
		}
		target, kind, name, ok := tagHeader(signed.Payload)
		if !ok {
			return nil, fmt.Errorf("tag %s: %w: its header is not as git writes it", at, signature.ErrMalformed)
		}
		if outer == nil {
			outer = &Tag{Hash: at, Name: name, Signed: signed}
		}
		switch {
		case kind == "commit" && target == t.Commit:
			return outer, nil
		case kind != "tag":
			return nil, fmt.Errorf("%w: tag %s is of the %s %s, and not of the commit %s", ErrProtocol, t.Want, kind, target, t.Commit)
		}
		at = target
	}
	return nil, fmt.Errorf("tag %s: %w: more than %d tags lead to each other", t.Want, signature.ErrMalformed, maxTags)
}

// tagHeader reads what the first three lines of a tag say.
func tagHeader(payload []byte) (target plumbing.Hash, kind, name string, ok bool) {
	lines := strings.SplitN(string(payload), "\n", 4)
	if len(lines) < 4 {
		return target, "", "", false
	}
	var values [3]string
	for i, key := range [...]string{"object ", "type ", "tag "} {
		if values[i], ok = strings.CutPrefix(lines[i], key); !ok {
			return target, "", "", false
		}
	}
	return plumbing.NewHash(values[0]), values[1], values[2], plumbing.IsHash(values[0])
}

// readObject reads an object of at most so many bytes whole, and makes sure that it is
// what its hash says. The error is ErrDamaged if it is not there.
func readObject(st *filesystem.Storage, kind plumbing.ObjectType, hash plumbing.Hash, most int64) ([]byte, error) {
	size, err := st.EncodedObjectSize(hash)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", kind, hash, ErrDamaged, err)
	}
	if size > most {
		return nil, fmt.Errorf("%s %s: %w: it has %d bytes, and the limit is %d", kind, hash, ErrTooLarge, size, most)
	}
	obj, err := st.EncodedObject(kind, hash)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", kind, hash, ErrDamaged, err)
	}
	content, err := obj.Reader()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", kind, hash, ErrDamaged, err)
	}
	defer content.Close()
	object, err := io.ReadAll(io.LimitReader(content, most))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", kind, hash, ErrDamaged, err)
	}
	if plumbing.ComputeHash(kind, object) != hash {
		return nil, fmt.Errorf("%s %s: %w: its content is that of another", kind, hash, ErrDamaged)
	}
	return object, nil
}
