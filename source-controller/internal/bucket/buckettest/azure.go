package buckettest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Account is the account of each Azure storage of this package.
const Account = "account"

// Azure is a storage of the protocol of Azure with one container.
type Azure struct {
	*Gate
	*memory

	container string
	mu        sync.Mutex
	allow     func(*http.Request) bool
}

// StartAzure starts a storage with an empty container that anybody may read.
func StartAzure(t testing.TB, container string) *Azure {
	t.Helper()
	a := &Azure{memory: newMemory(), container: container, allow: func(*http.Request) bool { return true }}
	a.Gate = newGate(t, a, a.classify)
	return a
}

// URL returns the URL of the account.
func (a *Azure) URL() string { return "http://" + a.Host + "/" + Account }

// Allow lets in only requests that ok is true for.
func (a *Azure) Allow(ok func(*http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.allow = ok
}

func (a *Azure) blob(r *http.Request) (key string, ok bool) {
	return strings.CutPrefix(r.URL.Path, "/"+Account+"/"+a.container+"/")
}

func (a *Azure) classify(r *http.Request) Request {
	key, ok := a.blob(r)
	switch {
	case ok && r.Method == http.MethodHead:
		return Request{Kind: "head", Key: key}
	case ok && r.Method == http.MethodGet:
		return Request{Kind: "get", Key: key}
	default:
		return Request{Kind: "list"}
	}
}

// ServeHTTP implements http.Handler.
func (a *Azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	allow := a.allow
	a.mu.Unlock()
	if !allow(r) {
		RefuseAzure(w, http.StatusForbidden, "AuthenticationFailed")
		return
	}
	switch key, ok := a.blob(r); {
	case ok:
		a.serveBlob(w, key)
	case r.URL.Path == "/"+Account+"/"+a.container && r.URL.Query().Get("comp") == "list":
		a.serveList(w, r)
	default:
		RefuseAzure(w, http.StatusNotFound, "ContainerNotFound")
	}
}

// RefuseAzure answers like Azure that refuses something.
func RefuseAzure(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Ms-Error-Code", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>by the test</Message></Error>", code)
}

func (a *Azure) serveBlob(w http.ResponseWriter, key string) {
	o, ok := a.get(key)
	if !ok {
		RefuseAzure(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	w.Header().Set("ETag", `"`+o.etag()+`"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(o.content)))
	fmt.Fprint(w, o.content)
}

type blobProperties struct {
	Etag          string
	ContentLength int    `xml:"Content-Length"`
	ResourceType  string `xml:"ResourceType,omitempty"`
}

type blob struct {
	Name       string
	Properties blobProperties
}

func (a *Azure) serveList(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	keys, next := a.list(q.Get("prefix"), q.Get("marker"))
	out := struct {
		XMLName         xml.Name `xml:"EnumerationResults"`
		ServiceEndpoint string   `xml:",attr"`
		ContainerName   string   `xml:",attr"`
		Blobs           struct {
			Blob []blob
		}
		NextMarker string
	}{ServiceEndpoint: a.URL(), ContainerName: a.container, NextMarker: next}
	for _, key := range keys {
		o, _ := a.get(key)
		p := blobProperties{Etag: o.etag(), ContentLength: len(o.content)}
		if o.encoding == "directory" {
			p.ResourceType = "directory"
		}
		out.Blobs.Blob = append(out.Blobs.Blob, blob{Name: key, Properties: p})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out) // who asked is gone
}
