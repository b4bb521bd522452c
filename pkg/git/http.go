package git

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	refsPath    = "/info/refs"
	uploadPack  = "git-upload-pack"  // what is fetched from
	receivePack = "git-receive-pack" // what is pushed to
	userAgent   = "git/weir"         // some servers answer only to an agent that begins with git/
	maxRedirect = 5
)

// dialHTTP asks for the refs over http or https. A redirect of this first request
// is followed, and moves the rest of the exchange with it, as git does.
func (c *Client) dialHTTP(ctx context.Context, r *Remote, service string, read func(io.Reader) error) (exchange, error) {
	client := &http.Client{Transport: c.transports.of(r.creds), CheckRedirect: r.checkRedirect}
	h := &httpExchange{remote: r, service: service, base: *r.url, client: client}
	trimPath(&h.base, "/")

	ask := below(h.base, refsPath)
	ask.RawQuery = "service=" + service
	res, err := h.do(ctx, http.MethodGet, ask, nil)
	if err != nil {
		return exchange{}, err
	}
	defer res.Body.Close()
	if want := "application/x-" + service + "-advertisement"; res.Header.Get("Content-Type") != want {
		return exchange{}, fmt.Errorf("%w: %s is served as %q, so this is no smart-HTTP Git repository", ErrProtocol, h.remote, res.Header.Get("Content-Type"))
	}
	if err := read(res.Body); err != nil {
		return exchange{}, err
	}
	drain(res.Body)
	h.base = *res.Request.URL
	h.base.RawQuery = ""
	trimPath(&h.base, refsPath)
	// Later requests must go where the refs came from.
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return exchange{request: h.post, close: func() error { return nil }, explain: func(err error) error { return err }}, nil
}

// drain reads the end of a body of which everything that counts was read. Otherwise
// the connection could not be used for the next request.
func drain(body io.Reader) {
	const most = 1 << 10
	_, _ = io.CopyN(io.Discard, body, most) // whatever it is, nobody needs it
}

// below returns the URL with more of a path. A slash that the path has in an escaped
// form is not one that separates.
func below(u url.URL, path string) *url.URL {
	u.Path += path
	if u.RawPath != "" {
		u.RawPath += path
	}
	return &u
}

// trimPath is the reverse of below.
func trimPath(u *url.URL, path string) {
	u.Path = strings.TrimSuffix(u.Path, path)
	u.RawPath = strings.TrimSuffix(u.RawPath, path)
}

// httpExchange is an exchange over HTTP.
type httpExchange struct {
	remote  *Remote
	service string
	base    url.URL
	client  *http.Client
}

// post sends a request for a pack, or with one.
func (h *httpExchange) post(ctx context.Context, body []byte) (io.ReadCloser, error) {
	res, err := h.do(ctx, http.MethodPost, below(h.base, "/"+h.service), body)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// do sends one request with the credentials and turns refusals into errors.
func (h *httpExchange) do(ctx context.Context, method string, u *url.URL, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrInvalidURL, h.remote)
	}
	req.Header.Set("User-Agent", userAgent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-"+h.service+"-request")
		req.Header.Set("Accept", "application/x-"+h.service+"-result")
	}
	switch c := h.remote.creds; {
	case !c.BearerToken.Empty():
		req.Header.Set("Authorization", "Bearer "+c.BearerToken.Reveal())
	case !c.Username.Empty() || !c.Password.Empty():
		req.SetBasicAuth(c.Username.Reveal(), c.Password.Reveal())
	}
	res, err := h.client.Do(req)
	if err != nil {
		return nil, h.explain(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	res.Body.Close()
	return nil, h.refusal(res.StatusCode)
}

// refusal turns a status into an error.
func (h *httpExchange) refusal(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if h.remote.creds.Anonymous() {
			return fmt.Errorf("%s: %w: it wants credentials, and none are given", h.remote, ErrUnauthorized)
		}
		if h.service == receivePack && status == http.StatusForbidden {
			return fmt.Errorf("%s: %w: it does not let these credentials push", h.remote, ErrUnauthorized)
		}
		return fmt.Errorf("%s: %w: it refuses the credentials", h.remote, ErrUnauthorized)
	case http.StatusProxyAuthRequired:
		return h.remote.refusedByProxy()
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%s: %w", h.remote, ErrNotFound)
	default:
		return fmt.Errorf("%s: %w: HTTP status %d %s", h.remote, ErrProtocol, status, http.StatusText(status))
	}
}

// explain strips the URL from an error of net/http, and marks distrust, that of the
// remote too.
func (h *httpExchange) explain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var ended x509.CertificateInvalidError
	var alert *net.OpError
	switch {
	case creds.RefusedByProxy(err):
		return h.remote.refusedByProxy()
	case errors.As(err, &ended) && ended.Reason == x509.Expired && ended.Cert != nil:
		// The error has the current time, with which it would be another each time.
		return fmt.Errorf("%s: %w: %s", h.remote, ErrUntrusted, outOfDate(ended.Cert))
	case errors.As(err, &invalid), errors.As(err, &unknown):
		return fmt.Errorf("%s: %w: %w", h.remote, ErrUntrusted, err)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return fmt.Errorf("%s: %w: %s: %w", h.remote, ErrUnauthorized, h.remote.refusedCertificate(time.Now()), alert.Err)
	default:
		return fmt.Errorf("asking %s: %w", h.remote, err)
	}
}

// refusedByProxy is the error of what the proxy does not let through.
func (r *Remote) refusedByProxy() error {
	return fmt.Errorf("%s: %w: the proxy %s refuses the user name and password", r, ErrUnauthorized, r.creds.Proxy)
}

// outOfDate says when a certificate is valid.
func outOfDate(cert *x509.Certificate) string {
	return fmt.Sprintf("its certificate is valid from %s to %s only", cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
}

// refusedCertificate says what of the client's side of a TLS handshake may be wrong.
func (r *Remote) refusedCertificate(now time.Time) string {
	if end, expired := r.creds.TLS.Expired(now); expired {
		return "the client certificate has expired, at " + end.UTC().Format(time.RFC3339)
	}
	if r.creds.TLS.Certificate() {
		return "it refuses the client certificate"
	}
	return "it wants a client certificate, and none is given"
}

// checkRedirect lets a redirect pass unless it would carry credentials to another
// host, or leave encryption.
func (r *Remote) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirect {
		return fmt.Errorf("%w: more than %d redirects", ErrProtocol, maxRedirect)
	}
	if !strings.HasSuffix(req.URL.Path, refsPath) {
		return fmt.Errorf("%w: redirected to %s, which is no Git repository", ErrProtocol, req.URL.Host)
	}
	first := via[0].URL
	if req.URL.Host != first.Host && !r.creds.Anonymous() {
		return fmt.Errorf("%w: redirected to host %q, which must not see the credentials for %q: change spec.url", ErrUntrusted, req.URL.Host, first.Host)
	}
	if first.Scheme == schemeHTTPS && req.URL.Scheme != schemeHTTPS {
		return fmt.Errorf("%w: redirected from https to %s", ErrUntrusted, req.URL.Scheme)
	}
	return nil
}
