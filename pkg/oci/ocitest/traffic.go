package ocitest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// Kind is what a request is about.
type Kind int

// The kinds of requests.
const (
	Other Kind = iota
	Ping
	Token
	Head // of a manifest
	Manifest
	Blob
	Tags
	Referrers
)

// KindOf returns what a request is about.
func KindOf(req *http.Request) Kind {
	path := req.URL.Path
	switch {
	case path == tokenPath:
		return Token
	case path == "/v2/" || path == "/v2":
		return Ping
	case strings.Contains(path, "/manifests/") && req.Method == http.MethodHead:
		return Head
	case strings.Contains(path, "/manifests/"):
		return Manifest
	case strings.Contains(path, "/blobs/"):
		return Blob
	case strings.HasSuffix(path, "/tags/list"):
		return Tags
	case strings.Contains(path, "/referrers/"):
		return Referrers
	default:
		return Other
	}
}

// Counts are how many requests came in.
type Counts struct {
	Pings, Tokens, Heads, Manifests, Blobs, Tags, Referrers, Others int
}

// Sum returns how many requests there were.
func (c Counts) Sum() int {
	return c.Pings + c.Tokens + c.Heads + c.Manifests + c.Blobs + c.Tags + c.Referrers + c.Others
}

// Minus returns what came in since before.
func (c Counts) Minus(before Counts) Counts {
	return Counts{
		Pings: c.Pings - before.Pings, Tokens: c.Tokens - before.Tokens, Heads: c.Heads - before.Heads,
		Manifests: c.Manifests - before.Manifests, Blobs: c.Blobs - before.Blobs, Tags: c.Tags - before.Tags,
		Referrers: c.Referrers - before.Referrers, Others: c.Others - before.Others,
	}
}

// Counts returns how many requests came in so far, refused ones too.
func (r *Registry) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

func (r *Registry) count(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := map[Kind]*int{
		Other: &r.counts.Others, Ping: &r.counts.Pings, Token: &r.counts.Tokens, Head: &r.counts.Heads,
		Manifest: &r.counts.Manifests, Blob: &r.counts.Blobs, Tags: &r.counts.Tags, Referrers: &r.counts.Referrers,
	}[KindOf(req)]
	*n++
}

// Fault answers a request in place of the registry, or reports that it does not.
type Fault func(w http.ResponseWriter, req *http.Request) bool

// Break sets what goes wrong from now on; nil is nothing.
func (r *Registry) Break(fault Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fault
}

// Only breaks the requests of a kind.
func Only(kind Kind, fault Fault) Fault {
	return func(w http.ResponseWriter, req *http.Request) bool {
		return KindOf(req) == kind && fault(w, req)
	}
}

// Status answers with a status.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

// Garbage answers well, with something else than was asked for.
func Garbage(body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write([]byte(body)) // a client that has gone is its own matter
		return true
	}
}

// Redirect sends requests to another server, under the same path.
func Redirect(base string) Fault {
	return func(w http.ResponseWriter, req *http.Request) bool {
		http.Redirect(w, req, base+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		return true
	}
}

// Hang answers nothing until the client gives up.
func Hang() Fault {
	return func(_ http.ResponseWriter, req *http.Request) bool {
		<-req.Context().Done()
		return true
	}
}

// Cut sends the first bytes of what the registry would answer, and ends the connection.
func (r *Registry) Cut(after int) Fault {
	return func(w http.ResponseWriter, req *http.Request) bool {
		return r.alter(w, req, func(body []byte) []byte { return body[:min(after, len(body))] })
	}
}

// Alter changes the bytes of what the registry would answer.
func (r *Registry) Alter(change func(body []byte) []byte) Fault {
	return func(w http.ResponseWriter, req *http.Request) bool { return r.alter(w, req, change) }
}

// alter answers with the header of the real answer and a changed body. One that is
// shorter ends the connection.
func (r *Registry) alter(w http.ResponseWriter, req *http.Request, change func([]byte) []byte) bool {
	rec := httptest.NewRecorder()
	r.reg.ServeHTTP(rec, req)
	body := change(bytes.Clone(rec.Body.Bytes()))
	for key, values := range rec.Header() {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body) // more than was announced is not sent
	return true
}
