package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// attempts is how often a commit is made anew because others came in between. One of
// them succeeds each time, so it takes many to run out.
const attempts = 50

// epoch dates the first commit of a branch. Each further one is a second younger.
var epoch = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// Author makes commits and tags. The zero value gives equal ones the same revision,
// wherever and whenever they are made.
type Author struct {
	Name  string    // "" means weir
	Email string    // "" means weir@example.com
	When  time.Time // zero means a second after the parent commit

	// Sign returns the armored signature, OpenPGP or SSH, of a commit or tag; nil
	// signs nothing.
	Sign func(payload []byte) (string, error)
}

// Commit commits changes on top of a branch and returns the new revision. A branch that
// does not exist begins with it, without a parent; one that goes on from another is
// made by Reset. Without a change, the commit has its parent's tree.
//
// Only folders on the paths of changes are rewritten.
func (r *Repo) Commit(branch, message string, changes ...Change) (string, error) {
	return r.CommitBy(Author{}, branch, message, changes...)
}

// CommitBy is Commit by a certain author.
func (r *Repo) CommitBy(author Author, branch, message string, changes ...Change) (string, error) {
	name, err := branchRef(branch)
	if err != nil {
		return "", err
	}
	root, err := plan(changes)
	if err != nil {
		return "", fmt.Errorf("committing to %q: %w", branch, err)
	}
	if message, err = wholeMessage(message); err != nil {
		return "", fmt.Errorf("committing to %q: %w", branch, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for range attempts {
		var hash plumbing.Hash
		if hash, err = r.commit(author, name, message, root); err == nil {
			return hash.String(), nil
		}
		if !errors.Is(err, errMoved) {
			break
		}
	}
	return "", fmt.Errorf("committing to %q: %w", branch, err)
}

// commit makes a commit on top of what the branch is at now.
func (r *Repo) commit(author Author, branch plumbing.ReferenceName, message string, root folder) (plumbing.Hash, error) {
	st := openStore(r.Path())
	head, err := st.resolve(branch)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	commit := &object.Commit{Message: message}
	base, when := plumbing.ZeroHash, epoch
	if !head.IsZero() {
		parent, err := object.GetCommit(st, head)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("reading commit %s: %w", head, err)
		}
		commit.ParentHashes = []plumbing.Hash{head}
		base, when = parent.TreeHash, parent.Committer.When.Add(time.Second)
	}
	b := newBatch(st)
	if commit.TreeHash, err = b.tree(base, root); err != nil {
		return plumbing.ZeroHash, err
	}
	if commit.Author, err = author.signature(when); err != nil {
		return plumbing.ZeroHash, err
	}
	commit.Committer = commit.Author
	if commit.PGPSignature, err = author.sign(commit); err != nil {
		return plumbing.ZeroHash, err
	}
	hash, err := b.add(commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if err := b.write(); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("writing objects: %w", err)
	}
	return hash, st.swap(context.Background(), branch, exactly(head), hash)
}

// signature is what git calls one: who, and when.
func (a Author) signature(when time.Time) (object.Signature, error) {
	s := object.Signature{Name: a.Name, Email: a.Email, When: a.When}
	if s.Name == "" {
		s.Name = "weir"
	}
	if s.Email == "" {
		s.Email = "weir@example.com"
	}
	if s.When.IsZero() {
		s.When = when
	}
	if strings.ContainsAny(s.Name+s.Email, "<>\n\x00") {
		return s, fmt.Errorf("no author can be named %q", s.Name+" <"+s.Email+">")
	}
	return s, nil
}

// signable is a commit or a tag.
type signable interface {
	EncodeWithoutSignature(plumbing.EncodedObject) error
}

// sign returns the signature of what, if the author signs.
func (a Author) sign(what signable) (string, error) {
	if a.Sign == nil {
		return "", nil
	}
	var obj plumbing.MemoryObject
	if err := what.EncodeWithoutSignature(&obj); err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	content, err := obj.Reader()
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	payload, err := io.ReadAll(content)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	signature, err := a.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return strings.TrimRight(signature, "\n") + "\n", nil
}

// wholeMessage returns a message that ends with a line end, as git has them.
func wholeMessage(message string) (string, error) {
	if strings.ContainsRune(message, 0) {
		return "", errors.New("a message has no zero bytes")
	}
	return strings.TrimRight(message, "\n") + "\n", nil
}
