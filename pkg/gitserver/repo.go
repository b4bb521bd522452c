package gitserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

var (
	// ErrNoRef says that the repository has no such branch, tag or ref.
	ErrNoRef = errors.New("no such ref")
	// ErrInvalidRef says that git does not accept that as the name of a branch, tag or
	// ref.
	ErrInvalidRef = errors.New("invalid ref name")
	// ErrNoRevision says that the repository has no such commit, or object.
	ErrNoRevision = errors.New("no such revision")
)

const defaultBranch = "main"

// Repo is a bare repository. It is safe for concurrent use. Revisions are the 40
// hexadecimal digits of an object; refs are full names, and branches and tags short
// ones: "refs/heads/main" is the branch "main".
type Repo struct {
	repo repository
	mu   sync.Mutex // writers
}

// Init makes an empty bare repository in dir, whose HEAD is the branch main. The name
// may have folders: "team/fleet". If there is one already, the error is fs.ErrExist.
func Init(dir, name string) (*Repo, error) {
	repos, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	repo, err := repos.create(name)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(repo.path(), folder), 0o755); err != nil {
			return nil, fmt.Errorf("creating repository %q: %w", name, err)
		}
	}
	const config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
	if err := os.WriteFile(filepath.Join(repo.path(), "config"), []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("creating repository %q: %w", name, err)
	}
	r := &Repo{repo: repo}
	// Last, because servers take a folder without HEAD for no repository.
	return r, r.SetDefault(defaultBranch)
}

// Open returns a bare repository that dir has.
func Open(dir, name string) (*Repo, error) {
	repos, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	repo, err := repos.find(name)
	if err != nil {
		return nil, err
	}
	return &Repo{repo: repo}, nil
}

// Path returns the folder of the repository, for git --git-dir.
func (r *Repo) Path() string { return r.repo.path() }

// SetDefault makes HEAD the branch, which need not exist yet.
func (r *Repo) SetDefault(branch string) error {
	name, err := branchRef(branch)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tmp, err := os.CreateTemp(r.Path(), "tmp_head_")
	if err != nil {
		return fmt.Errorf("writing HEAD: %w", err)
	}
	defer remove(tmp.Name())
	_, err = fmt.Fprintf(tmp, "ref: %s\n", name)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return fmt.Errorf("writing HEAD: %w", err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(r.Path(), "HEAD")); err != nil {
		return fmt.Errorf("writing HEAD: %w", err)
	}
	return nil
}

// Head returns the revision that a branch is at.
func (r *Repo) Head(branch string) (string, error) {
	name, err := branchRef(branch)
	if err != nil {
		return "", err
	}
	return r.Ref(name.String())
}

// Ref returns the revision that a ref points to: of an annotated tag, the tag itself.
func (r *Repo) Ref(ref string) (string, error) {
	name := plumbing.ReferenceName(ref)
	if err := checkRef(name); err != nil {
		return "", err
	}
	hash, err := openStore(r.Path()).resolve(name)
	if err != nil {
		return "", err
	}
	if hash.IsZero() {
		return "", fmt.Errorf("%w: %q", ErrNoRef, ref)
	}
	return hash.String(), nil
}

