package helmtest

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options are those of a Server. The zero value is open to everybody.
type Options struct {
	User, Password string
	TLS            *tls.Config // nil means plain HTTP
	NoValidators   bool        // indexes come with nothing to recognise them by
	OtherHost      string      // beginning of the URLs of charts, if they are elsewhere
}

// Server is a chart repository at /charts.
type Server struct {
	*httptest.Server
	t    testing.TB
	opts Options

	mu       sync.Mutex
	index    []byte
	charts   map[string][]byte // by file name
	entries  map[string]string // YAML, by chart
	requests []Request
	fault    http.HandlerFunc
	faulty   func(path string) bool
}

// Request is one that a Server has seen.
type Request struct {
	Path     string
	Status   int
	Bytes    int
	Login    string // "user:password", empty if none came
	Verified bool   // a client certificate came
}

// Start starts a Server, which ends with the test.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s := &Server{t: t, opts: opts, charts: make(map[string][]byte), entries: make(map[string]string)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = nil
	if opts.TLS != nil {
		s.TLS = opts.TLS
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	s.Publish()
	return s
}

// Repo returns the URL of the repository.
func (s *Server) Repo() string { return s.URL + "/charts" }

// CA returns the authority of the server's certificate.
func (s *Server) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// Add adds a packaged chart to the repository.
func (s *Server) Add(name, version string, data []byte) {
	s.mu.Lock()
	file := name + "-" + version + ".tgz"
	s.charts[file] = data
	s.entries[name] += fmt.Sprintf("  - apiVersion: v2\n    name: %s\n    version: %s\n    created: \"2024-01-%02dT00:00:00Z\"\n    digest: %x\n    urls:\n    - %s%s\n",
		name, version, 1+len(s.charts)%28, sha256.Sum256(data), s.opts.OtherHost, file)
	s.mu.Unlock()
	s.Publish()
}

// AddChart packages a small chart and adds it.
func (s *Server) AddChart(name, version string, more map[string]string) []byte {
	s.t.Helper()
	data := Package(s.t, name, Chart(name, version, more))
	s.Add(name, version, data)
	return data
}

// Publish makes the index that of the charts.
func (s *Server) Publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := "apiVersion: v1\ngenerated: \"2024-01-01T00:00:00Z\"\nentries:\n"
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		text += "  " + name + ":\n" + s.entries[name]
	}
	if len(s.entries) == 0 {
		text = strings.TrimSuffix(text, "entries:\n") + "entries: {}\n"
	}
	s.index = []byte(text)
}

// SetIndex makes the index any bytes.
func (s *Server) SetIndex(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = data
}

// Index returns the index.
func (s *Server) Index() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.index)
}

// SetLogin changes who may come in.
func (s *Server) SetLogin(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.User, s.opts.Password = user, password
}

// Break answers requests by fault, those whose path contains part. nil mends it.
func (s *Server) Break(part string, fault http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.faulty = fault, func(path string) bool { return strings.Contains(path, part) }
}

// Requests returns what came so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Reset forgets what came.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Count returns how many requests had a path that contains part.
func (s *Server) Count(part string) int {
	n := 0
	for _, r := range s.Requests() {
		if strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

func (s *Server) serve(w http.ResponseWriter, req *http.Request) {
	counted := &counter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		login := ""
		if user, password, ok := req.BasicAuth(); ok {
			login = user + ":" + password
		} else if other := req.Header.Get("Authorization"); other != "" {
			login = other
		}
		s.requests = append(s.requests, Request{
			Path: req.URL.Path, Status: counted.status, Bytes: counted.bytes, Login: login,
			Verified: req.TLS != nil && len(req.TLS.PeerCertificates) > 0,
		})
	}()
	s.mu.Lock()
	fault, faulty, opts := s.fault, s.faulty, s.opts
	index, chart := s.index, s.charts[strings.TrimPrefix(req.URL.Path, "/charts/")]
	s.mu.Unlock()
	if fault != nil && faulty(req.URL.Path) {
		fault(counted, req)
		return
	}
	if user, password, _ := req.BasicAuth(); opts.User != "" && (user != opts.User || password != opts.Password) {
		http.Error(counted, "who are you?", http.StatusUnauthorized)
		return
	}
	switch {
	case req.URL.Path == "/charts/index.yaml":
		if !opts.NoValidators {
			counted.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(index)))
		}
		http.ServeContent(counted, req, "", time.Time{}, bytes.NewReader(index))
	case chart != nil:
		http.ServeContent(counted, req, "", time.Time{}, bytes.NewReader(chart))
	default:
		http.NotFound(counted, req)
	}
}

// counter counts what is answered.
type counter struct {
	http.ResponseWriter
	status, bytes int
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes += n
	return n, err
}

// Unwrap lets faults reach the connection.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
