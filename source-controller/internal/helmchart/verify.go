package helmchart

import (
	"context"

	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/signature"
)

// verify checks the signature of the chart, each time, if it is in a registry and the
// spec asks for it.
func (r *Reconciler) verify(ctx context.Context, s *scope) error {
	from, ok := s.origin.(*ociOrigin)
	if s.obj.Spec.Verify == nil || !ok {
		conditions.Delete(s.obj, sourcev1.ConditionSourceVerified)
		return nil
	}
	ctx, cancel := within(ctx, from.timeout)
	defer cancel()
	if err := from.resolveDigest(ctx); err != nil {
		return failed(sourcev1.ReasonChartPullError, err)
	}
	spec := s.obj.Spec.Verify
	result, err := r.signatures.Verify(ctx, r.secrets.For(s.obj), s.obj.Namespace, &sourcev1.OCIRepositoryVerification{
		Provider: spec.Provider, SecretRef: spec.SecretRef, MatchOIDCIdentity: spec.MatchOIDCIdentity,
	}, from.session, from.digest)
	switch {
	case err != nil:
		conditions.MarkFalse(s.obj, sourcev1.ConditionSourceVerified, sourcev1.ReasonVerificationError, "%s", err)
		return failed(sourcev1.ReasonChartVerificationError, err)
	case result == signature.Ignored:
		conditions.Delete(s.obj, sourcev1.ConditionSourceVerified)
	default:
		conditions.MarkTrue(s.obj, sourcev1.ConditionSourceVerified, sourcev1.ReasonSucceeded, "verified signature of version %s", s.version)
	}
	return nil
}
