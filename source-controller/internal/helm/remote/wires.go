package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"weir.dev/pkg/creds"
)

const (
	// wireIdle is how long connections are kept that nobody uses.
	wireIdle  = 90 * time.Second
	maxHeader = 1 << 20
	maxError  = 300 // bytes of an error that others worded
)

// Wires keep connections, so that a look at a repository need not begin with a
// handshake. One for a process will do. The zero value is ready to use.
type Wires struct {
	mu     sync.Mutex
	byTLS  map[string]*wire
	sweeps time.Time
}

// wire is what requests with the same settings use.
type wire struct {
	*http.Transport
	used time.Time
}

// pair returns what carries requests to the host that the settings are for, and to
// others, which see no certificate of ours.
func (w *Wires) pair(settings creds.TLS) (own, others http.RoundTripper) {
	own = w.get(settings)
	if !settings.Certificate() {
		return own, own
	}
	return own, w.get(creds.TLS{CA: settings.CA})
}

func (w *Wires) get(settings creds.TLS) *http.Transport {
	key := settings.Fingerprint()
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.sweep(now)
	if known := w.byTLS[key]; known != nil {
		known.used = now
		return known.Transport
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:        settings.Config(),
		TLSHandshakeTimeout:    30 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        wireIdle,
		MaxResponseHeaderBytes: maxHeader,
	}
	if w.byTLS == nil {
		w.byTLS = make(map[string]*wire)
	}
	w.byTLS[key] = &wire{Transport: t, used: now}
	return t
}

// sweep forgets what was not used for long: a Secret may have changed since.
func (w *Wires) sweep(now time.Time) {
	if now.Sub(w.sweeps) < wireIdle {
		return
	}
	w.sweeps = now
	for key, known := range w.byTLS {
		if now.Sub(known.used) > time.Hour {
			known.CloseIdleConnections()
			delete(w.byTLS, key)
		}
	}
}

// guard shows credentials to one host. It sets them below the client that follows
// redirects, which so has none to carry elsewhere.
type guard struct {
	known       string // origin
	login       creds.Basic
	own, others http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if origin(req.URL) != g.known {
		return g.others.RoundTrip(req)
	}
	if !g.login.Empty() {
		req = req.Clone(req.Context())
		req.SetBasicAuth(g.login.Username.Reveal(), g.login.Password.Reveal())
	}
	return g.own.RoundTrip(req)
}

// origin is whom a request goes to.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// checkRedirect lets a redirect pass unless it leaves encryption.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrServer, maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: redirected from https to %s", ErrUntrusted, req.URL.Scheme)
	}
	return nil
}

// refusal turns the status of an answer into an error.
func refusal(status int, anonymous bool) error {
	what := fmt.Sprintf("%d %s", status, http.StatusText(status))
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if anonymous {
			return fmt.Errorf("%w: no credentials are given (%s)", ErrUnauthorized, what)
		}
		return fmt.Errorf("%w: the server refuses the credentials (%s)", ErrUnauthorized, what)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w (%s)", ErrNotFound, what)
	default:
		return fmt.Errorf("%w: %s", ErrServer, what)
	}
}

// explain turns an error of a request into one that is the same each time, and has no
// URL: that of a redirect may have a signature in it.
func explain(ctx context.Context, err error) error {
	for _, own := range []error{ErrUntrusted, ErrServer} {
		if errors.Is(err, own) {
			var wrapped *url.Error
			if errors.As(err, &wrapped) {
				return wrapped.Err
			}
			return err
		}
	}
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &invalid) || errors.As(err, &unknown) {
		return fmt.Errorf("%w: %w", ErrUntrusted, innermost(err))
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: no answer in time: %w", ErrServer, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", ErrServer, innermost(err))
}

// innermost takes from an error of the network the URL and the addresses, of which the
// own port is another each time.
func innermost(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	if text := err.Error(); len(text) > maxError {
		return errors.New(text[:maxError] + "…")
	}
	return err
}
