package gitrepository

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/loop"
)

// authenticate finds out where the remote is, and how to get in.
func (r *Reconciler) authenticate(ctx context.Context, s *scope) error {
	remote, err := r.access.Remote(ctx, r.secrets.For(s.repo), s.repo)
	if err != nil {
		return noAccess(err)
	}
	s.remote = remote
	s.objects = r.stores.For(s.remote) // a use of it, also if there is nothing to fetch
	return nil
}

// noAccess gives an error the reason that a condition has.
func noAccess(err error) error {
	var why *gitaccess.Error
	if !errors.As(err, &why) {
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	reason := sourcev1.ReasonAuthenticationFailed
	switch why.Kind {
	case gitaccess.URL:
		reason = sourcev1.ReasonURLInvalid
	case gitaccess.Provider:
		reason = sourcev1.ReasonInvalidProviderConfiguration
	case gitaccess.FeatureGate:
		reason = sourcev1.ReasonFeatureGateDisabled
	case gitaccess.Authentication:
	}
	if why.Final {
		return loop.Stall(reason, err)
	}
	return loop.Fail(reason, err)
}

// logLegacyKeys tells who asks for a run of keys of its Secret that are deprecated.
func logLegacyKeys(ctx context.Context, repo *sourcev1.GitRepository, secret string, keys []string) {
	if loop.Awaited(repo) {
		log.FromContext(ctx).Info("the secret has keys that are deprecated: use ca.crt, tls.crt and tls.key", "secret", secret, "keys", keys)
	}
}
