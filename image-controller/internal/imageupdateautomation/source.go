package imageupdateautomation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/loop"
)

// notConfigured wraps an error that is about how to get to the repository.
func notConfigured(err error) error {
	return fmt.Errorf("failed configuring source manager: %w", err)
}

// sourceKey names the GitRepository of an automation.
func sourceKey(auto *imagev1.ImageUpdateAutomation) types.NamespacedName {
	ref := auto.Spec.SourceRef
	return types.NamespacedName{Namespace: cmp.Or(ref.Namespace, auto.Namespace), Name: ref.Name}
}

// findSource reads the GitRepository. Whether it is ready or suspended does not matter.
func (r *Reconciler) findSource(ctx context.Context, s *scope) error {
	key := sourceKey(s.auto)
	s.repo = &sourcev1.GitRepository{}
	err := r.client.Get(ctx, key, s.repo)
	switch {
	case apierrors.IsNotFound(err):
		return loop.Fail(imagev1.ReasonSourceManagerFailed, notConfigured(fmt.Errorf("GitRepository '%s' not found", key)))
	case err != nil:
		return loop.Fail(imagev1.ReasonSourceManagerFailed, notConfigured(fmt.Errorf("reading GitRepository '%s': %w", key, err)))
	}
	return nil
}

// chooseBranches finds out what to start from and what to push to.
func (r *Reconciler) chooseBranches(_ context.Context, s *scope) error {
	ref := s.repo.Spec.Reference
	if checkout := s.auto.Spec.GitSpec.Checkout; checkout != nil {
		ref = &checkout.Reference
	}
	s.from = gitaccess.Reference(ref)
	s.branch = s.from.Branch
	if push := s.auto.Spec.GitSpec.Push; push != nil && push.Branch != "" {
		s.branch = push.Branch
	}
	if s.branch == "" {
		return loop.Fail(imagev1.ReasonSourceManagerFailed, notConfigured(errors.New("push spec not provided, and cannot be inferred from .spec.git.checkout.ref or GitRepository .spec.ref")))
	}
	if err := s.branchRef().Validate(); err != nil {
		return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, fmt.Errorf("git has no branch of the name '%s'", s.branch))
	}
	s.switched = s.from != (git.Reference{Branch: s.branch})
	return checkRefspec(s)
}

// checkRefspec stalls a refspec with a source that is not at hand.
func checkRefspec(s *scope) error {
	if s.refspec == nil || s.refspec.Source == "HEAD" || s.refspec.Source == s.branchRef().String() {
		return nil
	}
	return loop.Stall(imagev1.ReasonInvalidSourceConfiguration, fmt.Errorf("the source of the refspec '%s' is not what is pushed: write HEAD or %s", s.refspec, s.branchRef()))
}

// within bounds one exchange with the remote by the timeout of the GitRepository.
func within(ctx context.Context, s *scope) (context.Context, context.CancelFunc) {
	d := s.repo.GetTimeout()
	return context.WithTimeoutCause(ctx, d, errors.New("spec.timeout of "+d.Round(time.Millisecond).String()+" of the GitRepository is over"))
}

// connect finds out how to get in to the remote, and with which key to sign.
func (r *Reconciler) connect(ctx context.Context, s *scope) error {
	var err error
	s.remote, err = r.access.Remote(ctx, r.secrets(s.auto), s.repo)
	var denied *gitaccess.Error
	switch {
	case errors.As(err, &denied) && denied.Kind == gitaccess.FeatureGate:
		return loop.Stall(imagev1.ReasonFeatureGateDisabled, notConfigured(err))
	case err != nil:
		return loop.Fail(imagev1.ReasonSourceManagerFailed, notConfigured(err))
	}
	s.objects = r.stores.For(s.remote)
	if s.signer, err = r.signerOf(ctx, s); err != nil {
		return loop.Fail(imagev1.ReasonSourceManagerFailed, notConfigured(err))
	}
	return nil
}
