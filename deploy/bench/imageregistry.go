package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
)

// images is a registry in memory, which counts what it is asked by those who read.
type images struct {
	host     string
	registry http.Handler
	server   *http.Server
	client   *http.Client
	manifest []byte
	media    string

	requests atomic.Int64
	scans    atomic.Int64 // of these, first pages of tags

	mu   sync.Mutex
	last map[string]string // by repository: the last of its tags, as words are ordered
}

// startRegistry serves an empty registry until it is stopped.
func startRegistry(ctx context.Context) (*images, error) {
	manifest, err := empty.Image.RawManifest()
	if err != nil {
		return nil, err
	}
	media, err := empty.Image.MediaType()
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &images{
		host: l.Addr().String(), registry: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: parallel}},
		manifest: manifest, media: string(media), last: map[string]string{},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: longest}
	go func() { _ = r.server.Serve(l) }() // ends when it is closed
	return r, nil
}

func (r *images) stop() error {
	r.client.CloseIdleConnections()
	return r.server.Close()
}

// image is what others call a repository of the registry.
func (r *images) image(repository string) string { return r.host + "/" + repository }

// push gives an image a tag, which is the last request of any push.
func (r *images) push(ctx context.Context, repository, tag string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+r.host+"/v2/"+repository+"/manifests/"+tag, bytes.NewReader(r.manifest))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", r.media)
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, mostAnswer)) // so that the connection is used again
	if resp.StatusCode != http.StatusCreated {
		return errors.Join(err, fmt.Errorf("pushing %s:%s: %s", repository, tag, resp.Status))
	}
	return err
}

// ServeHTTP is the registry, with what it leaves out: where a list of tags goes on.
func (r *images) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodPut {
		r.note(req.URL.Path)
		r.registry.ServeHTTP(w, req)
		return
	}
	r.requests.Add(1)
	repository, list := strings.CutSuffix(strings.TrimPrefix(req.URL.Path, "/v2/"), "/tags/list")
	if !list {
		r.registry.ServeHTTP(w, req)
		return
	}
	if !req.URL.Query().Has("last") {
		r.scans.Add(1)
	}
	answer := &answer{ResponseWriter: w, status: http.StatusOK}
	r.registry.ServeHTTP(answer, req)
	if next := r.next(repository, req.URL.Query(), answer.body.Bytes()); next != "" {
		w.Header().Set("Link", next)
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes()) // who has gone asks again
}

// note remembers the last tag of a repository.
func (r *images) note(path string) {
	repository, tag, _ := strings.Cut(strings.TrimPrefix(path, "/v2/"), "/manifests/")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[repository] = max(r.last[repository], tag)
}

// next is the link from a page of tags to the one behind it, empty if there is none.
func (r *images) next(repository string, query url.Values, page []byte) string {
	var list struct{ Tags []string }
	if err := json.Unmarshal(page, &list); err != nil || len(list.Tags) == 0 {
		return "" // an error, in other words
	}
	end := list.Tags[len(list.Tags)-1]
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, err := strconv.Atoi(query.Get("n")); err != nil || len(list.Tags) < n || end >= r.last[repository] {
		return ""
	}
	return fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, repository, url.Values{"n": query["n"], "last": {end}}.Encode())
}

// answer holds back what is answered until its headers are complete.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
