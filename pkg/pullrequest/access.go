package pullrequest

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"weir.dev/pkg/creds"
)

// secretKey is that of the token in a Secret that SecretAnnotation names.
const secretKey = "token"

// Access is how to get in to an API.
type Access struct {
	Username creds.Hidden // goes with a password where one is accepted; else empty
	Token    creds.Hidden
	TLS      creds.TLS
	Proxy    creds.Proxy
}

// String hides the token.
func (a Access) String() string { return "access to an API" }

// GoString hides the token.
func (a Access) GoString() string { return "pullrequest.Access{…}" }

// FromGit returns the Git credentials as those of the API, or those that the URL of the
// remote has if there are none. They go to the host of the
// Git remote only: an automation that names another one cannot have them sent there.
func FromGit(t Target, c creds.Git) (Access, error) {
	switch {
	case c.SSH != nil:
		return Access{}, fmt.Errorf("%w: an SSH key is no token: name a Secret that has one in the annotation %s", ErrNoToken, SecretAnnotation)
	case !t.ours:
		return Access{}, fmt.Errorf("%w: the API that %s names is not at the host of the Git remote, which alone may see the Git credentials: name a Secret with a token in the annotation %s", ErrNoToken, APIAnnotation, SecretAnnotation)
	}
	a := Access{Username: c.Username, Token: c.Password, TLS: c.TLS, Proxy: c.Proxy}
	switch {
	case !c.BearerToken.Empty():
		a.Username, a.Token = creds.Hidden{}, c.BearerToken
	case !c.LogsIn():
		a.Username, a.Token = t.username, t.password
	}
	if a.Token.Empty() {
		return Access{}, fmt.Errorf("%w: the GitRepository has no password or token: name a Secret with a token in the annotation %s", ErrNoToken, SecretAnnotation)
	}
	return a, nil
}

// FromSecret reads the data of a Secret that SecretAnnotation names: token, and
// optionally what creds.NewTLS reads. secret names the Secret in errors.
func FromSecret(data map[string][]byte, secret string, proxy creds.Proxy) (Access, error) {
	token := strings.TrimSpace(string(data[secretKey]))
	switch {
	case token == "":
		return Access{}, fmt.Errorf("%w: secret '%s' has no key %q", ErrNoToken, secret, secretKey)
	case strings.ContainsFunc(token, unfit):
		return Access{}, fmt.Errorf("%w: secret '%s': the value of %q has a line break or something else that no token has", ErrNoToken, secret, secretKey)
	}
	tls, err := creds.NewTLS(data, secret)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrNoToken, err)
	}
	return Access{Token: creds.Hide(token), TLS: tls, Proxy: proxy}, nil
}

// Transport returns a transport by which the API is reached. Whoever made it closes its
// idle connections.
func (a Access) Transport() *http.Transport {
	return &http.Transport{
		Proxy:                 a.Proxy.HTTP,
		DialContext:           (&net.Dialer{Timeout: patience}).DialContext,
		TLSClientConfig:       a.TLS.Config(),
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   1,
		IdleConnTimeout:       patience,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: patience,
	}
}

// login adds to a request what the host knows its user by.
func (a Access) login(kind Kind, req *http.Request) {
	token := a.Token.Reveal()
	switch {
	case kind != Gitea:
		req.Header.Set("Authorization", "Bearer "+token)
	case !a.Username.Empty():
		req.SetBasicAuth(a.Username.Reveal(), token) // takes a password as well as a token
	default:
		req.Header.Set("Authorization", "token "+token)
	}
}
