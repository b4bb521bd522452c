package githubapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"weir.dev/pkg/creds"
)

// Errors that a caller may want to tell apart.
var (
	// ErrRefused: the API does not take the app for what it says.
	ErrRefused = errors.New("the GitHub API refuses the app")
	// ErrNotInstalled: there is no such installation of the app.
	ErrNotInstalled = errors.New("the GitHub App is not installed there")
	// ErrAnswer: the API answers with something else than a token.
	ErrAnswer = errors.New("unexpected answer of the GitHub API")
)

const (
	maxAnswer    = 1 << 20
	maxRedirects = 5
	patience     = 30 * time.Second
)

// Token lets in to what an installation may see, for a while.
type Token struct {
	Value creds.Hidden
	Ends  time.Time
	// Identity is who it is that comes in: the same for each token of an installation.
	Identity string
}

// Token asks the API for a token, at a time, through a proxy if there is one.
func (a App) Token(ctx context.Context, proxy creds.Proxy, now time.Time) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	assertion, err := a.assertion(now)
	if err != nil {
		return Token{}, err
	}
	transport := &http.Transport{
		Proxy:                 proxy.HTTP,
		DialContext:           (&net.Dialer{Timeout: patience}).DialContext,
		TLSClientConfig:       a.TLS.Config(),
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: patience,
	}
	defer transport.CloseIdleConnections() // the next token is wanted in an hour
	s := session{app: a, assertion: assertion, client: &http.Client{Transport: transport, CheckRedirect: sameHost}}
	installation := a.installation
	if installation == 0 {
		if installation, err = s.find(ctx); err != nil {
			return Token{}, err
		}
	}
	return s.token(ctx, installation)
}

// Git returns what lets in to the repositories of the installation, with a new token, until
// that ends.
func (a App) Git(ctx context.Context, proxy creds.Proxy, now time.Time) (creds.Git, time.Time, error) {
	token, err := a.Token(ctx, proxy, now)
	if err != nil {
		return creds.Git{}, time.Time{}, err
	}
	return creds.Git{Username: creds.Hide(Username), Password: token.Value, TLS: a.TLS, Identity: token.Identity}, token.Ends, nil
}

// sameHost follows a redirect of what was renamed, and nobody to another host.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || req.Method != http.MethodGet || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// session is the exchange with the API for one token.
type session struct {
	app       App
	assertion string
	client    *http.Client
}

// find looks up the installation of an owner, which is an organization or a user.
func (s session) find(ctx context.Context) (int64, error) {
	var found struct {
		ID int64 `json:"id"`
	}
	err := s.do(ctx, http.MethodGet, "/orgs/"+url.PathEscape(s.app.owner)+"/installation", &found)
	if errors.Is(err, ErrNotInstalled) {
		err = s.do(ctx, http.MethodGet, "/users/"+url.PathEscape(s.app.owner)+"/installation", &found)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("looking up the installation of %s for %q: %w", s.app, s.app.owner, err)
	case found.ID < 1:
		return 0, fmt.Errorf("looking up the installation of %s for %q: %w", s.app, s.app.owner, ErrAnswer)
	}
	return found.ID, nil
}

// token asks for a token of an installation.
func (s session) token(ctx context.Context, installation int64) (Token, error) {
	var given struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	id := strconv.FormatInt(installation, 10)
	err := s.do(ctx, http.MethodPost, "/app/installations/"+id+"/access_tokens", &given)
	if err == nil && (given.Token == "" || given.ExpiresAt.IsZero()) {
		err = fmt.Errorf("%w: it has no token", ErrAnswer)
	}
	if err != nil {
		return Token{}, fmt.Errorf("asking for a token of installation %s of %s: %w", id, s.app, err)
	}
	return Token{
		Value:    creds.Hide(given.Token),
		Ends:     given.ExpiresAt,
		Identity: fmt.Sprintf("github %s %d %s", s.app.base, s.app.id, id),
	}, nil
}

// do sends one request, and reads the answer into out.
func (s session) do(ctx context.Context, method, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.app.base+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.assertion)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "weir")
	res, err := s.client.Do(req)
	if err != nil {
		return explain(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated:
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrRefused
	case http.StatusNotFound:
		return ErrNotInstalled
	default:
		return fmt.Errorf("%w: HTTP status %d", ErrAnswer, res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: it is no JSON of the kind", ErrAnswer) // the reason may quote the token
	}
	return nil
}

// explain leaves the URL out, which the caller says in other words.
func explain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
