package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/creds/githubapp"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// schemeSSH is that of URLs that are logged in to by a key.
const schemeSSH = "ssh"

// authenticate finds out where the remote is, and how to get in.
func (r *Reconciler) authenticate(ctx context.Context, s *scope) error {
	u, err := git.ParseURL(s.repo.Spec.URL)
	if err != nil {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	c, err := r.credentials(ctx, s.repo, u)
	if err != nil {
		return err
	}
	s.remote, err = git.NewRemote(s.repo.Spec.URL, c)
	if err != nil {
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	s.objects = r.stores.For(s.remote) // a use of it, also if there is nothing to fetch
	return nil
}

// credentials returns how repo gets in to its remote.
func (r *Reconciler) credentials(ctx context.Context, repo *sourcev1.GitRepository, u *url.URL) (creds.Git, error) {
	proxy, err := r.proxy(ctx, repo)
	if err != nil {
		return creds.Git{}, err
	}
	switch repo.Spec.Provider {
	case sourcev1.GitProviderGitHub:
		return r.ofGitHubApp(ctx, repo, u, proxy)
	case sourcev1.GitProviderAWS, sourcev1.GitProviderAzure:
		return r.ofCloud(ctx, repo, u, proxy)
	default:
		c, err := r.ofSecret(ctx, repo, u)
		c.Proxy = proxy
		return c, err
	}
}

// proxy returns what the remote is reached through.
func (r *Reconciler) proxy(ctx context.Context, repo *sourcev1.GitRepository) (creds.Proxy, error) {
	if repo.Spec.ProxySecretRef == nil {
		return creds.Proxy{}, nil
	}
	data, name, err := r.secret(ctx, repo, repo.Spec.ProxySecretRef.Name)
	if err != nil {
		return creds.Proxy{}, err
	}
	proxy, err := creds.NewProxy(data, name)
	if err != nil {
		return creds.Proxy{}, loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	return proxy, nil
}

// ofSecret returns the credentials that are in the Secret as they are; none if none is
// named.
func (r *Reconciler) ofSecret(ctx context.Context, repo *sourcev1.GitRepository, u *url.URL) (creds.Git, error) {
	if repo.Spec.SecretRef == nil {
		return creds.Git{}, nil
	}
	data, name, err := r.secret(ctx, repo, repo.Spec.SecretRef.Name)
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
		return creds.Git{}, loop.Fail(sourcev1.ReasonInvalidProviderConfiguration, fmt.Errorf("%w, but spec.provider is not github", err))
	case err != nil:
		return creds.Git{}, loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	if keys := c.TLS.Legacy; len(keys) > 0 && source.Asked(repo) {
		log.FromContext(ctx).Info("the secret has keys that are deprecated: use ca.crt, tls.crt and tls.key", "secret", name, "keys", keys)
	}
	return c, nil
}

// ofGitHubApp returns a token of the app in the Secret.
func (r *Reconciler) ofGitHubApp(ctx context.Context, repo *sourcev1.GitRepository, u *url.URL, proxy creds.Proxy) (creds.Git, error) {
	if err := needsHTTP(repo, u); err != nil {
		return creds.Git{}, err
	}
	if repo.Spec.SecretRef == nil {
		return creds.Git{}, loop.Stall(sourcev1.ReasonInvalidProviderConfiguration, errors.New("secretRef with github app data must be specified when provider is set to github"))
	}
	data, name, err := r.secret(ctx, repo, repo.Spec.SecretRef.Name)
	if err != nil {
		return creds.Git{}, err
	}
	app, err := githubapp.New(data, name)
	if err != nil {
		return creds.Git{}, loop.Fail(sourcev1.ReasonInvalidProviderConfiguration, err)
	}
	c, err := r.identities.GitHubApp(ctx, asker(repo), app, proxy)
	if err != nil {
		return creds.Git{}, loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	return c, nil
}

// ofCloud returns credentials of short life of the object's identity. What the Secret
// has of authorities and certificates goes with them.
func (r *Reconciler) ofCloud(ctx context.Context, repo *sourcev1.GitRepository, u *url.URL, proxy creds.Proxy) (creds.Git, error) {
	if err := needsHTTP(repo, u); err != nil {
		return creds.Git{}, err
	}
	secret, err := r.ofSecret(ctx, repo, u)
	if err != nil {
		return creds.Git{}, err
	}
	c, err := r.identities.Git(ctx, string(repo.Spec.Provider), asker(repo), u, proxy)
	switch {
	case errors.Is(err, cloud.ErrGateDisabled):
		return creds.Git{}, loop.Stall(sourcev1.ReasonFeatureGateDisabled, err)
	case err != nil:
		return creds.Git{}, loop.Fail(sourcev1.ReasonAuthenticationFailed, fmt.Errorf("failed to get credential from %s: %w", repo.Spec.Provider, err))
	}
	c.TLS = secret.TLS
	return c, nil
}

// needsHTTP refuses URLs to which no token can be taken.
func needsHTTP(repo *sourcev1.GitRepository, u *url.URL) error {
	if u.Scheme == schemeSSH {
		return loop.Stall(sourcev1.ReasonInvalidProviderConfiguration, fmt.Errorf("the provider %s needs an https URL", repo.Spec.Provider))
	}
	return nil
}

// asker is repo as one that asks for credentials.
func asker(repo *sourcev1.GitRepository) cloud.Object {
	return cloud.Object{
		Kind: sourcev1.GitRepositoryKind, Namespace: repo.Namespace, Name: repo.Name,
		ServiceAccount: repo.Spec.ServiceAccountName,
	}
}

// secret returns the data of a Secret beside repo, and how errors name it.
func (r *Reconciler) secret(ctx context.Context, repo *sourcev1.GitRepository, name string) (map[string][]byte, string, error) {
	key := client.ObjectKey{Namespace: repo.Namespace, Name: name}
	var secret corev1.Secret
	if err := r.secrets.For(repo).Get(ctx, key, &secret); err != nil {
		return nil, "", loop.Fail(sourcev1.ReasonAuthenticationFailed, fmt.Errorf("failed to get secret '%s': %w", key, err))
	}
	return secret.Data, key.String(), nil
}