// SetRef lets a ref, which need not exist yet, point to a revision:
// SetRef("refs/pull/1/head", rev).
func (r *Repo) SetRef(ref, rev string) error {
	name := plumbing.ReferenceName(ref)
	if err := checkRef(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.setRef(openStore(r.Path()), name, rev)
}

// setRef needs the lock.
func (r *Repo) setRef(st *store, name plumbing.ReferenceName, rev string) error {
	obj, err := lookup(st, rev)
	if err != nil {
		return err
	}
	if name.IsBranch() && obj.Type() != plumbing.CommitObject {
		return fmt.Errorf("%w: %s is a %s, and the branch %q needs a commit", ErrNoRevision, rev, obj.Type(), name.Short())
	}
	return st.swap(context.Background(), name, anything, obj.Hash())
}

// DeleteRef deletes a ref.
func (r *Repo) DeleteRef(ref string) error {
	name := plumbing.ReferenceName(ref)
	if err := checkRef(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	exists := func(old plumbing.Hash) bool { return !old.IsZero() }
	err := openStore(r.Path()).swap(context.Background(), name, exists, plumbing.ZeroHash)
	if errors.Is(err, errMoved) {
		return fmt.Errorf("%w: %q", ErrNoRef, ref)
	}
	return err
}

// Reset moves a branch to a commit, whatever it was at, as a forced push does. A branch
// that does not exist is created.
func (r *Repo) Reset(branch, rev string) error {
	name, err := branchRef(branch)
	if err != nil {
		return err
	}
	return r.SetRef(name.String(), rev)
}

// Tag makes a lightweight tag, or moves it.
func (r *Repo) Tag(name, rev string) error {
	ref, err := tagRef(name)
	if err != nil {
		return err
	}
	return r.SetRef(ref.String(), rev)
}

// TagAnnotated makes an annotated tag, or replaces it, and returns the revision of the
// tag itself. It is dated when the commit was.
func (r *Repo) TagAnnotated(name, rev, message string) (string, error) {
	return r.TagBy(Author{}, name, rev, message)
}

// TagBy is TagAnnotated by a certain author.
func (r *Repo) TagBy(author Author, name, rev, message string) (string, error) {
	ref, err := tagRef(name)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := openStore(r.Path())
	target, err := lookup(st, rev)
	if err != nil {
		return "", err
	}
	when := epoch
	if commit, err := object.DecodeCommit(st, target); err == nil {
		when = commit.Committer.When
	}
	tag := &object.Tag{Name: name, TargetType: target.Type(), Target: target.Hash()}
	if tag.Tagger, err = author.signature(when); err != nil {
		return "", err
	}
	if tag.Message, err = wholeMessage(message); err != nil {
		return "", err
	}
	if tag.PGPSignature, err = author.sign(tag); err != nil {
		return "", err
	}
	var obj plumbing.MemoryObject
	if err := tag.Encode(&obj); err != nil {
		return "", fmt.Errorf("writing tag %q: %w", name, err)
	}
	if _, err := st.SetEncodedObject(&obj); err != nil {
		return "", fmt.Errorf("writing tag %q: %w", name, err)
	}
	return obj.Hash().String(), r.setRef(st, ref, obj.Hash().String())
}

// WriteObject stores an object of any content, valid or not, and returns its revision;
// kind is "blob", "tree", "commit" or "tag". It is for commits that a client has to
// refuse: SetRef publishes one.
func (r *Repo) WriteObject(kind string, content []byte) (string, error) {
	what, err := plumbing.ParseObjectType(kind)
	if err != nil {
		return "", fmt.Errorf("no kind of object: %q", kind)
	}
	obj := new(plumbing.MemoryObject)
	obj.SetType(what)
	if _, err := obj.Write(content); err != nil {
		return "", fmt.Errorf("writing object: %w", err)
	}
	hash, err := openStore(r.Path()).SetEncodedObject(obj)
	if err != nil {
		return "", fmt.Errorf("writing object: %w", err)
	}
	return hash.String(), nil
}

// lookup returns the object of a revision.
func lookup(st *store, rev string) (plumbing.EncodedObject, error) {
	if !plumbing.IsHash(rev) {
		return nil, fmt.Errorf("%w: %q is not 40 hexadecimal digits", ErrNoRevision, rev)
	}
	obj, err := st.EncodedObject(plumbing.AnyObject, plumbing.NewHash(rev))
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, fmt.Errorf("%w: %s", ErrNoRevision, rev)
	case err != nil:
		return nil, fmt.Errorf("reading revision %s: %w", rev, err)
	}
	return obj, nil
}

func branchRef(branch string) (plumbing.ReferenceName, error) {
	name := plumbing.NewBranchReferenceName(branch)
	return name, checkRef(name)
}

func tagRef(tag string) (plumbing.ReferenceName, error) {
	name := plumbing.NewTagReferenceName(tag)
	return name, checkRef(name)
}
