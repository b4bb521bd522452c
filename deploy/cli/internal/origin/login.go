package origin

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/githubapp"
)

// login gets credentials of short life as gitaccess asks for them: those of a GitHub App, of
// which a Secret has the key. What a cloud gives to the controllers it does not give to this
// machine, and the libraries for that would make the command twice as large.
type login struct{}

// GitHubApp implements gitaccess.Identities.
func (login) GitHubApp(ctx context.Context, _ creds.Asker, app githubapp.App, proxy creds.Proxy) (creds.Git, error) {
	g, _, err := app.Git(ctx, proxy, time.Now())
	g.Proxy = proxy
	return g, err
}

// Git implements gitaccess.Identities.
func (login) Git(_ context.Context, provider string, _ creds.Asker, _ *url.URL, _ creds.Proxy) (creds.Git, error) {
	return creds.Git{}, fmt.Errorf("the controllers log in by an identity that %s gives to them, and not to this machine", provider)
}

// Forget implements gitaccess.Identities.
func (login) Forget(creds.Asker) {}
