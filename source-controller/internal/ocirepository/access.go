package ocirepository

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/ociaccess"
)

// missingLogin returns what is told besides of a failure that comes from a Secret with
// credentials that is not there.
func missingLogin(repo *sourcev1.OCIRepository, err error) (trace string, ok bool) {
	var unread *ociaccess.SecretError
	if ref := repo.Spec.SecretRef; ref == nil || !errors.As(err, &unread) || !apierrors.IsNotFound(err) || unread.Name != ref.Name {
		return "", false
	}
	return fmt.Sprintf("auth secret '%s' not found", unread.Name), true
}

// authenticate reads the URL, and the Secrets that say how to reach the registry and as
// whom.
func (r *Reconciler) authenticate(ctx context.Context, s *scope) error {
	spec := s.repo.Spec
	repo, err := oci.ParseURL(spec.URL)
	if err != nil {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	if usesCloud(spec) && spec.ServiceAccountName != "" {
		if _, err := r.identities.ServiceAccount(identityOf(s.repo)); errors.Is(err, cloud.ErrGateDisabled) {
			return loop.Stall(sourcev1.ReasonFeatureGateDisabled, err)
		}
	}
	access := oci.Access{Insecure: spec.Insecure}
	secrets := ociaccess.Reader{Client: r.secrets.For(s.repo), Namespace: s.repo.Namespace}
	keychain, err := secrets.Keychain(ctx, spec.SecretRef, spec.ServiceAccountName)
	if err == nil {
		access.Login, err = oci.LoginFrom(ctx, keychain, repo)
	}
	if err != nil {
		return refused("failed to get credential", err)
	}
	if access.Proxy, err = secrets.Proxy(ctx, spec.ProxySecretRef); err != nil {
		return refused("failed to get proxy address", err)
	}
	if access.Login.Anonymous() && usesCloud(spec) {
		who, err := r.identities.Registry(ctx, string(spec.Provider), identityOf(s.repo), repo.String(), access.Proxy)
		if err == nil {
			access.Login, err = oci.LoginOf(ctx, who)
		}
		if err != nil {
			return refused("failed to get credential from "+string(spec.Provider), err)
		}
	}
	if access.TLS, err = secrets.TLS(ctx, spec.CertSecretRef); err != nil {
		return refused(fmt.Sprintf("failed to generate transport for '%s'", spec.URL), err)
	}
	access.Unverified = spec.Insecure && access.TLS.Empty()
	if s.session, err = r.registries.Session(repo, access); err != nil {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	return nil
}

// refused says that there is no way in to a registry.
func refused(what string, err error) error {
	return loop.Fail(sourcev1.ReasonAuthenticationFailed, fmt.Errorf("%s: %w", what, err))
}

// usesCloud reports whether credentials come from a cloud where the Secrets have none.
func usesCloud(spec sourcev1.OCIRepositorySpec) bool {
	return spec.Provider != "" && spec.Provider != sourcev1.OCIProviderGeneric
}

// identityOf returns whose credentials a cloud is asked for.
func identityOf(repo *sourcev1.OCIRepository) cloud.Object {
	return cloud.Object{
		Kind: sourcev1.OCIRepositoryKind, Namespace: repo.Namespace, Name: repo.Name, ServiceAccount: repo.Spec.ServiceAccountName,
	}
}
