package imageupdateautomation

import (
	"context"
	"errors"
	"fmt"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/pullrequest"
)

// checkSpec stalls what only another spec can help, before anybody is asked.
func (r *Reconciler) checkSpec(_ context.Context, s *scope) error {
	spec := s.auto.Spec
	ref := spec.SourceRef
	switch {
	case spec.Update != nil && spec.Update.Strategy != "" && spec.Update.Strategy != imagev1.UpdateStrategySetters:
		return loop.Stall(imagev1.ReasonInvalidUpdateStrategy, fmt.Errorf("unknown update strategy '%s': the only one is '%s'", spec.Update.Strategy, imagev1.UpdateStrategySetters))
	case ref.Kind != "" && ref.Kind != sourcev1.GitRepositoryKind:
		return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, fmt.Errorf("source kind '%s' not supported: name a GitRepository in spec.sourceRef", ref.Kind))
	case spec.GitSpec == nil:
		return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, errors.New("source kind 'GitRepository' needs spec.git"))
	case r.opts.SameNamespaceOnly && ref.Namespace != "" && ref.Namespace != s.auto.Namespace:
		return loop.Stall(imagev1.ReasonAccessDenied, fmt.Errorf("can't access '%s/%s/%s', cross-namespace references have been blocked", sourcev1.GitRepositoryKind, ref.Namespace, ref.Name))
	}
	var err error
	if s.selector, err = selectorOf(s.auto); err != nil {
		return loop.Stall(imagev1.ReasonInvalidPolicySelector, fmt.Errorf("failed to parse policy selector: %w", err))
	}
	return checkGit(s, spec.GitSpec)
}

// checkGit reads what spec.git says of the commit and the push.
func checkGit(s *scope, spec *imagev1.GitSpec) error {
	var err error
	s.template, err = s.memory.parse(spec.Commit.MessageTemplate)
	switch {
	case errors.Is(err, writeback.ErrRemovedField):
		return loop.Stall(imagev1.ReasonRemovedTemplateField, err)
	case err != nil:
		return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, err)
	}
	if key := spec.Commit.SigningKey; key != nil {
		switch key.Type {
		case "", imagev1.SigningKeyGPG, imagev1.SigningKeySSH:
		default:
			return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, fmt.Errorf("spec.git.commit.signingKey.type '%s' is neither gpg nor ssh", key.Type))
		}
	}
	if spec.Push != nil && spec.Push.Refspec != "" {
		refspec, err := git.ParseRefspec(spec.Push.Refspec)
		if err != nil {
			return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, fmt.Errorf("spec.git.push: %w", err))
		}
		s.refspec = &refspec
	}
	if s.merge, err = pullrequest.ParseSettings(s.auto.Annotations); err != nil {
		return loop.Stall(imagev1.ReasonPullRequestFailed, err)
	}
	return nil
}
