package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/render"
	"weir.dev/pkg/buildspec"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
)

var (
	// ErrNoRepository: it is not known which repository has what is in the cluster.
	ErrNoRepository = errors.New("no Git repository is known to have it")
	// ErrNothingApplied: nothing is in the cluster yet.
	ErrNothingApplied = errors.New("it has applied no commit yet")
)

// Unread is the error of a repository that cannot be read from here. A clone may have it.
type Unread struct{ err error }

// Error implements error.
func (u *Unread) Error() string { return u.err.Error() }

// Unwrap returns why.
func (u *Unread) Unwrap() error { return u.err }

// limits are what is read of a repository with its history. A larger one is read from a
// clone.
var limits = git.Limits{Pack: 1 << 30, Object: 64 << 20}

// Options say how to read repositories.
type Options struct {
	// Clone is a folder of a clone, "" for none. A commit that it has is read from it, and all
	// others from their remotes.
	Clone string
	// Near is a folder that may be in a clone, which is taken if Clone names none, and if it
	// has all of its history.
	Near string
	// Fetching is told of a remote that is about to be read, which may take long.
	Fetching func(repository string)
}

// Reader reads the repositories that the Kustomizations of a cluster are made from, with the
// credentials that the GitRepository objects name. It is for one goroutine at a time.
type Reader struct {
	client client.Client
	access *gitaccess.Access
	git    *git.Client
	opts   Options
	clone  *gogit.Repository // nil for none

	dir   string // of what is fetched; "" while nothing is
	trees map[string]*Tree
	built map[string]*answer
	close []func() error
}

// answer is what became of a build, which is not tried again.
type answer struct {
	built *Built
	err   error
}

// NewReader returns a Reader. Somebody has to close it.
func NewReader(c client.Client, opts Options) (*Reader, error) {
	r := &Reader{
		client: c, access: gitaccess.New(login{}), git: git.NewClient(limits), opts: opts,
		trees: make(map[string]*Tree), built: make(map[string]*answer),
	}
	var err error
	switch {
	case opts.Clone != "":
		if r.clone, err = openClone(opts.Clone); err != nil {
			return nil, fmt.Errorf("opening the clone %s: %w", opts.Clone, err)
		}
	case opts.Near != "":
		r.clone = whole(openClone(opts.Near))
	}
	return r, nil
}

