// Package buckettest has object storages in memory for tests, on loopback: of the
// protocol of S3, of Google and of Azure, and the services that give out credentials
// for them. All count their requests, and fail as a test tells them to.
package buckettest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Request is a request that a storage got.
type Request struct {
	Kind   string // "list", "get", "head", "location", "token", or "" for any other
	Key    string // of the object, for get and head
	Header http.Header
	URL    string
}

// Gate lets requests through to a storage, and counts them.
type Gate struct {
	// Host is where the storage listens.
	Host string

	classify func(*http.Request) Request
	next     http.Handler

	mu       sync.Mutex
	requests []Request
	open     int
	fault    func(Request, http.ResponseWriter, *http.Request) bool
}

func newGate(t testing.TB, next http.Handler, classify func(*http.Request) Request) *Gate {
	g := &Gate{classify: classify, next: next}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.Host = strings.TrimPrefix(server.URL, "http://")
	return g
}

// Break calls fault before each request, which answers it if it returns true; nil ends
// that.
func (g *Gate) Break(fault func(Request, http.ResponseWriter, *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = fault
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := g.classify(r)
	req.Header, req.URL = r.Header.Clone(), r.URL.String()
	g.mu.Lock()
	g.requests = append(g.requests, req)
	g.open++
	fault := g.fault
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.open--
		g.mu.Unlock()
	}()
	if fault != nil && fault(req, w, r) {
		return
	}
	g.next.ServeHTTP(w, r)
}

// Requests returns the requests so far.
func (g *Gate) Requests() []Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.requests)
}

// Open returns how many requests are not answered yet.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Count returns how many requests there were of each kind.
func (g *Gate) Count() map[string]int {
	n := make(map[string]int)
	for _, r := range g.Requests() {
		n[r.Kind]++
	}
	return n
}

// Keys returns the keys of the objects that were got, sorted.
func (g *Gate) Keys() []string {
	var keys []string
	for _, r := range g.Requests() {
		if r.Kind == "get" {
			keys = append(keys, r.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Reset forgets the requests so far.
func (g *Gate) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = nil
}

// Cut answers with the beginning of a longer body, and closes the connection.
func Cut(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "1000000")
	w.Header().Set("ETag", `"cut"`)
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("the beginning"))
	panic(http.ErrAbortHandler)
}
