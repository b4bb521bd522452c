package imagepolicy

import (
	"context"
	"errors"
	"fmt"
	"time"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

// minTimeout is the least time that a question for a digest gets, whatever the spec says.
const minTimeout = time.Second

// reflectDigest asks the registry for the digest of the tag, where the spec wants it and
// it is not known.
func (r *Reconciler) reflectDigest(ctx context.Context, s *scope) error {
	known, ask := reflected(s.obj.GetDigestReflectionPolicy(), s.obj.Status.LatestRef, s.ref)
	s.ref.Digest = known
	if !ask {
		return nil
	}
	limit := max(s.repo.GetTimeout(), minTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("the timeout of "+limit.String()+" is over"))
	defer cancel()
	digest, err := r.digest(ctx, s)
	if err != nil {
		return unreflected(fmt.Errorf("failed to get the digest of '%s': %w", s.ref.String(), err))
	}
	s.ref.Digest = digest
	return nil
}

// digest asks for what has the tag now.
func (r *Reconciler) digest(ctx context.Context, s *scope) (string, error) {
	session, err := r.registries.Session(ctx, r.secrets.For(s.obj, loop.Awaited(s.obj)), s.repo)
	if err != nil {
		return "", err
	}
	desc, err := session.Resolve(ctx, s.ref.Tag)
	return desc.Digest.String(), err
}

// reflected returns the digest of a reference as far as it is known from the last one,
// and whether the registry is to be asked for it.
func reflected(when imagev1.ReflectionPolicy, last *imagev1.ImageRef, ref imagev1.ImageRef) (digest string, ask bool) {
	switch when {
	case imagev1.ReflectAlways:
		return "", true
	case imagev1.ReflectIfNotPresent:
		if last != nil && last.Name == ref.Name && last.Tag == ref.Tag && last.Digest != "" {
			return last.Digest, false
		}
		return "", true
	default:
		return "", false
	}
}

// unreflected says what becomes of a policy whose digest cannot be had.
func unreflected(err error) error {
	switch {
	case errors.Is(err, oci.ErrInvalidImage):
		return loop.Stall(imagev1.ReasonImageURLInvalid, err)
	case errors.Is(err, cloud.ErrGateDisabled):
		return loop.Stall(imagev1.ReasonFeatureGateDisabled, err)
	}
	if after, ok := oci.RetryAfter(err); ok {
		return loop.Wait(imagev1.ReasonFailed, after, "%w", err)
	}
	return loop.Fail(imagev1.ReasonFailed, err)
}
