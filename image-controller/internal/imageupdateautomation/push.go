package imageupdateautomation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/loop"
)

// push makes the commit and pushes it.
func (r *Reconciler) push(ctx context.Context, s *scope) error {
	message, err := r.message(s, s.built.update)
	if err != nil {
		return err
	}
	author := s.auto.Spec.GitSpec.Commit.Author
	draft, err := s.built.on.Draft(s.built.update.Edits, git.CommitOptions{
		Author:  object.Signature{Name: author.Name, Email: author.Email, When: r.now()},
		Message: message,
		Signer:  s.signer,
	})
	switch {
	case errors.Is(err, git.ErrNoChange):
		observe(s) // nobody wants an empty commit
		return nil
	case err != nil:
		return loop.Fail(imagev1.ReasonUpdateFailed, fmt.Errorf("failed to apply policies: %w", err))
	}
	move := git.RefUpdate{Name: s.branchRef(), Old: s.view.tip, New: draft.Hash}
	if err := r.send(ctx, s, draft, move); err != nil {
		return err
	}
	s.pushed, s.view.tip = draft.Hash, draft.Hash
	if !s.switched {
		s.view.start = git.Target{Want: draft.Hash, Commit: draft.Hash, Label: s.branch}
	}
	r.keep(ctx, s, draft)
	observe(s)
	recordPush(s, draft.Hash, r.now())
	s.memory.did.pushed(s, message)
	log.FromContext(ctx).Info("pushed commit", "commit", draft.Hash.String(), "branch", s.branch, "files", len(s.built.update.Edits))
	r.askSource(ctx, s)
	if s.refspec != nil {
		s.memory.owed = draft.Hash
	}
	return r.payRefspec(ctx, s)
}

// message is that of a commit.
func (r *Reconciler) message(s *scope, u writeback.Update) (string, error) {
	message, err := s.template.Message(writeback.Data{
		AutomationObject: writeback.Automation{Namespace: s.auto.Namespace, Name: s.auto.Name},
		Changed:          u.Changed,
		Values:           s.auto.Spec.GitSpec.Commit.MessageTemplateValues,
	})
	switch {
	case errors.Is(err, writeback.ErrRemovedField):
		return "", loop.Stall(imagev1.ReasonRemovedTemplateField, err)
	case err != nil:
		return "", loop.Fail(imagev1.ReasonUpdateFailed, fmt.Errorf("failed to apply policies: %w", err))
	}
	return message, nil
}

// send moves one ref of the remote. That it has moved otherwise is git.ErrMoved.
func (r *Reconciler) send(ctx context.Context, s *scope, draft *git.Draft, move git.RefUpdate) error {
	ctx, cancel := within(ctx, s)
	defer cancel()
	var options git.PushOptions
	if push := s.auto.Spec.GitSpec.Push; push != nil {
		options.Options = push.Options
	}
	if err := r.remotes.Push(ctx, s.remote, draft, []git.RefUpdate{move}, options); err != nil {
		return notPushed(err)
	}
	return nil
}

// keep lets the next run have the commit without fetching it.
func (r *Reconciler) keep(ctx context.Context, s *scope, draft *git.Draft) {
	if err := s.objects.Keep(draft); err != nil {
		log.FromContext(ctx).V(1).Info("the commit that was pushed will be fetched", "because", err.Error())
	}
}

// payRefspec pushes to the ref that the refspec names what was pushed to the branch.
func (r *Reconciler) payRefspec(ctx context.Context, s *scope) error {
	if s.refspec == nil {
		s.memory.owed = plumbing.ZeroHash
		return nil
	}
	commit := owedTo(s)
	if commit.IsZero() {
		return nil
	}
	if !s.refspec.Force && !s.view.target.IsZero() {
		if err := r.checkForward(ctx, s, commit); err != nil {
			return err
		}
	}
	move := git.RefUpdate{Name: s.refspec.Target, Old: s.view.target, New: commit}
	if err := r.send(ctx, s, nil, move); err != nil {
		return fmt.Errorf("pushing refspec '%s': %w", s.refspec, err)
	}
	s.view.target, s.memory.owed = commit, plumbing.ZeroHash
	if s.memory.did.commit != "" {
		s.memory.did.refspec = s.refspec.String()
	}
	return nil
}

// owedTo returns what has to be pushed to the ref that the refspec names; zero if nothing
// has. After a restart, it shows where the last commit is ours and the ref is one that
// stays: what is pushed to refs/for/ is seen nowhere.
func owedTo(s *scope) plumbing.Hash {
	seen := s.refspec.Target.IsBranch() || s.refspec.Target.IsTag()
	switch {
	case s.view.target == s.view.tip:
		return plumbing.ZeroHash
	case !s.memory.owed.IsZero():
		return s.view.tip
	case seen && s.view.tip.String() == s.auto.Status.LastPushCommit:
		return s.view.tip
	default:
		return plumbing.ZeroHash
	}
}

// checkForward refuses to take from a ref what it has and the commit has not.
func (r *Reconciler) checkForward(ctx context.Context, s *scope, commit plumbing.Hash) error {
	if s.built.on.Commit.Hash == s.view.target {
		return nil
	}
	_, err := r.fetch(ctx, s, nil, git.Target{Want: s.view.target, Commit: s.view.target, Label: s.branch, Unadvertised: true})
	if errors.Is(err, git.ErrNoRef) {
		return notPushed(fmt.Errorf("refspec '%s': %s has commits that commit %s does not have: begin the refspec with + to replace them", s.refspec, s.refspec.Target, commit))
	}
	if err != nil {
		return notRead(err)
	}
	return nil
}

// askSource asks the GitRepository to look at its remote now, if that is where the commit
// went. Without it, it looks by itself somewhat later.
func (r *Reconciler) askSource(ctx context.Context, s *scope) {
	if s.repo.Spec.Suspend || !follows(s.repo, s.branch) {
		return
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		meta.ReconcileRequestAnnotation: r.now().Format(time.RFC3339Nano),
	}}})
	if err == nil {
		repo := &sourcev1.GitRepository{}
		repo.Namespace, repo.Name = s.repo.Namespace, s.repo.Name
		err = r.client.Patch(ctx, repo, client.RawPatch(types.MergePatchType, patch))
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "asking the source to reconcile", "source", sourceKey(s.auto).String())
	}
}

// remindSource asks the GitRepository to look at its remote if this is the first run of the
// process, and the branch ends with a commit that is neither published nor one that the
// status tells of: who was killed after a push has asked nobody.
func (r *Reconciler) remindSource(ctx context.Context, s *scope) error {
	tip := s.view.tip
	if s.memory.sight == nil && s.pushed.IsZero() && !tip.IsZero() && tip.String() != s.auto.Status.LastPushCommit && publishesOther(s.repo, tip) {
		r.askSource(ctx, s)
	}
	return nil
}

// publishesOther reports whether the artifact of a GitRepository is of another commit.
func publishesOther(repo *sourcev1.GitRepository, commit plumbing.Hash) bool {
	return repo.Status.Artifact != nil && !strings.HasSuffix(repo.Status.Artifact.Revision, ":"+commit.String())
}

// follows reports whether a GitRepository publishes the tip of a branch.
func follows(repo *sourcev1.GitRepository, branch string) bool {
	ref := gitaccess.Reference(repo.Spec.Reference)
	if ref == (git.Reference{}) {
		ref.Branch = git.DefaultBranch
	}
	return ref == git.Reference{Branch: branch}
}
