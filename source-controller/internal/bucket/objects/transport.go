package objects

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"weir.dev/pkg/creds"
)

const (
	// maxAnswer bounds an answer that is not the content of an object: a page of a
	// listing, a token, an error.
	maxAnswer = 32 << 20
	// maxIdle is how many connections to a server are kept: that many objects are
	// downloaded at the same time.
	maxIdle = 64
)

// Transport reaches a server with the given trust, through a proxy. Its owner closes
// it in the end.
type Transport struct {
	http *http.Transport

	// Content tells the requests whose answer is the content of an object, which has
	// a limit of its own. nil means that no answer is.
	Content func(*http.Request) bool
}

// NewTransport returns a Transport.
func NewTransport(trust creds.TLS, proxy creds.Proxy) *Transport {
	return &Transport{http: &http.Transport{
		Proxy:                 proxy.HTTP,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       trust.Config(),
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}}
}

// Verbatim makes answers come as they are sent. Otherwise a server may compress them,
// and an object that is stored compressed, and says so, comes uncompressed.
func (t *Transport) Verbatim() *Transport {
	t.http.DisableCompression = true
	return t
}

// Client returns an HTTP client that follows no redirect.
func (t *Transport) Client() *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.http.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if t.Content == nil || !t.Content(req) || res.StatusCode >= http.StatusMultipleChoices {
		res.Body = &limited{ReadCloser: res.Body, left: maxAnswer}
	}
	return res, nil
}

// Close closes the connections that are not in use.
func (t *Transport) Close() { t.http.CloseIdleConnections() }

// limited is a body that ends with an error where it gets too long.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var more [1]byte
		if n, err := l.ReadCloser.Read(more[:]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("%w: the answer of the server has more than %d bytes", ErrTooLarge, int64(maxAnswer))
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err
}
