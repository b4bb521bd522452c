package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"weir.dev/pkg/artifact"
)

const maxRedirects = 10

// temporary marks an error after which it is worth trying again.
type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }

// errRedirect is not temporary, though it looks like a failed connection.
var errRedirect = errors.New("redirect refused")

func newClient(base *http.Client) http.Client {
	var client http.Client
	if base != nil {
		client = *base
	}
	// Artifact servers do not redirect, and what is reachable from here need not be reachable for
	// whoever wrote the URL.
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case req.URL.Host != first.Host:
			return fmt.Errorf("%w: from %q to another host, %q", errRedirect, first.Host, req.URL.Host)
		case first.Scheme == "https" && req.URL.Scheme != "https":
			return fmt.Errorf("%w: from https to %s", errRedirect, req.URL.Scheme)
		case len(via) >= maxRedirects:
			return fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
		}
		return nil
	}
	return client
}

// parseURL returns where to connect to for a URL. Errors do not repeat it, for what it may contain.
func (c *Cache) parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("its URL cannot be parsed")
	}
	if c.opts.Rewrite != nil {
		c.opts.Rewrite(u)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("its URL %s is not an HTTP address", shown(u))
	}
	return u, nil
}

// shown returns the parts of a URL that contain no secrets.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// download makes attempts until one succeeds or no more are worth it.
func (c *Cache) download(ctx context.Context, from *url.URL, want artifact.Digest) (*contents, error) {
	pause := c.opts.Backoff
	for retry := 0; ; retry++ {
		tree, err := c.attempt(ctx, from, want)
		var again temporary
		if !errors.As(err, &again) {
			return tree, err
		}
		if retry >= c.opts.Retries {
			if retry > 0 {
				err = fmt.Errorf("%w (%d attempts)", err, retry+1)
			}
			return nil, err
		}
		// Spread out, so that all who lost a server do not come back to it at once.
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		pause = min(2*pause, maxBackoff)
	}
}

// attempt makes one request, and unpacks what it gets while it verifies the digest.
func (c *Cache) attempt(ctx context.Context, from *url.URL, want artifact.Digest) (*contents, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watch := newWatchdog(c.opts.Stall, stop)

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, errors.New("its URL cannot be requested")
	}
	// The digest is that of the file as it is stored. A transport that asked for compression would
	// undo it.
	req.Header.Set("Accept-Encoding", "identity")
	c.count(func(s *Stats) { s.Requests++ })
	watch.start()
	resp, err := c.client.Do(req)
	watch.stop()
	if err != nil {
		return nil, connectionError(ctx, err)
	}
	defer resp.Body.Close()
	if err := statusError(resp); err != nil {
		return nil, err
	}
	in := &body{
		r:     resp.Body,
		watch: watch,
		hash:  want.Algorithm().New(),
		limit: c.opts.MaxDownload,
		fail:  func(err error) error { return connectionError(ctx, err) },
	}
	defer func() { c.count(func(s *Stats) { s.Bytes += in.n }) }()
	if in.limit >= 0 && resp.ContentLength > in.limit {
		return nil, in.tooLarge()
	}
	tree, err := c.unpack(in)
	if errors.Is(err, ErrCorrupt) {
		// Most likely this is not the artifact at all. Its digest tells.
		if _, rest := io.Copy(io.Discard, in); rest != nil {
			return nil, rest
		}
	} else if err != nil {
		return nil, err
	}
	if got := want.Algorithm().Digest(in.hash); got != want {
		if tree != nil {
			_ = tree.drop() // what is wrong with it is the error to tell
		}
		return nil, fmt.Errorf("%w: it is %s, not %s", ErrDigestMismatch, got, want)
	}
	if err != nil {
		return nil, err
	}
	tree.digest = want
	return tree, nil
}

func (c *Cache) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// connectionError returns why a request failed, without its URL.
func connectionError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause // which says more than "canceled"
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, errRedirect) || errors.Is(err, context.Canceled) {
		return err
	}
	return temporary{err}
}

func statusError(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusNotFound:
		return ErrNotFound
	case resp.StatusCode >= http.StatusInternalServerError:
		return temporary{fmt.Errorf("the server answered %q", resp.Status)}
	default:
		return fmt.Errorf("the server answered %q", resp.Status)
	}
}

// body is the content of a response: bounded, digested, and given up when nothing comes.
type body struct {
	r     io.Reader
	watch *watchdog
	hash  hash.Hash
	limit int64 // negative: none
	n     int64
	fail  func(error) error // says what the failure of a connection means
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.start()
	n, err := b.r.Read(p)
	b.watch.stop()
	b.n += int64(n)
	if b.limit >= 0 && b.n > b.limit {
		return 0, b.tooLarge()
	}
	b.hash.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fail(fmt.Errorf("the connection broke after %d bytes: %w", b.n, err))
	}
	return n, err
}

func (b *body) tooLarge() error {
	return fmt.Errorf("%w: the archive exceeds the limit of %d bytes", ErrTooLarge, b.limit)
}

// watchdog ends a request while it is waited for and nothing comes. Time in which nobody reads
// does not count.
type watchdog struct {
	limit time.Duration
	timer *time.Timer
}

func newWatchdog(limit time.Duration, end context.CancelCauseFunc) *watchdog {
	timer := time.AfterFunc(limit, func() {
		end(fmt.Errorf("the server was silent for %s", limit))
	})
	timer.Stop()
	return &watchdog{limit, timer}
}

func (w *watchdog) start() { w.timer.Reset(w.limit) }
func (w *watchdog) stop()  { w.timer.Stop() }
