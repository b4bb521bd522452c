package oci

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxRetryAfter bounds how long a registry can keep itself from being asked.
const maxRetryAfter = time.Hour

// RetryAfter returns when a registry wants to be asked again, as it has said in the answer
// that an error is about: it has too many requests, or is not available. That is an hour
// at most.
func RetryAfter(err error) (time.Duration, bool) {
	var later *laterError
	if !errors.As(err, &later) {
		return 0, false
	}
	return later.after, true
}

// laterError is an error that goes away in a time, which it does not tell: the same
// failure is the same error.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// patience notes what the answers to requests say of when to ask again. Those of a login
// are seen by nobody else.
type patience struct {
	mu    sync.Mutex
	after time.Duration
}

type patienceKey struct{}

// withPatience returns a context whose requests are noted.
func withPatience(ctx context.Context) (context.Context, *patience) {
	p := new(patience)
	return context.WithValue(ctx, patienceKey{}, p), p
}

// explain adds to an error what was noted.
func (p *patience) explain(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || p.after == 0 {
		return err
	}
	return &laterError{error: err, after: p.after}
}

// note looks at an answer to a request with that context.
func note(ctx context.Context, res *http.Response, now time.Time) {
	p, ok := ctx.Value(patienceKey{}).(*patience)
	if !ok || res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = parseRetryAfter(res.Header.Get("Retry-After"), now)
}

// parseRetryAfter reads a header, which is a number of seconds or a date. Zero is none.
func parseRetryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
