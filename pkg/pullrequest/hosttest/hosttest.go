// Package hosttest starts small hosts of pull requests for tests: GitHub, GitLab or
// Gitea, as far as package pullrequest asks them, for one repository, in memory.
//
//	h := hosttest.Start(t, hosttest.Options{Kind: "gitlab", Project: "team/app", Token: "t"})
//	h.Push("updates", commit)                  // the branch exists and ends with a commit
//	ask(h.URL()+"/team/app.git")               // or with h.API() for a base URL
//	h.All()                                    // what was opened, the oldest first
//	h.Close(1)                                 // as a person does; also Merge, Edit, Open
//	h.Counts()                                 // requests so far
//	h.Break(hosttest.On("POST", hosttest.Status(502, "")))
//
// A Host that New returns is a handler of HTTP to be put beside another, such as that of
// a Git server, so that both are one host. With Options.End, it asks the Git server what
// branches end with, and needs no Push.
package hosttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Kinds of hosts, as in the annotation of an automation.
const (
	GitHub = "github"
	GitLab = "gitlab"
	Gitea  = "gitea"
)

// States of a pull request.
const (
	Open   = "open"
	Closed = "closed"
	Merged = "merged"
)

// Options are what a host is like.
type Options struct {
	Kind    string
	Project string // path of the repository, such as team/app
	Token   string // that requests must have; none need have one if it is empty
	// Username may go with Token for a password, as Gitea takes it.
	Username string
	// Below is a path that everything is below, such as /forge.
	Below string
	// End returns what a branch ends with, "" if there is no such branch. If it is nil,
	// that is what Push says.
	End func(branch string) string
}

// PullRequest is one, whatever the host calls it.
type PullRequest struct {
	Number      int64
	Title, Body string
	Head, Base  string
	State       string
	Commit      string // that it ends with, or ended with when it was closed
	Fork        bool   // the head is in another repository
}

// Host is a server. Its methods may be called at any time.
type Host struct {
	opts Options
	url  string

	mu       sync.Mutex
	branches map[string]string
	all      []*PullRequest
	recent   []*PullRequest // of all, the one that changed last at the end
	counts   Counts
	fault    Fault
}

// New returns a host that is served by the caller.
func New(o Options) *Host {
	return &Host{opts: o, branches: map[string]string{}}
}

// Start serves a host until the test ends.
func Start(t testing.TB, o Options) *Host {
	t.Helper()
	h := New(o)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// URL is that of the host, below which the repository is; "" if it was not started here.
func (h *Host) URL() string { return h.url + h.opts.Below }

// API is the base URL of the API.
func (h *Host) API() string { return h.url + h.below() }

// below is the path of the API.
func (h *Host) below() string {
	return h.opts.Below + map[string]string{GitHub: "/api/v3", GitLab: "/api/v4", Gitea: "/api/v1"}[h.opts.Kind]
}

// Push says what a branch ends with.
func (h *Host) Push(branch, commit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.branches[branch] = commit
}

// Delete deletes a branch. Pull requests of it are closed.
func (h *Host) Delete(branch string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.all {
		if p.Head == branch && p.State == Open && !p.Fork {
			h.end(p, Closed)
		}
	}
	delete(h.branches, branch)
}

// Open opens a pull request as a person does, and returns its number.
func (h *Host) Open(p PullRequest) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.add(p).Number
}

// Edit changes a pull request as a person does.
func (h *Host) Edit(number int64, edit func(*PullRequest)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.find(number); p != nil {
		edit(p)
		h.touch(p)
	}
}

// Close closes a pull request as a person does.
func (h *Host) Close(number int64) { h.finish(number, Closed) }

// Merge merges a pull request as a person does. What the base ends with afterwards is the
// caller's to Push.
func (h *Host) Merge(number int64) { h.finish(number, Merged) }

func (h *Host) finish(number int64, state string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.find(number); p != nil {
		h.end(p, state)
	}
}

// All returns the pull requests as they are now, the oldest first.
func (h *Host) All() []PullRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]PullRequest, len(h.all))
	for i, p := range h.all {
		all[i] = *p
		all[i].Commit = h.commitOf(p)
	}
	return all
}

func (h *Host) add(p PullRequest) *PullRequest {
	p.Number, p.State = int64(len(h.all))+1, Open
	h.all = append(h.all, &p)
	h.recent = append(h.recent, &p)
	return &p
}

func (h *Host) find(number int64) *PullRequest {
	if number < 1 || number > int64(len(h.all)) {
		return nil
	}
	return h.all[number-1]
}

// touch notes that p has changed.
func (h *Host) touch(p *PullRequest) {
	h.recent = append(slices.DeleteFunc(h.recent, func(other *PullRequest) bool { return other == p }), p)
}

