package buckettest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// GCS is a storage of the JSON protocol of Google with one bucket, and gives out tokens
// for itself.
type GCS struct {
	*Gate
	*memory

	bucket string
	mu     sync.Mutex
	token  string
}

// StartGCS starts a storage with an empty bucket.
func StartGCS(t testing.TB, bucket string) *GCS {
	t.Helper()
	g := &GCS{memory: newMemory(), bucket: bucket, token: "token-1"}
	g.Gate = newGate(t, g, g.classify)
	return g
}

// Allow lets in only requests with a token, which is given out from now on.
func (g *GCS) Allow(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token = token
}

// Key returns the JSON file of a service account that the storage knows.
func (g *GCS) Key(t testing.TB) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@example.com", "private_key_id": "1", "token_uri": "http://" + g.Host + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (g *GCS) object(r *http.Request) (key string, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/storage/v1/b/"+g.bucket+"/o/")
	if !ok {
		return "", false
	}
	key, err := url.PathUnescape(rest)
	return key, err == nil
}

func (g *GCS) classify(r *http.Request) Request {
	if r.URL.Path == "/token" {
		return Request{Kind: "token"}
	}
	if key, ok := g.object(r); ok {
		if r.URL.Query().Get("alt") == "media" {
			return Request{Kind: "get", Key: key}
		}
		return Request{Kind: "head", Key: key}
	}
	return Request{Kind: "list"}
}

// ServeHTTP implements http.Handler.
func (g *GCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	token := g.token
	g.mu.Unlock()
	if r.URL.Path == "/token" {
		reply(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+token {
		w.WriteHeader(http.StatusUnauthorized)
		reply(w, map[string]any{"error": map[string]any{"code": 401, "message": "Invalid Credentials"}})
		return
	}
	switch key, ok := g.object(r); {
	case ok:
		g.serveObject(w, r, key)
	case r.URL.Path == "/storage/v1/b/"+g.bucket+"/o":
		g.serveList(w, r.URL.Query())
	default:
		w.WriteHeader(http.StatusNotFound)
		reply(w, map[string]any{"error": map[string]any{"code": 404, "message": "The specified bucket does not exist."}})
	}
}

func (g *GCS) serveList(w http.ResponseWriter, q url.Values) {
	keys, next := g.list(q.Get("prefix"), q.Get("pageToken"))
	var items []any
	for _, key := range keys {
		o, _ := g.get(key)
		items = append(items, resource(key, o))
	}
	reply(w, map[string]any{"kind": "storage#objects", "items": items, "nextPageToken": next})
}

func (g *GCS) serveObject(w http.ResponseWriter, r *http.Request, key string) {
	o, ok := g.get(key)
	if v := r.URL.Query().Get("generation"); !ok || v != "" && v != strconv.Itoa(o.version) {
		http.Error(w, "No such object", http.StatusNotFound)
		return
	}
	if r.URL.Query().Get("alt") != "media" {
		reply(w, resource(key, o))
		return
	}
	w.Header().Set("ETag", "not-that-of-listings")
	if o.encoding != "" {
		w.Header().Set("Content-Encoding", o.encoding)
	}
	fmt.Fprint(w, o.content)
}

func resource(key string, o stored) map[string]any {
	return map[string]any{"name": key, "etag": o.etag(), "size": strconv.Itoa(len(o.content)), "generation": strconv.Itoa(o.version)}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}
