// Package providertest starts small hosts of Git repositories for tests: GitHub, GitLab or
// Gitea, as far as package provider asks them, in memory.
//
//	h := providertest.Start(t, providertest.Options{Kind: pullrequest.GitLab, Token: "t", User: "ann", Groups: []string{"team"}})
//	host, err := provider.New(provider.Options{Kind: h.Kind, Pages: h.Pages(), …}, nil)
//	h.Repository("team/fleet")  // what has become of it
//	h.Counts()                  // questions and changes so far
package providertest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir.dev/pkg/pullrequest"
)

// Options are what a host is like.
type Options struct {
	Kind  pullrequest.Kind
	Token string // that requests must have
	User  string // whose token it is
	// Groups are organisations, or groups with their paths; teams of GitHub and Gitea too.
	Groups []string
	// PageSize is how many of a list the host gives at once at most; 0 is what it is asked for.
	PageSize int
	// Created is told the path of each repository that is created; may be nil.
	Created func(path string) error
	// Rest serves what is not of the API; may be nil.
	Rest http.Handler
	// Wrap goes around everything; may be nil.
	Wrap func(http.Handler) http.Handler
}

// Repository is one of the host.
type Repository struct {
	Path       string
	Visibility string
	Teams      map[string]string // name to permission
	Keys       []Key
	Tokens     []Token

	id int64
}

// Key is a deploy key.
type Key struct {
	ID         int64
	Title, Key string
	Write      bool
}

// Token is a deploy token.
type Token struct {
	ID                    int64
	Name, Username, Token string
}

// Counts are requests so far.
type Counts struct{ Questions, Changes int }

// Host is a server. Its methods may be called at any time.
type Host struct {
	Options
	url string

	mu     sync.Mutex
	next   int64
	all    map[string]*Repository
	counts Counts
}

// Start starts a host that ends with the test.
func Start(t testing.TB, o Options) *Host {
	t.Helper()
	h := &Host{Options: o, all: make(map[string]*Repository), next: 100}
	var handler http.Handler = h.handler()
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	h.url = s.URL
	return h
}

// Pages is where the host has its pages.
func (h *Host) Pages() *url.URL {
	u, err := url.Parse(h.url)
	if err != nil {
		panic(err) // of a URL that net/http made
	}
	return u
}

// Add makes a repository, as somebody else does.
func (h *Host) Add(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add(path, "private")
}

func (h *Host) add(path, visibility string) *Repository {
	h.next++
	r := &Repository{Path: path, Visibility: visibility, Teams: make(map[string]string), id: h.next}
	h.all[path] = r
	return r
}

// Edit changes a repository, as somebody else does.
func (h *Host) Edit(path string, edit func(*Repository)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	edit(h.all[path])
}

// Repository returns a copy of a repository; false if there is none.
func (h *Host) Repository(path string) (Repository, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.all[path]
	if !ok {
		return Repository{}, false
	}
	c := *r
	c.Teams, c.Keys, c.Tokens = maps.Clone(r.Teams), slices.Clone(r.Keys), slices.Clone(r.Tokens)
	return c, true
}

// Counts returns the requests so far.
func (h *Host) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// request is one that was let in.
type request struct {
	*http.Request
	body map[string]any
}

func (r request) text(key string) string { s, _ := r.body[key].(string); return s }

func (r request) flag(key string) bool { b, _ := r.body[key].(bool); return b }

// answer is a status, and what goes with it.
type answer struct {
	status int
	body   any
}

func missing() answer { return answer{http.StatusNotFound, said("404 Not Found")} }

func refused(why string) answer { return answer{http.StatusUnprocessableEntity, said(why)} }

func said(text string) any { return map[string]string{"message": text} }

// handler serves the API, and the rest.
func (h *Host) handler() *http.ServeMux {
	mux := http.NewServeMux()
	routes := map[pullrequest.Kind]func(add func(string, func(request) answer)){
		pullrequest.GitHub: h.github, pullrequest.GitLab: h.gitlab, pullrequest.Gitea: h.gitea,
	}
	routes[h.Kind](func(pattern string, do func(request) answer) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+h.Kind.Base(&url.URL{Host: "here"}).Path+path, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, do) })
	})
	if h.Rest != nil {
		mux.Handle("/", h.Rest)
	}
	return mux
}

// serve lets a request in and answers it.
func (h *Host) serve(w http.ResponseWriter, r *http.Request, do func(request) answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Method == http.MethodGet {
		h.counts.Questions++
	} else {
		h.counts.Changes++
	}
	a := answer{http.StatusUnauthorized, said("401 Unauthorized")}
	if token := r.Header.Get("Authorization"); token == "Bearer "+h.Token || token == "token "+h.Token {
		in := request{Request: r}
		if data, _ := io.ReadAll(r.Body); len(data) > 0 && json.Unmarshal(data, &in.body) != nil {
			a = answer{http.StatusBadRequest, said("no JSON")}
		} else {
			a = do(in)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if a.body != nil {
		_ = json.NewEncoder(w).Encode(a.body) // the client has gone
	}
}

// create makes a repository, unless there is one.
func (h *Host) create(path, visibility string) (*Repository, string) {
	if _, there := h.all[path]; there {
		return nil, "name already exists on this account"
	}
	if h.Created != nil {
		if err := h.Created(path); err != nil {
			return nil, err.Error()
		}
	}
	return h.add(path, visibility), ""
}

// addKey adds a deploy key, unless it is there.
func (r *Repository) addKey(h *Host, k Key) (Key, string) {
	for _, other := range r.Keys {
		if sameKey(other.Key, k.Key) {
			return Key{}, "key is already in use"
		}
		if h.Kind == pullrequest.Gitea && other.Title == k.Title {
			return Key{}, "a key with the same name already exists"
		}
	}
	h.next++
	k.ID = h.next
	r.Keys = append(r.Keys, k)
	return k, ""
}

func sameKey(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) > 1 && len(y) > 1 && x[1] == y[1]
}

// deleteKey removes a deploy key, and reports whether it was there.
func (r *Repository) deleteKey(id string) bool {
	n := len(r.Keys)
	r.Keys = slices.DeleteFunc(r.Keys, func(k Key) bool { return fmt.Sprint(k.ID) == id })
	return len(r.Keys) < n
}

func (h *Host) hasGroup(name string) bool { return slices.Contains(h.Groups, name) }
