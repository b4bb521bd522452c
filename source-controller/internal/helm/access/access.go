// Package access reads how a HelmRepository is reached and as whom, from its spec and
// the Secrets that it names.
package access

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/creds/registry"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm/remote"
)

// Identities get credentials from clouds.
type Identities interface {
	Registry(ctx context.Context, provider string, o cloud.Object, address string, proxy creds.Proxy) (authn.Authenticator, error)
}

// Reader reads Secrets, and asks clouds.
type Reader struct {
	Secrets    client.Reader
	Identities Identities // is asked for the type "oci" only
}

// HTTP returns how the index and the charts of a repository are reached.
func (r Reader) HTTP(ctx context.Context, repo *sourcev1.HelmRepository) (remote.Access, error) {
	a := remote.Access{URL: repo.Spec.URL, PassCredentials: repo.Spec.PassCredentials}
	data, name, err := r.credentials(ctx, repo)
	if err != nil {
		return remote.Access{}, err
	}
	if a.Login, err = creds.NewBasic(data, name); err != nil {
		return remote.Access{}, err
	}
	a.TLS, err = r.tls(ctx, repo, data, name)
	return a, err
}

// OCI returns how a repository of a registry is reached, which is below the URL of a
// HelmRepository.
func (r Reader) OCI(ctx context.Context, repo *sourcev1.HelmRepository, charts oci.Repository) (oci.Access, error) {
	a := oci.Access{}
	data, name, err := r.credentials(ctx, repo)
	if err != nil {
		return oci.Access{}, err
	}
	if a.TLS, err = r.tls(ctx, repo, data, name); err != nil {
		return oci.Access{}, err
	}
	a.Insecure = repo.Spec.Insecure // plain HTTP, not a certificate that nobody vouches for
	keychain, err := keychain(data, name, charts.Registry())
	if err != nil {
		return oci.Access{}, err
	}
	if a.Login, err = oci.LoginFrom(ctx, keychain, charts); err != nil {
		return oci.Access{}, err
	}
	provider := repo.Spec.Provider
	if !a.Login.Anonymous() || provider == "" || provider == sourcev1.OCIProviderGeneric {
		return a, nil
	}
	object := cloud.Object{Kind: sourcev1.HelmRepositoryKind, Namespace: repo.Namespace, Name: repo.Name}
	who, err := r.Identities.Registry(ctx, string(provider), object, charts.String(), creds.Proxy{})
	if err != nil {
		return oci.Access{}, fmt.Errorf("failed to get credential from '%s': %w", provider, err)
	}
	a.Login, err = oci.LoginOf(ctx, who)
	return a, err
}

// keychain returns the credentials of a Secret in either form.
func keychain(data map[string][]byte, name, host string) (registry.Keychain, error) {
	login, err := creds.NewBasic(data, name)
	if err != nil {
		return nil, err
	}
	if !login.Empty() {
		return registry.Keychain{registry.ForHost(host, login)}, nil
	}
	if len(data[corev1.DockerConfigJsonKey]) == 0 {
		return nil, nil
	}
	config, err := registry.Parse(data, name)
	return registry.Keychain{config}, err
}

// tls returns whom to trust: what certSecretRef says, else what secretRef does, which
// is deprecated.
func (r Reader) tls(ctx context.Context, repo *sourcev1.HelmRepository, data map[string][]byte, name string) (creds.TLS, error) {
	if ref := repo.Spec.CertSecretRef; ref != nil {
		var err error
		if data, name, err = r.secret(ctx, repo, ref.Name); err != nil {
			return creds.TLS{}, err
		}
		return creds.NewTLS(data, name)
	}
	t, err := creds.NewTLS(data, name)
	if err == nil && !t.Empty() {
		log.FromContext(ctx).V(1).Info("TLS settings in secretRef are deprecated: use certSecretRef", "secret", name)
	}
	return t, err
}

// credentials reads the Secret of the spec, if it names one.
func (r Reader) credentials(ctx context.Context, repo *sourcev1.HelmRepository) (data map[string][]byte, name string, err error) {
	if repo.Spec.SecretRef == nil {
		return nil, "", nil
	}
	return r.secret(ctx, repo, repo.Spec.SecretRef.Name)
}

// secret reads a Secret beside the object.
func (r Reader) secret(ctx context.Context, repo *sourcev1.HelmRepository, name string) (map[string][]byte, string, error) {
	key := client.ObjectKey{Namespace: repo.Namespace, Name: name}
	var secret corev1.Secret
	if err := r.Secrets.Get(ctx, key, &secret); err != nil {
		return nil, "", fmt.Errorf("failed to get secret '%s': %w", key, err)
	}
	return secret.Data, key.String(), nil
}
