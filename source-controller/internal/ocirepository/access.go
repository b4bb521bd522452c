package ocirepository

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/creds/registry"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

// missingSecretError: the Secret with the credentials is not there.
type missingSecretError struct {
	name string
	err  error
}

func (e *missingSecretError) Error() string { return e.err.Error() }
func (e *missingSecretError) Unwrap() error { return e.err }

// trace is what is told of it besides.
func (e *missingSecretError) trace() string { return fmt.Sprintf("auth secret '%s' not found", e.name) }

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
	keychain, err := r.keychain(ctx, s.repo)
	if err == nil {
		access.Login, err = oci.LoginFrom(ctx, keychain, repo)
	}
	if err != nil {
		return refused("failed to get credential", err)
	}
	if access.Proxy, err = r.proxy(ctx, s.repo); err != nil {
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
	if access.TLS, err = r.tls(ctx, s.repo); err != nil {
		return refused(fmt.Sprintf("failed to generate transport for '%s'", spec.URL), err)
	}
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

// keychain returns the credentials of the Secrets: those of the spec before those of
// its ServiceAccount.
func (r *Reconciler) keychain(ctx context.Context, repo *sourcev1.OCIRepository) (registry.Keychain, error) {
	var names []string
	if ref := repo.Spec.SecretRef; ref != nil {
		names = append(names, ref.Name)
	}
	if name := repo.Spec.ServiceAccountName; name != "" {
		key := client.ObjectKey{Namespace: repo.Namespace, Name: name}
		var account corev1.ServiceAccount
		if err := r.secrets.For(repo).Get(ctx, key, &account); err != nil {
			return nil, fmt.Errorf("failed to get service account '%s': %w", key, err)
		}
		for _, ref := range account.ImagePullSecrets {
			names = append(names, ref.Name)
		}
	}
	var keychain registry.Keychain
	for _, name := range names {
		data, err := r.secret(ctx, repo, name)
		if err != nil {
			return nil, err
		}
		config, err := registry.Parse(data, repo.Namespace+"/"+name)
		if err != nil {
			return nil, err
		}
		keychain = append(keychain, config)
	}
	return keychain, nil
}

// proxy returns the proxy of the spec, or that of the environment.
func (r *Reconciler) proxy(ctx context.Context, repo *sourcev1.OCIRepository) (creds.Proxy, error) {
	return fromSecret(ctx, r, repo, repo.Spec.ProxySecretRef, creds.NewProxy)
}

// tls returns whom to trust.
func (r *Reconciler) tls(ctx context.Context, repo *sourcev1.OCIRepository) (creds.TLS, error) {
	return fromSecret(ctx, r, repo, repo.Spec.CertSecretRef, creds.NewTLS)
}

// fromSecret reads what a Secret has, if one is named.
func fromSecret[T any](
	ctx context.Context, r *Reconciler, repo *sourcev1.OCIRepository, ref *meta.LocalObjectReference,
	read func(data map[string][]byte, secret string) (T, error),
) (T, error) {
	var none T
	if ref == nil {
		return none, nil
	}
	data, err := r.secret(ctx, repo, ref.Name)
	if err != nil {
		return none, err
	}
	return read(data, repo.Namespace+"/"+ref.Name)
}

// secret reads the data of a Secret beside the object.
func (r *Reconciler) secret(ctx context.Context, repo *sourcev1.OCIRepository, name string) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: repo.Namespace, Name: name}
	var secret corev1.Secret
	if err := r.secrets.For(repo).Get(ctx, key, &secret); err != nil {
		err = fmt.Errorf("failed to get secret '%s': %w", key, err)
		if ref := repo.Spec.SecretRef; apierrors.IsNotFound(err) && ref != nil && ref.Name == name {
			return nil, &missingSecretError{name: name, err: err}
		}
		return nil, err
	}
	return secret.Data, nil
}
