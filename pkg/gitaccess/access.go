// Package gitaccess finds out how a GitRepository gets in to its remote: by Secrets, a
// GitHub App or the identity of a cloud, and through which proxy. Whoever fetches from
// the remote, or pushes to it, gets in the same way.
//
// Secrets are read in the namespace of the GitRepository, by the reader that the caller
// brings. Nothing is asked of the remote itself. Errors have a Kind, for which each
// controller has reasons of its own.
package gitaccess

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/githubapp"
	"weir.dev/pkg/git"
)

// schemeSSH is that of URLs that are logged in to by a key.
const schemeSSH = "ssh"

// Access gets credentials for GitRepository objects.
type Access struct {
	// Legacy, if not nil, is told of keys of a Secret that are deprecated.
	Legacy func(ctx context.Context, repo *sourcev1.GitRepository, secret string, keys []string)

	identities Identities
}

// Identities get credentials of short life, as package cloud does, which links the
// libraries of the clouds.
type Identities interface {
	// Git returns the credentials of an object for a remote of a cloud.
	Git(ctx context.Context, provider string, o creds.Asker, u *url.URL, proxy creds.Proxy) (creds.Git, error)
	// GitHubApp returns those of an installation of a GitHub App.
	GitHubApp(ctx context.Context, o creds.Asker, app githubapp.App, proxy creds.Proxy) (creds.Git, error)
	// Forget drops what is kept for an object.
	Forget(o creds.Asker)
}

// New returns an Access that gets tokens from identities.
func New(identities Identities) *Access { return &Access{identities: identities} }

// Remote returns the remote of repo, and how to get in. Its errors are of type *Error.
func (a *Access) Remote(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository) (*git.Remote, error) {
	u, err := git.ParseURL(repo.Spec.URL)
	if err != nil {
		return nil, final(URL, err)
	}
	c, err := a.credentials(ctx, read, repo, u)
	if err != nil {
		return nil, err
	}
	remote, err := git.NewRemote(repo.Spec.URL, c)
	if err != nil {
		return nil, failed(Authentication, err)
	}
	return remote, nil
}

// Credentials returns how repo gets in to its remote, for what is at the same host. Its
// errors are of type *Error.
func (a *Access) Credentials(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository) (creds.Git, error) {
	u, err := git.ParseURL(repo.Spec.URL)
	if err != nil {
		return creds.Git{}, final(URL, err)
	}
	return a.credentials(ctx, read, repo, u)
}

// Forget drops what is kept for repo, which is gone.
func (a *Access) Forget(repo *sourcev1.GitRepository) { a.identities.Forget(asker(repo)) }

// credentials returns how repo gets in to its remote.
func (a *Access) credentials(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository, u *url.URL) (creds.Git, error) {
	proxy, err := proxyOf(ctx, read, repo)
	if err != nil {
		return creds.Git{}, err
	}
	switch repo.Spec.Provider {
	case sourcev1.GitProviderGitHub:
		return a.ofGitHubApp(ctx, read, repo, u, proxy)
	case sourcev1.GitProviderAWS, sourcev1.GitProviderAzure:
		return a.ofCloud(ctx, read, repo, u, proxy)
	default:
		c, err := a.ofSecret(ctx, read, repo, u)
		c.Proxy = proxy
		return c, err
	}
}

// proxyOf returns what the remote is reached through.
func proxyOf(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository) (creds.Proxy, error) {
	if repo.Spec.ProxySecretRef == nil {
		return creds.Proxy{}, nil
	}
	data, name, err := secret(ctx, read, repo, repo.Spec.ProxySecretRef.Name)
	if err != nil {
		return creds.Proxy{}, err
	}
	proxy, err := creds.NewProxy(data, name)
	if err != nil {
		return creds.Proxy{}, failed(Authentication, err)
	}
	return proxy, nil
}

