package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
)

// Repository is the one that the cluster is to run from, as this command reaches it.
type Repository struct {
	client *git.Client
	remote *git.Remote
	store  *git.Store
}

// OpenRepository returns a repository. What is fetched of it is kept below dir.
func OpenRepository(rawURL string, c creds.Git, dir string) (*Repository, error) {
	remote, err := git.NewRemote(rawURL, c)
	if err != nil {
		return nil, err
	}
	stores, err := git.OpenStores(dir)
	if err != nil {
		return nil, err
	}
	return &Repository{client: git.NewClient(git.Limits{}), remote: remote, store: stores.For(remote)}, nil
}

// View is a branch as it was seen. Somebody has to close it.
type View struct {
	Tree

	pull     plumbing.Hash // what the branch of a pull request ends with; zero if there is none
	snapshot *git.Snapshot // nil if there is no commit
	entries  []git.Entry
}

// Close lets go of the files.
func (v *View) Close() {
	if v.snapshot != nil {
		_ = v.snapshot.Close() // it was only read
	}
}

// with returns the files with edits on top.
func (v *View) with(edits []git.Edit) *files { return newFiles(v.snapshot, v.entries, edits) }

// Look fetches what the branch ends with, and surveys it.
func (r *Repository) Look(ctx context.Context, o Options) (*View, error) {
	conn, err := r.client.Dial(ctx, r.remote)
	if errors.Is(err, git.ErrEmpty) {
		return &View{Tree: Tree{Files: map[string][]byte{}}}, nil
	}
	if err != nil {
		return nil, r.explain(err)
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could get lost
	v := &View{Tree: Tree{Branches: conn.Refs.Branches(), Default: conn.Refs.DefaultBranch()}}
	if o.PullRequest != "" {
		v.pull, _ = conn.Refs.Tip(plumbing.NewBranchReferenceName(o.PullRequest))
	}
	targets, err := (git.Reference{Branch: o.Branch}).Resolve(conn.Refs)
	if errors.Is(err, git.ErrNoRef) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	if v.snapshot, err = r.store.Fetch(ctx, conn, targets[0]); err != nil {
		return nil, r.explain(err)
	}
	return v, r.survey(v, o)
}

// survey reads what of the files matters.
func (r *Repository) survey(v *View, o Options) error {
	var err error
	if v.entries, err = v.snapshot.Entries(); err != nil {
		return err
	}
	files := v.with(nil)
	found, err := Survey(o, files.paths(), files.ReadFile)
	if err != nil {
		return err
	}
	found.Commit, found.Branches, found.Default = v.snapshot.Commit.Hash, v.Branches, v.Default
	v.Tree = found
	return nil
}

// Commit makes a commit of the plan on top of the view, pushes it to the branch, and returns
// it. The error is git.ErrMoved if the branch is elsewhere by now.
func (r *Repository) Commit(ctx context.Context, v *View, o Options, p Plan, now time.Time) (plumbing.Hash, error) {
	draft, err := r.draft(v, o, p, now)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	update := git.RefUpdate{Name: plumbing.NewBranchReferenceName(o.Branch), Old: v.Commit, New: draft.Hash}
	if err := r.client.Push(ctx, r.remote, draft, []git.RefUpdate{update}, git.PushOptions{}); err != nil {
		return plumbing.ZeroHash, r.explainPush(err, o)
	}
	return draft.Hash, nil
}

func (r *Repository) draft(v *View, o Options, p Plan, now time.Time) (*git.Draft, error) {
	opts := git.CommitOptions{
		Author:  object.Signature{Name: o.Commit.Name, Email: o.Commit.Email, When: now},
		Message: p.Message, Signer: o.Commit.Signer,
	}
	if v.snapshot == nil {
		return git.FirstDraft(p.Edits, opts)
	}
	return v.snapshot.Draft(p.Edits, opts)
}

// Propose makes the commit and pushes it to the branch of a pull request, unless that ends
// with the same files already. It returns what that branch ends with.
func (r *Repository) Propose(ctx context.Context, v *View, o Options, p Plan, now time.Time) (commit plumbing.Hash, pushed bool, err error) {
	if !v.pull.IsZero() {
		same, err := r.proposed(ctx, v, o, p)
		if err != nil || same {
			return v.pull, false, err
		}
	}
	draft, err := r.draft(v, o, p, now)
	if err != nil {
		return plumbing.ZeroHash, false, err
	}
	update := git.RefUpdate{Name: plumbing.NewBranchReferenceName(o.PullRequest), Old: v.pull, New: draft.Hash}
	if err := r.client.Push(ctx, r.remote, draft, []git.RefUpdate{update}, git.PushOptions{}); err != nil {
		return plumbing.ZeroHash, false, r.explainPush(err, o)
	}
	return draft.Hash, true, nil
}

// Head returns what the branch ends with now.
func (r *Repository) Head(ctx context.Context, branch string) (plumbing.Hash, error) {
	conn, err := r.client.Dial(ctx, r.remote)
	if err != nil {
		return plumbing.ZeroHash, r.explain(err)
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could get lost
	head, _ := conn.Refs.Tip(plumbing.NewBranchReferenceName(branch))
	return head, nil
}

// explain says what to do about a repository that cannot be read.
func (r *Repository) explain(err error) error {
	switch {
	case errors.Is(err, git.ErrUnauthorized):
		return &Refusal{Reason: NoAccess, Why: err.Error(), Err: err,
			Next: "is the token or password right, does it belong to who may push there, and has it not ended? Then run the same command again"}
	case errors.Is(err, git.ErrNotFound):
		return &Refusal{Reason: NoAccess, Why: err.Error(), Err: err,
			Next: "is the URL right, and may who asks see the repository? If there is none yet, make an empty one first"}
	case errors.Is(err, git.ErrUntrusted):
		return &Refusal{Reason: NoAccess, Why: err.Error(), Err: err,
			Next: "name the authority of its certificate: --ca-file"}
	default:
		return Unreachable(err)
	}
}

// Unreachable says of an error of the network that it is about the host of the repository.
// It ends the chain of such an error, which looks like one of the cluster's.
func Unreachable(err error) error {
	var broken *net.OpError
	var unknown *net.DNSError
	if !errors.As(err, &broken) && !errors.As(err, &unknown) {
		return err
	}
	return &Refusal{Reason: NoAccess, Why: err.Error(), Next: "can the host of the repository be reached from here, and is its name right?"}
}

// explainPush says what to do about a push that is not taken.
func (r *Repository) explainPush(err error, o Options) error {
	switch {
	case errors.Is(err, git.ErrMoved):
		return err
	case errors.Is(err, git.ErrUnauthorized) && o.PullRequest == "":
		return &Refusal{Reason: NoAccess, Why: fmt.Sprintf("pushing to branch %q: %v", o.Branch, err), Err: err,
			Next: "the token, password or key must be allowed to push; if the branch takes no pushes from anybody, use --pull-request"}
	case errors.Is(err, git.ErrRefused) && o.PullRequest == "":
		return &Refusal{Reason: PushRefused, Why: fmt.Sprintf("pushing to branch %q: %v", o.Branch, err), Err: err,
			Next: "the branch seems to be protected: let people merge the change, by --pull-request"}
	case errors.Is(err, git.ErrRefused):
		return &Refusal{Reason: PushRefused, Why: err.Error(), Err: err,
			Next: "is there a rule for the names of branches? Name another: --pull-request-branch=<name>"}
	default:
		return r.explain(err)
	}
}
