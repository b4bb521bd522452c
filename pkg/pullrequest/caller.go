package pullrequest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir.dev/pkg/creds"
)

const (
	maxAnswer    = 8 << 20 // 50 pull requests with all that is known of their repositories
	maxComplaint = 64 << 10
	maxRedirects = 5
	patience     = 30 * time.Second // for one request
)

// caller sends requests to the API of one host.
type caller struct {
	target Target
	access Access
	client *http.Client
	now    func() time.Time
}

func newCaller(t Target, a Access, transport http.RoundTripper) caller {
	return caller{
		target: t, access: a, now: time.Now,
		client: &http.Client{Transport: transport, CheckRedirect: sameHost},
	}
}

// sameHost follows the redirect of a question, which is how a host tells that something
// was renamed, and nobody to another host.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > maxRedirects || first.Method != http.MethodGet || req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// do sends one request, of which in is the body, and reads the answer into out. path is
// escaped already.
func (c caller) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
	defer cancel()
	req, err := c.request(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated:
		return c.read(ctx, res.Body, out)
	case http.StatusNoContent:
		if out == nil {
			return nil
		}
		return fmt.Errorf("%w: it is empty", ErrAnswer)
	default:
		body, err := io.ReadAll(io.LimitReader(res.Body, maxComplaint))
		if err != nil {
			body = nil // the status says enough
		}
		return refusal(c.target.kind, res, cut(c.hide(complaint(body)), maxWords), c.now())
	}
}

func (c caller) request(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	base := c.target.base
	whole := base.Scheme + "://" + base.Host + base.EscapedPath() + path
	if len(query) > 0 {
		whole += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, whole, body)
	if err != nil {
		return nil, fmt.Errorf("%w: the URL of the API", ErrInvalid)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "weir")
	if c.target.kind == GitHub {
		req.Header.Set("Accept", "application/vnd.github+json")
		req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	}
	c.access.login(c.target.kind, req)
	return req, nil
}

// read decodes an answer, if anybody wants to know it.
func (c caller) read(ctx context.Context, body io.Reader, out any) error {
	if out == nil {
		return nil
	}
	answer, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return c.explain(ctx, err)
	case len(answer) > maxAnswer:
		return fmt.Errorf("%w: it has more than %d bytes", ErrAnswer, maxAnswer)
	case json.Unmarshal(answer, out) != nil:
		// The reason may quote the answer.
		return fmt.Errorf("%w: it is not the JSON of %s: the API may be somewhere else", ErrAnswer, c.target.kind)
	}
	return nil
}

// explain leaves out of an error of net/http what differs from one time to the next, or
// what nobody is to see, and says why there was no time.
func (c caller) explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var ended x509.CertificateInvalidError
	var broken *net.OpError
	switch {
	case creds.RefusedByProxy(err):
		return fmt.Errorf("%w: the proxy refuses the user name and password", ErrUnavailable)
	case errors.As(err, &ended) && ended.Reason == x509.Expired:
		return fmt.Errorf("%w: its certificate is not valid now", ErrUnavailable) // the reason has the time
	case errors.As(err, &broken) && broken.Op != "dial":
		err = fmt.Errorf("%s: %w", broken.Op, broken.Err) // without our port
	}
	if said := err.Error(); c.hide(said) != said {
		return fmt.Errorf("%w: %s", ErrAnswer, c.hide(said)) // of an answer that is no HTTP, net/http quotes the start
	}
	return err
}

// hide takes what lets in out of what a host says.
func (c caller) hide(words string) string {
	token := c.access.Token.Reveal()
	basic := base64.StdEncoding.EncodeToString([]byte(c.access.Username.Reveal() + ":" + token))
	return strings.NewReplacer(token, "…", basic, "…").Replace(words)
}
