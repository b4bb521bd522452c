package charttest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Server is where artifacts of charts are, as source-controller serves them. It counts, and breaks
// where a test says so.
type Server struct {
	*httptest.Server

	mu        sync.Mutex
	files     map[string][]byte // by path
	downloads map[string]int    // by path
	fault     http.HandlerFunc
}

// Serve starts a Server, which ends with the test.
func Serve(t testing.TB) *Server {
	t.Helper()
	s := &Server{files: make(map[string][]byte), downloads: make(map[string]int)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// Publish makes the package of a chart available, and returns the artifact that a HelmChart would
// have of it: for the status of one. The artifact of an OCIRepository has another revision.
func (s *Server) Publish(c *Chart) *meta.Artifact {
	return s.PublishBytes(c.File(), c.Version(), c.Pack())
}

// PublishBytes is Publish of anything.
func (s *Server) PublishBytes(file, revision string, content []byte) *meta.Artifact {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	name := path.Join("helmchart", "charttest", digest, file)
	size := int64(len(content))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = content
	return &meta.Artifact{
		Path: name, URL: s.URL + "/" + name, Revision: revision,
		Digest: "sha256:" + digest, Size: &size, LastUpdateTime: metav1.Now(),
	}
}

// Withdraw makes an artifact unavailable, as one that was collected.
func (s *Server) Withdraw(a *meta.Artifact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, a.Path)
}

// Break answers downloads by fault; nil mends it.
func (s *Server) Break(fault http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Downloads returns how often an artifact was asked for, and how often any was where a is nil.
func (s *Server) Downloads(a *meta.Artifact) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a != nil {
		return s.downloads[a.Path]
	}
	n := 0
	for _, count := range s.downloads {
		n += count
	}
	return n
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	content, found := s.files[name]
	fault := s.fault
	s.downloads[name]++
	s.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case !found:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "application/gzip")
		_, _ = w.Write(content) // who has gone does not miss it
	}
}
