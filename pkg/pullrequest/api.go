package pullrequest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// API is how a host is asked about other things than pull requests, with the same care:
// answers have a limit, no redirect leads to another host, and errors tell neither tokens
// nor what differs from one time to the next.
type API struct {
	caller
	need string
}

// NewAPI returns the API of a kind of host that is at base, without a slash at its end, to
// be asked through transport. need is what the token must be allowed to do; errors name it
// where the host says no.
func NewAPI(kind Kind, base *url.URL, a Access, need string, transport http.RoundTripper) (*API, error) {
	t := Target{kind: kind, base: *base}
	if a.Token.Empty() {
		return nil, fmt.Errorf("%w %s", ErrNoToken, base.Host)
	}
	return &API{caller: newCaller(t, a, transport), need: need}, nil
}

// Do sends one request, of which in is the body unless it is nil, and reads the answer
// into out unless that is nil. path is escaped already. An error is one of the sentinels
// of this package, or of the connection.
func (a *API) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return a.withNeed(a.do(ctx, method, path, query, in, out))
}

// withNeed names what the token needs for what was asked, in place of what pull requests
// need.
func (a *API) withNeed(err error) error {
	answer, ok := err.(*answerError) //nolint:errorlint // which do returns as it is
	if !ok {
		return err
	}
	answer.advice = strings.ReplaceAll(answer.advice, a.target.kind.permission(), a.need)
	return answer
}

// Base returns the base URL of a host's API, by that of its pages.
func (k Kind) Base(pages *url.URL) *url.URL {
	base, _ := derive(k, url.URL{Scheme: pages.Scheme, Host: strings.ToLower(pages.Host)}, nil, true)
	base.Path = strings.TrimSuffix(pages.Path, "/") + base.Path
	return &base
}
