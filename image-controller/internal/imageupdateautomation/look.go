package imageupdateautomation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-git/go-git/v5/plumbing"
	"sigs.k8s.io/controller-runtime/pkg/log"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

// maxAttempts is how often a run begins anew because somebody else has pushed meanwhile.
const maxAttempts = 5

// notRead wraps an error that is about reading the remote.
func notRead(err error) error {
	return loop.Fail(imagev1.ReasonGitOperationFailed, fmt.Errorf("failed to checkout source: %w", err))
}

// notPushed wraps an error that is about writing to it.
func notPushed(err error) error {
	return loop.Fail(imagev1.ReasonGitOperationFailed, fmt.Errorf("failed to update source: %w", err))
}

// writeBack does what there is to do in the repository. If it has moved before all was
// done, it is done again on what is there now.
func (r *Reconciler) writeBack(ctx context.Context, s *scope) error {
	var err error
	for range maxAttempts {
		if err = r.attempt(ctx, s); !errors.Is(err, git.ErrMoved) {
			return err
		}
		log.FromContext(ctx).Info("the branch has moved meanwhile, and the commit is made again", "branch", s.branch)
	}
	return err
}

// attempt is writeBack, once.
func (r *Reconciler) attempt(ctx context.Context, s *scope) error {
	conn, err := r.look(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was only read
	if r.nothingNew(s) {
		s.done = true
		return nil
	}
	if err := r.build(ctx, s, conn); err != nil {
		return err
	}
	if s.built.update.Empty() {
		observe(s)
		return r.payRefspec(ctx, s)
	}
	return r.push(ctx, s)
}

// look asks the remote where its refs are.
func (r *Reconciler) look(ctx context.Context, s *scope) (*git.Conn, error) {
	ctx, cancel := within(ctx, s)
	defer cancel()
	conn, err := r.remotes.Dial(ctx, s.remote)
	if err != nil {
		return nil, notRead(err)
	}
	targets, err := s.from.Resolve(conn.Refs)
	if err != nil {
		return nil, errors.Join(notRead(err), conn.Close())
	}
	s.view = view{start: targets[0]}
	s.view.tip, _ = conn.Refs.Tip(s.branchRef())
	if s.refspec != nil {
		s.view.target, _ = conn.Refs.Tip(s.refspec.Target)
	}
	return conn, nil
}

// nothingNew reports whether all is as the last run left it: as it is remembered, or, after
// a restart, as the status tells it.
func (r *Reconciler) nothingNew(s *scope) bool {
	if !s.memory.owed.IsZero() {
		return false
	}
	if s.memory.sight != nil {
		return s.memory.sight.equal(s.sight()) && conditions.IsReady(s.auto)
	}
	status := s.auto.Status
	if s.switched || s.refspec != nil || loop.Awaited(s.auto) || !conditions.IsReady(s.auto) ||
		status.ObservedSourceRevision != s.view.start.Revision() || !maps.Equal(status.ObservedPolicies, s.observed) {
		return false
	}
	s.memory.message, s.memory.sight = conditions.GetMessage(s.auto, meta.ReadyCondition), s.sight()
	return true
}

// sight is what decides about this run.
func (s *scope) sight() *sight {
	return &sight{
		generation: s.auto.Generation, merge: mergeSettings(s.auto), remote: s.remote.Key(), from: s.from,
		policies: s.observed, known: s.known, view: s.view,
	}
}

// build finds out what is to be changed, and of which commit.
func (r *Reconciler) build(ctx context.Context, s *scope, conn *git.Conn) error {
	start, err := r.snapshot(ctx, s, conn, s.view.start)
	if err != nil {
		return err
	}
	if s.wanted, err = r.update(ctx, s, start); err != nil {
		return err
	}
	s.built = built{on: start, update: s.wanted}
	if !s.switched || s.view.tip.IsZero() || s.view.tip == s.view.start.Commit {
		return nil
	}
	return r.chooseBase(ctx, s, start)
}

// snapshot returns a commit, which is fetched if it is not here. conn is used for that if
// it is not nil.
func (r *Reconciler) snapshot(ctx context.Context, s *scope, conn *git.Conn, t git.Target) (*git.Snapshot, error) {
	snapshot, ok := s.objects.Has(t.Commit)
	if !ok {
		var err error
		if snapshot, err = r.fetch(ctx, s, conn, t); err != nil {
			return nil, notRead(err)
		}
	}
	s.onClose(snapshot)
	return snapshot, nil
}

func (r *Reconciler) fetch(ctx context.Context, s *scope, conn *git.Conn, t git.Target) (*git.Snapshot, error) {
	ctx, cancel := within(ctx, s)
	defer cancel()
	if conn == nil {
		var err error
		if conn, err = r.remotes.Dial(ctx, s.remote); err != nil {
			return nil, err
		}
		defer func() { _ = conn.Close() }() // it was only read
	}
	return s.objects.Fetch(ctx, conn, t)
}

// update finds out what is to be changed of a commit.
func (r *Reconciler) update(ctx context.Context, s *scope, commit *git.Snapshot) (writeback.Update, error) {
	at := ""
	if s.auto.Spec.Update != nil {
		at = s.auto.Spec.Update.Path
	}
	u, err := r.finder.Update(commit, at, s.refs, r.isKnown(ctx, s))
	if err != nil {
		return u, loop.Fail(imagev1.ReasonUpdateFailed, fmt.Errorf("failed to apply policies: %w", err))
	}
	log.FromContext(ctx).V(1).Info("looked for markers", "commit", commit.Commit.Hash.String(), "marked", u.Marked, "read", u.Read, "changed", len(u.Edits))
	return u, nil
}

// tipTarget is the tip of the branch to push to.
func (s *scope) tipTarget() git.Target {
	return git.Target{Want: s.view.tip, Commit: s.view.tip, Label: s.branch}
}

// observedCommit is the commit of a revision such as main@sha1:<hash>; zero if there is
// none.
func observedCommit(revision string) plumbing.Hash {
	_, hash, _ := strings.Cut(revision, "sha1:")
	if !plumbing.IsHash(hash) {
		return plumbing.ZeroHash
	}
	return plumbing.NewHash(hash)
}
