package testplane

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Request is one request of a controller to the API server.
type Request struct {
	Method   string
	Path     string
	Resource string // plural, "" outside the resource API
	Sub      string // subresource
	DryRun   bool
	Watch    bool
}

// String returns the request in the form of an access log.
func (r Request) String() string {
	s := r.Method + " " + r.Path
	if r.DryRun {
		s += " (dry run)"
	}
	if r.Watch {
		s += " (watch)"
	}
	return s
}

// Write reports whether the request changes something.
func (r Request) Write() bool {
	return !r.DryRun && r.Method != http.MethodGet && r.Method != http.MethodHead
}

// Traffic records the requests of the controllers under test, and can forbid or
// break them.
type Traffic struct {
	t testing.TB

	mu       sync.Mutex
	requests []Request
	open     int // requests that have no answer yet
	forbid   func(Request) bool
	breaker  func(Request) error
	watches  map[*stream]bool // that are under way
}

func newTraffic(t testing.TB) *Traffic { return &Traffic{t: t, watches: make(map[*stream]bool)} }

// Requests returns what was asked since the last Reset, without leases and
// discovery: what reconciling costs.
func (tr *Traffic) Requests() []Request {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.requests)
}

// Count returns how many requests since the last Reset are such that match.
func (tr *Traffic) Count(match func(Request) bool) int {
	n := 0
	for _, r := range tr.Requests() {
		if match(r) {
			n++
		}
	}
	return n
}

// Open returns how many requests have no answer yet, discovery among them, but neither
// watches nor leases. Who asks for something slow is not done, although no other request
// comes for a while.
func (tr *Traffic) Open() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.open
}

// Reset forgets the requests so far.
func (tr *Traffic) Reset() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.requests = nil
}

// Forbid fails the test at any further request that match selects, until the
// returned function is called.
func (tr *Traffic) Forbid(match func(Request) bool) (allow func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.forbid = match
	return func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.forbid = nil
	}
}

// Break answers requests with the error that fail returns for them, if any,
// before they reach the API server; nil ends that.
func (tr *Traffic) Break(fail func(Request) error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.breaker = fail
}

// EndWatches ends the watches that are under way, as the API server ends each after some
// minutes, and returns how many there were.
func (tr *Traffic) EndWatches() int {
	tr.mu.Lock()
	all := tr.watches
	tr.watches = make(map[*stream]bool)
	tr.mu.Unlock()
	for s := range all {
		s.end()
	}
	return len(all)
}

// Any matches every request.
func Any(Request) bool { return true }

// Writes matches what changes one of the resources, or anything if none is named.
func Writes(resources ...string) func(Request) bool {
	return func(r Request) bool {
		return r.Write() && (len(resources) == 0 || slices.Contains(resources, r.Resource))
	}
}

// wrap makes Traffic see what goes through next.
func (tr *Traffic) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r := parse(req)
		defer tr.begin(r)()
		if err := tr.see(r); err != nil {
			return nil, err
		}
		resp, err := next.RoundTrip(req)
		if err == nil && r.Watch {
			resp.Body = tr.follow(resp.Body)
		}
		return resp, err
	})
}

// begin counts a request as open until the returned function is called. The answer to a
// watch goes on, and a lease is renewed by a controller that is done.
func (tr *Traffic) begin(r Request) (end func()) {
	if r.Watch || r.Resource == "leases" {
		return func() {}
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.open++
	return func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.open--
	}
}

// follow keeps the answer to a watch, so that it can be ended.
func (tr *Traffic) follow(body io.ReadCloser) io.ReadCloser {
	s := &stream{ReadCloser: body}
	s.forget = func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		delete(tr.watches, s)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.watches[s] = true
	return s
}

// stream is the answer to a watch.
type stream struct {
	io.ReadCloser
	forget func()
	ended  atomic.Bool
}

// end ends the stream for its reader as if the API server had.
func (s *stream) end() {
	s.ended.Store(true)
	_ = s.ReadCloser.Close() // a read that is under way returns
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && s.ended.Load() {
		err = io.EOF
	}
	return n, err
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.forget()
	return s.ReadCloser.Close()
}

// see records a request and returns the error to answer it with, if any.
func (tr *Traffic) see(r Request) error {
	if r.Resource == "" || r.Resource == "leases" {
		return nil
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.requests = append(tr.requests, r)
	if tr.forbid != nil && tr.forbid(r) {
		tr.t.Errorf("forbidden request: %s", r)
	}
	if tr.breaker != nil {
		if err := tr.breaker(r); err != nil {
			return fmt.Errorf("broken by the test: %w", err)
		}
	}
	return nil
}

// parse reads what a request is about from its URL.
func parse(req *http.Request) Request {
	q := req.URL.Query()
	r := Request{
		Method: req.Method, Path: req.URL.Path,
		DryRun: q.Get("dryRun") == "All",
		Watch:  q.Get("watch") == "true" || q.Get("watch") == "1",
	}
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return r
	}
	if len(parts) > 2 && parts[0] == "namespaces" && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	r.Resource = parts[0]
	if len(parts) > 2 {
		r.Sub = parts[2]
	}
	return r
}

// roundTripper is a function as a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
