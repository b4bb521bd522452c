package ocirepository

import (
	"context"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/signature"
)

// verify checks the signature of the digest, if the spec asks for it and it was not
// checked for this spec.
func (r *Reconciler) verify(ctx context.Context, s *scope) error {
	spec := s.repo.Spec.Verify
	if spec == nil {
		conditions.Delete(s.repo, sourcev1.ConditionSourceVerified)
		return nil
	}
	if !unverified(s.repo, s.revision) {
		return nil
	}
	ctx, cancel := timeout(ctx, s.repo)
	defer cancel()
	result, err := r.signatures.Verify(ctx, r.secrets.For(s.repo), s.repo.Namespace, spec, s.session, s.digest)
	switch {
	case err != nil:
		return loop.Fail(sourcev1.ReasonVerificationError, err)
	case result == signature.Ignored:
		conditions.Delete(s.repo, sourcev1.ConditionSourceVerified)
	default:
		conditions.MarkTrue(s.repo, sourcev1.ConditionSourceVerified, sourcev1.ReasonSucceeded, "verified signature of revision %s", s.revision)
	}
	return nil
}

// unverified reports whether the status does not say of a revision, and of the present
// spec, that its signature is good.
func unverified(repo *sourcev1.OCIRepository, revision string) bool {
	c := conditions.Get(repo, sourcev1.ConditionSourceVerified)
	return c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != repo.Generation || !advertises(repo, revision)
}
