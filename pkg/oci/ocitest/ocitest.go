// Package ocitest starts registries for tests, on ports of 127.0.0.1 that the system
// chooses, and stops them when the test ends.
//
//	r := ocitest.Start(t, ocitest.Options{Username: "u", Password: "p", Bearer: true})
//	digest := r.Push("app", "v1.0.0", ocitest.Files(map[string]string{"app.yaml": "kind: App\n"}))
//	pull(r.URL("app"))
//	r.Break(ocitest.Only(ocitest.Blob, ocitest.Status(503)))
//
// What goes wrong here ends the test, so it is used in the goroutine of the test.
package ocitest

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options say how a registry lets clients in.
type Options struct {
	// Username and Password are asked for if they are set.
	Username, Password string
	// Bearer lets clients log in at a token server, which is under /token.
	Bearer bool
	// TLS serves https, with a certificate of an authority of its own.
	TLS bool
	// ServerTLS is the configuration of the server, with TLS; nil asks clients for no
	// certificate.
	ServerTLS *tls.Config
	// NoReferrers leaves out the list of what refers to a digest.
	NoReferrers bool
}

// Registry is a registry that keeps everything in memory.
type Registry struct {
	// CA is the PEM of who signed the certificate, with TLS.
	CA []byte

	t    testing.TB
	opts Options
	http *httptest.Server
	reg  http.Handler // without login, counts and faults

	mu     sync.Mutex
	user   string
	pass   string
	tokens map[string]bool
	issued int
	counts Counts
	fault  Fault
}

// Start starts a registry.
func Start(t testing.TB, opts Options) *Registry {
	t.Helper()
	r := &Registry{
		t: t, opts: opts, user: opts.Username, pass: opts.Password, tokens: make(map[string]bool),
		reg: registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(!opts.NoReferrers)),
	}
	r.http = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	if opts.TLS {
		if opts.ServerTLS != nil {
			r.http.TLS = opts.ServerTLS.Clone()
		}
		r.http.StartTLS()
		r.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.http.Certificate().Raw})
	} else {
		r.http.Start()
	}
	t.Cleanup(func() {
		r.http.CloseClientConnections() // those that a test has cut wait for nobody
		r.http.Close()
	})
	return r
}

// Host returns host and port.
func (r *Registry) Host() string {
	u, err := url.Parse(r.http.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	return u.Host
}

// URL returns the URL of a repository, as sources have it.
func (r *Registry) URL(repo string) string { return "oci://" + r.Host() + "/" + repo }

// DockerConfig returns the data of a Secret with credentials for this registry.
func (r *Registry) DockerConfig(user, password string) string {
	config := map[string]any{"auths": map[string]any{r.Host(): map[string]string{"username": user, "password": password}}}
	text, err := json.Marshal(config)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// SetLogin changes the credentials that are asked for, and ends the tokens that were
// given out.
func (r *Registry) SetLogin(user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.user, r.pass = user, password
	clear(r.tokens)
}

// ExpireTokens ends the tokens that were given out.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

// serve counts, breaks, asks who it is, and answers.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	r.count(req)
	r.mu.Lock()
	fault := r.fault
	r.mu.Unlock()
	if fault != nil {
		if fault(w, req) {
			return
		}
	}
	if req.URL.Path == tokenPath {
		r.serveToken(w, req)
		return
	}
	if !r.letIn(w, req) {
		return
	}
	switch KindOf(req) {
	case Tags:
		r.serveTags(w, req)
	case Referrers:
		r.serveReferrers(w, req)
	default:
		r.reg.ServeHTTP(w, req)
	}
}

// serveTags adds to a list that goes on where.
func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request) {
	rec := httptest.NewRecorder()
	r.reg.ServeHTTP(rec, req)
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	n, err := strconv.Atoi(req.URL.Query().Get("n"))
	if err == nil && rec.Code == http.StatusOK && json.Unmarshal(rec.Body.Bytes(), &list) == nil && len(list.Tags) == n && n > 0 {
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {list.Tags[n-1]}}
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", req.URL.Path, next.Encode()))
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()) // a client that has gone is its own matter
}

// serveReferrers gives every entry the type that its manifest has, and keeps to the one
// that was asked for.
func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request) {
	rec := httptest.NewRecorder()
	r.reg.ServeHTTP(rec, req)
	var index v1.IndexManifest
	if rec.Code != http.StatusOK || json.Unmarshal(rec.Body.Bytes(), &index) != nil {
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
		return
	}
	repo, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/referrers/")
	wanted := req.URL.Query().Get("artifactType")
	kept := []v1.Descriptor{}
	for _, d := range index.Manifests {
		var m v1.Manifest
		if err := json.Unmarshal(r.manifest(repo, d.Digest.String()), &m); err == nil && m.ArtifactType != "" {
			d.ArtifactType = m.ArtifactType
		}
		if wanted == "" || wanted == d.ArtifactType {
			kept = append(kept, d)
		}
	}
	index.Manifests = kept
	w.Header().Set("Content-Type", string(index.MediaType))
	_ = json.NewEncoder(w).Encode(index) // a client that has gone is its own matter
}
