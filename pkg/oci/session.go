package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxRefusal bounds what is read of an answer that refuses.
const maxRefusal = 64 << 10

// Session is a login to one repository. Its methods may be called at the same time.
type Session struct {
	repo   Repository
	named  name.Repository
	access Access
	limits Limits
	now    func() time.Time
	wire   *http.Transport
	used   time.Time // guarded by the Client

	turn  chan struct{} // of who logs in: the others wait, as long as they may
	mu    sync.Mutex
	login *login
}

// login is what a handshake with the registry has brought.
type login struct{ client *http.Client }

// Repository returns what the session is with.
func (s *Session) Repository() Repository { return s.repo }

// String returns the repository: what else a Session has is nobody's to see.
func (s *Session) String() string { return s.repo.String() }

// GoString is String.
func (s *Session) GoString() string { return s.repo.String() }

// enter returns the login, and whether it was made for this.
func (s *Session) enter(ctx context.Context) (l *login, fresh bool, err error) {
	if l := s.known(); l != nil {
		return l, false, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, false, explain(ctx, ctx.Err(), false)
	}
	if l := s.known(); l != nil {
		return l, false, nil // somebody else's
	}
	scopes := []string{s.named.Scope(transport.PullScope)}
	rt, err := transport.NewWithContext(ctx, s.named.Registry, s.access.Login.authenticator(), agent{inner: s.wire, now: s.now}, scopes)
	if err != nil {
		return nil, false, explain(ctx, err, s.access.Login.Anonymous())
	}
	l = &login{client: &http.Client{Transport: rt, CheckRedirect: checkRedirect}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login = l
	return l, true, nil
}

// known returns the login, if there is one.
func (s *Session) known() *login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.login
}

// leave forgets a login that does not do any more.
func (s *Session) leave(l *login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.login == l {
		s.login = nil
	}
}

// ask sends a request about the repository. An answer that is an error has 200 neither,
// and is closed.
func (s *Session) ask(ctx context.Context, method string, u *url.URL, accept string) (*http.Response, error) {
	ctx, noted := withPatience(ctx)
	res, err := s.askLoggedIn(ctx, method, u, accept)
	return res, noted.explain(err)
}

// askLoggedIn is ask, which logs in first if need be.
func (s *Session) askLoggedIn(ctx context.Context, method string, u *url.URL, accept string) (*http.Response, error) {
	l, fresh, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	res, err := s.send(ctx, l, method, u, accept)
	if errors.Is(err, ErrUnauthorized) {
		// The registry may ask for another way to log in than it did before.
		s.leave(l)
		if fresh {
			return nil, err
		}
		if l, _, err = s.enter(ctx); err != nil {
			return nil, err
		}
		if res, err = s.send(ctx, l, method, u, accept); errors.Is(err, ErrUnauthorized) {
			s.leave(l)
		}
	}
	return res, err
}

// send is ask with a login, once.
func (s *Session) send(ctx context.Context, l *login, method string, u *url.URL, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: no request for %s can be made", ErrInvalidReference, s.repo)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := l.client.Do(req)
	if err != nil {
		return nil, explain(ctx, err, s.access.Login.Anonymous())
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res.StatusCode, refusalCode(res.Body), s.access.Login.Anonymous())
}

// refusalCode reads the code of a refusal, if it has one.
func refusalCode(body io.Reader) string {
	var said struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	text, err := io.ReadAll(io.LimitReader(body, maxRefusal))
	if err != nil || json.Unmarshal(text, &said) != nil || len(said.Errors) == 0 {
		return ""
	}
	return said.Errors[0].Code
}

// url returns the URL of something of the repository.
func (s *Session) url(kind, id string) *url.URL {
	return &url.URL{
		Scheme: s.named.Scheme(), Host: s.named.RegistryStr(),
		Path: strings.Join([]string{"/v2", s.named.RepositoryStr(), kind, id}, "/"),
	}
}

// read reads a whole answer, which must not exceed a limit.
func read(ctx context.Context, res *http.Response, limit int64, what string) ([]byte, error) {
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, explain(ctx, err, false))
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%w: %s exceeds the limit of %d bytes", ErrTooLarge, what, limit)
	}
	return text, nil
}

// agent says who asks, and notes when the answer says to ask again.
type agent struct {
	inner http.RoundTripper
	now   func() time.Time
}

func (a agent) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", userAgent)
	res, err := a.inner.RoundTrip(req)
	if err == nil {
		note(req.Context(), res, a.now())
	}
	return res, err
}
