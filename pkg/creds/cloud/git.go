package cloud

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/fluxcd/pkg/auth"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/githubapp"
)

// Git returns the credentials of an object for a Git remote of AWS CodeCommit or Azure
// DevOps, which is reached through the proxy.
func (i *Identities) Git(ctx context.Context, provider string, o Object, u *url.URL, proxy creds.Proxy) (creds.Git, error) {
	var p auth.GitCredentialsProvider
	switch provider {
	case AWS:
		p = i.aws
	case Azure:
		p = i.azure
	default:
		return creds.Git{}, fmt.Errorf("git by %q: %w", provider, ErrProvider)
	}
	id, err := i.identify(ctx, provider, o, proxy)
	if err != nil {
		return creds.Git{}, err
	}
	bare := *u
	bare.User = nil
	if err := checkHost(provider, id, &bare); err != nil {
		return creds.Git{}, err
	}
	input, err := p.ParseGitRepository(&bare)
	if err != nil {
		return creds.Git{}, err
	}
	key := digest("git", id.key, input, proxy.Fingerprint())
	g, err := kept(ctx, i.tokens, o, key, func(ctx context.Context) (creds.Git, time.Time, error) {
		given, err := auth.GetGitCredentials(ctx, p, append(id.opts, auth.WithGitURL(bare))...)
		if err != nil {
			return creds.Git{}, time.Time{}, stable(err)
		}
		return creds.Git{
			Username: creds.Hide(given.Username), Password: creds.Hide(given.Password), BearerToken: creds.Hide(given.BearerToken),
			Identity: id.key,
		}, given.ExpiresAt, nil
	})
	g.Proxy = proxy
	return g, err
}

// checkHost refuses to send a token of the controller to whatever host an object names:
// the library looks at that for AWS only.
func checkHost(provider string, id identity, u *url.URL) error {
	if provider != Azure || !id.controller {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	if u.Scheme == "https" && (host == "dev.azure.com" || strings.HasSuffix(host, ".visualstudio.com")) {
		return nil
	}
	return fmt.Errorf("the controller's identity is not shown to %q: Azure DevOps is at https://dev.azure.com", u.Host)
}

// GitHubApp returns the credentials of an installation of a GitHub App.
func (i *Identities) GitHubApp(ctx context.Context, o Object, app githubapp.App, proxy creds.Proxy) (creds.Git, error) {
	key := digest("github", app.Fingerprint(), proxy.Fingerprint())
	g, err := kept(ctx, i.tokens, o, key, func(ctx context.Context) (creds.Git, time.Time, error) {
		return app.Git(ctx, proxy, time.Now())
	})
	g.Proxy = proxy
	return g, err
}