// end ends p: what it ended with stays.
func (h *Host) end(p *PullRequest, state string) {
	p.Commit, p.State = h.commitOf(p), state
	h.touch(p)
}

// commitOf returns what p ends or ended with.
func (h *Host) commitOf(p *PullRequest) string {
	if p.State == Open && !p.Fork {
		return h.endOf(p.Head)
	}
	return p.Commit
}

func (h *Host) endOf(branch string) string {
	if h.opts.End != nil {
		return h.opts.End(branch)
	}
	return h.branches[branch]
}

// ServeHTTP answers one request.
func (h *Host) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	h.counts.add(req)
	fault := h.fault
	h.mu.Unlock()
	if fault == nil || !fault(w, req) {
		h.serve(w, req)
	}
}

func (h *Host) serve(w http.ResponseWriter, req *http.Request) {
	if !h.letIn(req) {
		answer(w, http.StatusUnauthorized, map[string]any{"message": "Bad credentials"})
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	project := strings.ReplaceAll(h.opts.Project, "/", "%2F")
	collection := "/projects/" + project + "/merge_requests"
	if h.opts.Kind != GitLab {
		collection = "/repos/" + h.opts.Project + "/pulls"
	}
	path := req.URL.EscapedPath()
	rest, ok := strings.CutPrefix(path, h.below()+collection)
	name, named := strings.CutPrefix(path, h.below()+"/repos/"+h.opts.Project+"/git/refs/pull/")
	switch {
	case named && h.opts.Kind == Gitea && req.Method == http.MethodGet:
		h.serveRef(w, name)
	case ok && rest == "" && req.Method == http.MethodGet:
		h.serveList(w, req.URL.Query())
	case ok && rest == "" && req.Method == http.MethodPost:
		h.serveCreate(w, req)
	case ok && req.Method == map[string]string{GitHub: http.MethodPatch, GitLab: http.MethodPut, Gitea: http.MethodPatch}[h.opts.Kind]:
		h.serveUpdate(w, req, strings.TrimPrefix(rest, "/"))
	default:
		answer(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
	}
}

// letIn reports whether a request has the token, in one of the ways of the host.
func (h *Host) letIn(req *http.Request) bool {
	if h.opts.Token == "" {
		return true
	}
	given := req.Header.Get("Authorization")
	user, password, basic := req.BasicAuth()
	switch {
	case given == "Bearer "+h.opts.Token:
		return true
	case h.opts.Kind == GitLab:
		return req.Header.Get("Private-Token") == h.opts.Token
	case h.opts.Kind == Gitea && basic:
		return user == h.opts.Username && password == h.opts.Token
	default:
		return given == "token "+h.opts.Token
	}
}

// serveRef is the ref that Gitea keeps of a pull request.
func (h *Host) serveRef(w http.ResponseWriter, name string) {
	number, err := strconv.ParseInt(strings.TrimSuffix(name, "/head"), 10, 64)
	p := h.find(number)
	if err != nil || p == nil {
		answer(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
		return
	}
	answer(w, http.StatusOK, []any{map[string]any{
		"ref": "refs/pull/" + name, "object": map[string]any{"type": "commit", "sha": h.commitOf(p)},
	}})
}

func (h *Host) serveList(w http.ResponseWriter, query url.Values) {
	listed := []any{}
	from := h.all
	if h.opts.Kind == Gitea && query.Get("sort") == "recentupdate" {
		from = h.recent
	}
	for _, p := range slices.Backward(from) {
		if h.matches(p, query) {
			listed = append(listed, h.render(p))
		}
	}
	size, err := strconv.Atoi(query.Get("per_page") + query.Get("limit"))
	if err != nil || size < 1 {
		size = 20
	}
	page, err := strconv.Atoi(query.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	start := min((page-1)*size, len(listed))
	answer(w, http.StatusOK, listed[start:min(start+size, len(listed))])
}

// matches reports whether p is asked for, as far as the host has filters. That of Gitea
// by the base is not in all versions, so it is not here.
func (h *Host) matches(p *PullRequest, query url.Values) bool {
	state := query.Get("state")
	if h.opts.Kind == GitLab && state == "opened" {
		state = Open
	}
	if state != "all" && state != "" && (state == Open) != (p.State == Open) {
		return false
	}
	wants := func(name, value string) bool { return query.Get(name) == "" || query.Get(name) == value }
	switch h.opts.Kind {
	case GitHub:
		return wants("head", h.owner(p)+":"+p.Head) && wants("base", p.Base)
	case GitLab:
		return wants("source_branch", p.Head) && wants("target_branch", p.Base)
	default:
		return true
	}
}

// owner is whose the repository of p's head is.
func (h *Host) owner(p *PullRequest) string {
	if p.Fork {
		return "stranger"
	}
	owner, _, _ := strings.Cut(h.opts.Project, "/")
	return owner
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone is its own matter
}
