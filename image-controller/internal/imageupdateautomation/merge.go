package imageupdateautomation

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/pullrequest"
)

// askForMerge sees to it that there is a pull request for the branch that was pushed, if
// one is wanted and the branch has something to merge.
func (r *Reconciler) askForMerge(ctx context.Context, s *scope) error {
	if s.done || !s.merge.Wanted() {
		return nil
	}
	if !s.switched || s.from.Branch == "" || s.from.Branch == s.branch {
		return loop.Stall(imagev1.ReasonPullRequestFailed, fmt.Errorf("the annotation %s asks for a pull request, which needs a branch to start from and another one in spec.git.push.branch", pullrequest.Annotation))
	}
	if s.wanted.Empty() || s.view.tip.IsZero() {
		return nil
	}
	merged, err := r.ensureMerge(ctx, s)
	switch after, limited := pullrequest.RetryAfter(err); {
	case errors.Is(err, pullrequest.ErrInvalid):
		return loop.Stall(imagev1.ReasonPullRequestFailed, err)
	case limited:
		return loop.Wait(imagev1.ReasonPullRequestFailed, after, "%w", err)
	case err != nil:
		return loop.Fail(imagev1.ReasonPullRequestFailed, err)
	}
	s.merged, s.memory.did.merge, s.memory.did.branch = merged, merged, s.branch
	return nil
}

// ensureMerge opens or describes the pull request. It is told all that the branch changes,
// in however many commits.
func (r *Reconciler) ensureMerge(ctx context.Context, s *scope) (pullrequest.PullRequest, error) {
	var none pullrequest.PullRequest
	ctx, cancel := within(ctx, s)
	defer cancel()
	target, err := pullrequest.Locate(s.merge, s.repo.Spec.URL)
	if err != nil {
		return none, err
	}
	access, err := r.mergeAccess(ctx, s, target)
	if err != nil {
		return none, err
	}
	message, err := r.message(s, s.wanted)
	if err != nil {
		return none, err
	}
	transport := access.Transport()
	defer transport.CloseIdleConnections()
	host, err := pullrequest.New(target, access, transport)
	if err != nil {
		return none, err
	}
	title, body := pullrequest.Describe(message, mergeChanges(s))
	return host.Ensure(ctx, pullrequest.Request{
		Owner: s.auto.Namespace + "/" + s.auto.Name, Head: s.branch, Base: s.from.Branch, Commit: s.view.tip.String(),
		Title: title, Body: body,
	})
}

// mergeAccess returns how to get in to the API: by a Secret of the automation, or as Git
// does.
func (r *Reconciler) mergeAccess(ctx context.Context, s *scope, target pullrequest.Target) (pullrequest.Access, error) {
	c, err := r.access.Credentials(ctx, r.secrets(s.auto), s.repo)
	if err != nil {
		return pullrequest.Access{}, err
	}
	if s.merge.Secret == "" {
		return pullrequest.FromGit(target, c)
	}
	name := client.ObjectKey{Namespace: s.auto.Namespace, Name: s.merge.Secret}
	var secret corev1.Secret
	if err := r.secrets(s.auto).Get(ctx, name, &secret); err != nil {
		return pullrequest.Access{}, fmt.Errorf("failed to get secret '%s': %w", name, err)
	}
	return pullrequest.FromSecret(secret.Data, name.String(), proxyFor(s, c))
}

// proxyFor returns the proxy of the GitRepository, if the automation is in its namespace.
func proxyFor(s *scope, c creds.Git) creds.Proxy {
	if s.repo.Namespace != s.auto.Namespace {
		return creds.Proxy{}
	}
	return c.Proxy
}

// mergeChanges are the values that the branch changes.
func mergeChanges(s *scope) []pullrequest.Change {
	var all []pullrequest.Change
	for _, c := range s.wanted.Changed.Lines() {
		all = append(all, pullrequest.Change{File: c.Path, Old: c.OldValue, New: c.NewValue})
	}
	return all
}