// ofSecret returns the credentials that are in the Secret as they are; none if none is
// named.
func (a *Access) ofSecret(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository, u *url.URL) (creds.Git, error) {
	if repo.Spec.SecretRef == nil {
		return creds.Git{}, nil
	}
	data, name, err := secret(ctx, read, repo, repo.Spec.SecretRef.Name)
	if err != nil {
		return creds.Git{}, err
	}
	var c creds.Git
	if u.Scheme == schemeSSH {
		c, err = creds.GitSSH(data, name)
	} else {
		c, err = creds.GitHTTP(data, name)
	}
	switch {
	case errors.Is(err, creds.ErrGitHubApp):
		return creds.Git{}, failed(Provider, fmt.Errorf("%w, but spec.provider is not github", err))
	case err != nil:
		return creds.Git{}, failed(Authentication, err)
	}
	if keys := c.TLS.Legacy; len(keys) > 0 && a.Legacy != nil {
		a.Legacy(ctx, repo, name, keys)
	}
	return c, nil
}

// ofGitHubApp returns a token of the app in the Secret.
func (a *Access) ofGitHubApp(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository, u *url.URL, proxy creds.Proxy) (creds.Git, error) {
	if err := needsHTTP(repo, u); err != nil {
		return creds.Git{}, err
	}
	if repo.Spec.SecretRef == nil {
		return creds.Git{}, final(Provider, errors.New("secretRef with github app data must be specified when provider is set to github"))
	}
	data, name, err := secret(ctx, read, repo, repo.Spec.SecretRef.Name)
	if err != nil {
		return creds.Git{}, err
	}
	app, err := githubapp.New(data, name)
	if err != nil {
		return creds.Git{}, failed(Provider, err)
	}
	c, err := a.identities.GitHubApp(ctx, asker(repo), app, proxy)
	if err != nil {
		return creds.Git{}, failed(Authentication, err)
	}
	return c, nil
}

// ofCloud returns credentials of short life of the object's identity. What the Secret
// has of authorities and certificates goes with them.
func (a *Access) ofCloud(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository, u *url.URL, proxy creds.Proxy) (creds.Git, error) {
	if err := needsHTTP(repo, u); err != nil {
		return creds.Git{}, err
	}
	fromSecret, err := a.ofSecret(ctx, read, repo, u)
	if err != nil {
		return creds.Git{}, err
	}
	c, err := a.identities.Git(ctx, string(repo.Spec.Provider), asker(repo), u, proxy)
	switch {
	case errors.Is(err, creds.ErrGateDisabled):
		return creds.Git{}, final(FeatureGate, err)
	case err != nil:
		return creds.Git{}, failed(Authentication, fmt.Errorf("failed to get credential from %s: %w", repo.Spec.Provider, err))
	}
	c.TLS = fromSecret.TLS
	return c, nil
}

// needsHTTP refuses URLs to which no token can be taken.
func needsHTTP(repo *sourcev1.GitRepository, u *url.URL) error {
	if u.Scheme == schemeSSH {
		return final(Provider, fmt.Errorf("the provider %s needs an https URL", repo.Spec.Provider))
	}
	return nil
}

// asker is repo as one that asks for credentials.
func asker(repo *sourcev1.GitRepository) creds.Asker {
	return creds.Asker{
		Kind: sourcev1.GitRepositoryKind, Namespace: repo.Namespace, Name: repo.Name,
		ServiceAccount: repo.Spec.ServiceAccountName,
	}
}

// secret returns the data of a Secret beside repo, and how errors name it.
func secret(ctx context.Context, read client.Reader, repo *sourcev1.GitRepository, name string) (map[string][]byte, string, error) {
	key := client.ObjectKey{Namespace: repo.Namespace, Name: name}
	var s corev1.Secret
	if err := read.Get(ctx, key, &s); err != nil {
		return nil, "", failed(Authentication, fmt.Errorf("failed to get secret '%s': %w", key, err))
	}
	return s.Data, key.String(), nil
}
