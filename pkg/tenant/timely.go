package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// localPatience is how long this cluster may take to answer a request; admission webhooks
	// may take half of it each.
	localPatience = 60 * time.Second
	// remotePatience is how long another cluster may take. The tenant says which one that is.
	remotePatience = 30 * time.Second
)

// ErrNoAnswer ends a request that an API server does not answer in time.
var ErrNoAnswer = errors.New("no answer from the API server in time")

// timely returns a client whose requests end after a while, but for those that watch.
func timely(hc *http.Client, within time.Duration) *http.Client {
	base := hc.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	return &http.Client{Transport: limited{base: base, within: within}, Timeout: hc.Timeout}
}

type limited struct {
	base   http.RoundTripper
	within time.Duration
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	if lasts(req) {
		return l.base.RoundTrip(req)
	}
	ctx, cancel := context.WithTimeoutCause(req.Context(), l.within, fmt.Errorf("%w: it had %s", ErrNoAnswer, l.within))
	resp, err := l.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		err = late(ctx, err)
		cancel()
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel}
	return resp, nil
}

// lasts reports whether the answer to a request comes bit by bit, as things happen.
func lasts(req *http.Request) bool {
	asked := req.URL.Query()
	return asked.Get("watch") == "true" || asked.Get("watch") == "1" || asked.Get("follow") == "true"
}

// late returns that the time was up in the place of what broke because of it.
func late(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrNoAnswer) {
		return cause
	}
	return err
}

// limitedBody is the body of an answer that must have come in time.
type limitedBody struct {
	io.ReadCloser
	ctx    context.Context // of the request
	cancel func()
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = late(b.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *limitedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
