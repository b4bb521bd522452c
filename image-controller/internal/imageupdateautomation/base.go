package imageupdateautomation

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

// base is which commit a new one is made on, where the branch to push to is not the one to
// start from and has commits already.
type base int

const (
	// onTip: on those of the branch to push to, which stay.
	onTip base = iota
	// onStart: on the one to start from, in the place of those of the branch to push to.
	onStart
)

// facts are what decides about the base.
type facts struct {
	mayForce bool // commits that were pushed may be replaced
	wanted   bool // something is to be changed of what to start from
	held     bool // the branch to push to has these changes
	stale    bool // what to start from has moved since the branch was made
	ours     bool // the branch has nothing but commits of ours
}

// decide chooses the base. The branch to push to is left alone while it has what is wanted.
// When it has to be changed, and is behind, it is made anew, so that what people review is
// one commit on what they merge it into. A branch with a commit of somebody else is only
// ever added to.
func decide(f facts) base {
	switch {
	case f.wanted && !f.held && f.stale && f.ours && f.mayForce:
		return onStart
	default:
		return onTip
	}
}

// chooseBase finds out what is to be changed where the branch to push to has commits of its
// own.
func (r *Reconciler) chooseBase(ctx context.Context, s *scope, start *git.Snapshot) error {
	tip, err := r.snapshot(ctx, s, nil, s.tipTarget())
	if err != nil {
		return err
	}
	f := facts{mayForce: r.opts.ForcePush, wanted: !s.wanted.Empty()}
	if f.held, err = writeback.Holds(tip, s.wanted.Edits); err != nil {
		return notRead(err)
	}
	fork := observedCommit(s.auto.Status.ObservedSourceRevision)
	f.stale = !fork.IsZero() && fork != s.view.start.Commit
	if f.wanted && !f.held && f.stale && f.mayForce {
		if f.ours, err = r.onlyOurs(ctx, s, fork, tip); err != nil {
			return err
		}
	}
	if decide(f) == onStart {
		s.built.renewed = true
		return nil
	}
	update, err := r.update(ctx, s, tip)
	if err != nil {
		return err
	}
	s.built = built{on: tip, update: update}
	if update.Empty() && f.held {
		return adopt(s, start, tip)
	}
	return nil
}

// onlyOurs reports whether a branch, which was begun at fork, has nothing but commits of
// this automation: the last of them is the one that it has pushed last, and all of them
// together have changed nothing but marked values.
func (r *Reconciler) onlyOurs(ctx context.Context, s *scope, fork plumbing.Hash, tip *git.Snapshot) (bool, error) {
	if s.auto.Status.LastPushCommit != tip.Commit.Hash.String() {
		return false, nil
	}
	begun, err := r.snapshot(ctx, s, nil, git.Target{Want: fork, Commit: fork, Unadvertised: true})
	if err != nil {
		return false, ctx.Err() // the remote does not have it any more, so nobody can tell
	}
	alike, err := writeback.Alike(begun, tip, s.refs)
	if err != nil {
		return false, loop.Fail(imagev1.ReasonUpdateFailed, fmt.Errorf("failed to apply policies: %w", err))
	}
	return alike, nil
}

// adopt records a commit that a run has pushed which was killed before it could say so: it
// is directly on what to start from, in our name, and changes nothing but marked values.
func adopt(s *scope, start, tip *git.Snapshot) error {
	author := s.auto.Spec.GitSpec.Commit.Author
	c := tip.Commit
	ours := len(c.ParentHashes) == 1 && c.ParentHashes[0] == start.Commit.Hash &&
		c.Author.Email == author.Email && c.Committer.Email == author.Email
	if !ours || s.auto.Status.LastPushCommit == c.Hash.String() {
		return nil
	}
	alike, err := writeback.Alike(start, tip, s.refs)
	if err != nil {
		return loop.Fail(imagev1.ReasonUpdateFailed, fmt.Errorf("failed to apply policies: %w", err))
	}
	if alike {
		s.auto.Status.ObservedSourceRevision = s.view.start.Revision()
		recordPush(s, c.Hash, c.Committer.When)
	}
	return nil
}