func openClone(dir string) (*gogit.Repository, error) {
	return gogit.PlainOpenWithOptions(dir, &gogit.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
}

// whole returns a clone that could be opened and is not a shallow one, else nil.
func whole(clone *gogit.Repository, err error) *gogit.Repository {
	if err != nil {
		return nil
	}
	if missing, err := clone.Storer.Shallow(); err != nil || len(missing) > 0 {
		return nil
	}
	return clone
}

// Close removes what was fetched.
func (r *Reader) Close() error {
	var err error
	for _, f := range slices.Backward(r.close) {
		err = errors.Join(err, f())
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// Built returns what a Kustomization makes of the commit that it has applied last, or has
// tried to, if it has applied none.
func (r *Reader) Built(ctx context.Context, ks *kustomizev1.Kustomization) (*Built, error) {
	revision := ks.Status.LastAppliedOriginRevision
	if ks.Spec.SourceRef.Kind == sourcev1.GitRepositoryKind {
		revision = cmp.Or(ks.Status.LastAppliedRevision, ks.Status.LastAttemptedRevision)
	}
	return r.BuiltAt(ctx, ks, revision)
}

// BuiltAt returns what a Kustomization makes of a revision of its source.
func (r *Reader) BuiltAt(ctx context.Context, ks *kustomizev1.Kustomization, revision string) (*Built, error) {
	key := ks.Namespace + "/" + ks.Name + " " + revision
	known := r.built[key]
	if known == nil {
		known = &answer{}
		known.built, known.err = r.build(ctx, ks, revision)
		r.built[key] = known
	}
	return known.built, known.err
}

func (r *Reader) build(ctx context.Context, ks *kustomizev1.Kustomization, revision string) (*Built, error) {
	commit, remote, err := commitOf(ks, revision)
	if err != nil {
		return nil, err
	}
	tree, err := r.tree(ctx, remote, commit)
	if err != nil {
		return nil, err
	}
	return tree.Build(ks, render.Options{Variables: r.variables(ctx, ks)})
}

// source is the object that a commit was fetched by.
type source struct {
	kind string
	key  types.NamespacedName
}

func (s source) String() string { return s.kind + " " + s.key.String() }

// commitOf returns the commit of a revision, and the source that has it.
func commitOf(ks *kustomizev1.Kustomization, revision string) (plumbing.Hash, source, error) {
	ref := ks.Spec.SourceRef
	from := source{ref.Kind, types.NamespacedName{Namespace: cmp.Or(ref.Namespace, ks.Namespace), Name: ref.Name}}
	if hash, ok := CommitOf(revision); ok {
		return hash, from, nil
	}
	if ref.Kind == sourcev1.GitRepositoryKind {
		return plumbing.ZeroHash, from, fmt.Errorf("kustomization %s/%s: %w", ks.Namespace, ks.Name, ErrNothingApplied)
	}
	return plumbing.ZeroHash, from, fmt.Errorf("%s does not say which commit it was made of: %w", from, ErrNoRepository)
}

// variables are what the build puts into the objects. What may not be read is left out: the
// places of values are found by the variables, too.
func (r *Reader) variables(ctx context.Context, ks *kustomizev1.Kustomization) map[string]string {
	all, err := buildspec.Variables(ctx, r.client, ks)
	if err != nil && ks.Spec.PostBuild != nil {
		return ks.Spec.PostBuild.Substitute
	}
	return all
}

// tree returns a commit, which several Kustomizations may be made of.
func (r *Reader) tree(ctx context.Context, from source, commit plumbing.Hash) (*Tree, error) {
	name := from.String() + "@" + commit.String()
	if t := r.trees[name]; t != nil {
		return t, nil
	}
	t, err := r.open(ctx, from, commit)
	if err == nil {
		r.trees[name] = t
	}
	return t, err
}

// open gets a commit from the clone, or from its remote.
func (r *Reader) open(ctx context.Context, from source, commit plumbing.Hash) (*Tree, error) {
	if r.clone != nil {
		if c, err := r.clone.CommitObject(commit); err == nil { // which is the same wherever it is
			return NewTree(c)
		}
	}
	short := commit.String()[:8]
	if from.kind != sourcev1.GitRepositoryKind {
		return nil, fmt.Errorf("%s was made of commit %s: %w", from, short, ErrNoRepository)
	}
	var repo sourcev1.GitRepository
	if err := r.client.Get(ctx, from.key, &repo); err != nil {
		return nil, &Unread{fmt.Errorf("commit %s is from %s: %w", short, from, err)}
	}
	if r.opts.Fetching != nil {
		r.opts.Fetching(from.String())
	}
	snapshot, err := r.fetch(ctx, &repo, commit)
	if err != nil {
		return nil, &Unread{fmt.Errorf("fetching commit %s of %s: %w", short, from, err)}
	}
	r.close = append(r.close, snapshot.Close)
	return NewTree(snapshot.Commit)
}

// fetch gets a commit from its remote.
func (r *Reader) fetch(ctx context.Context, repo *sourcev1.GitRepository, commit plumbing.Hash) (*git.Snapshot, error) {
	remote, err := r.access.Remote(ctx, r.client, repo)
	if err != nil {
		return nil, err
	}
	if r.dir == "" {
		if r.dir, err = os.MkdirTemp("", "weir-git-"); err != nil {
			return nil, err
		}
	}
	stores, err := git.OpenStores(r.dir)
	if err != nil {
		return nil, err
	}
	conn, err := r.git.Dial(ctx, remote)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could get lost
	targets, err := (git.Reference{Commit: commit.String()}).Resolve(conn.Refs)
	if err != nil {
		return nil, err
	}
	return stores.For(remote).History(ctx, conn, targets[0])
}
