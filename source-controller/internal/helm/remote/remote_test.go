package remote_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/source-controller/internal/helm/remote"
)

const limit = 1 << 20

// seen is what a server saw of a request.
type seen struct{ Path, Query, Login string }

// server answers by path, and remembers.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

func serve(t *testing.T, answers map[string]http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		s.mu.Lock()
		s.seen = append(s.seen, seen{Path: req.URL.Path, Query: req.URL.RawQuery, Login: user + ":" + password})
		s.mu.Unlock()
		if answer := answers[req.URL.Path]; answer != nil {
			answer(w, req)
			return
		}
		http.NotFound(w, req)
	}))
	t.Cleanup(s.Close)
	return s
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func login() creds.Basic {
	return creds.Basic{Username: creds.Hide("me"), Password: creds.Hide("secret")}
}

func repository(t *testing.T, access remote.Access) *remote.Repository {
	t.Helper()
	r, err := new(remote.Wires).Repository(access)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFindsTheIndex: whatever slashes a URL ends with, and what is behind them.
func TestFindsTheIndex(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		suffix string
		want   seen
	}{
		"no slash":   {"/charts", seen{Path: "/charts/index.yaml", Login: ":"}},
		"a slash":    {"/charts/", seen{Path: "/charts/index.yaml", Login: ":"}},
		"slashes":    {"/charts///", seen{Path: "/charts/index.yaml", Login: ":"}},
		"no path":    {"", seen{Path: "/index.yaml", Login: ":"}},
		"a query":    {"/charts?token=x", seen{Path: "/charts/index.yaml", Query: "token=x", Login: ":"}},
		"a fragment": {"/charts#x", seen{Path: "/charts/index.yaml", Login: ":"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, map[string]http.HandlerFunc{tc.want.Path: text("index")})
			got, err := repository(t, remote.Access{URL: s.URL + tc.suffix}).Index(t.Context(), remote.Validators{}, limit)
			if err != nil || string(got.Data) != "index" {
				t.Errorf("Index = %q, %v", got.Data, err)
			}
			if diff := cmp.Diff([]seen{tc.want}, s.seen); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFindsCharts: an index may name them in many ways.
func TestFindsCharts(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"/charts/a.tgz": text("a"), "/b.tgz": text("b"), "/charts/sub/c.tgz": text("c")})
	r := repository(t, remote.Access{URL: s.URL + "/charts?token=x"})
	tests := map[string]struct {
		url, want, query string
		err              error
	}{
		"relative":       {url: "a.tgz", want: "a", query: "token=x"},
		"below":          {url: "sub/c.tgz", want: "c", query: "token=x"},
		"from the root":  {url: "/b.tgz", want: "b", query: "token=x"},
		"absolute":       {url: s.URL + "/b.tgz", want: "b"},
		"with a query":   {url: "a.tgz?x=y", want: "a", query: "x=y"},
		"not there":      {url: "none.tgz", err: remote.ErrNotFound},
		"another scheme": {url: "ftp://example.com/a.tgz", err: remote.ErrInvalidURL},
		"a file":         {url: "file:///etc/passwd", err: remote.ErrInvalidURL},
		"no URL":         {url: "http://[", err: remote.ErrInvalidURL},
	}
	for name, tc := range tests {
		got, err := r.Chart(t.Context(), tc.url, limit)
		if !errors.Is(err, tc.err) || string(got) != tc.want {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, tc.want, tc.err)
		}
		if tc.err != nil {
			continue
		}
		s.mu.Lock()
		if last := s.seen[len(s.seen)-1]; last.Query != tc.query {
			t.Errorf("%s: the query is %q; want %q", name, last.Query, tc.query)
		}
		s.mu.Unlock()
	}
}

// TestWhoSeesCredentials asks for a chart on another host, and is sent to another one.
func TestWhoSeesCredentials(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why               string
		pass              bool
		redirect          bool
		own, other, third string // the logins that were seen
	}{
		"of the host itself": {redirect: false, own: "me:secret", other: ":", why: "the other host is another"},
		"passed on":          {pass: true, own: "me:secret", other: "me:secret"},
		"redirected":         {redirect: true, own: "me:secret", other: ":", third: ":"},
		"passed on and redirected": {
			why: "they are for the host in the index, not for whom it likes", pass: true, redirect: true, own: "me:secret", other: "me:secret", third: ":",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			third := serve(t, map[string]http.HandlerFunc{"/c.tgz": text("c")})
			answer := text("c")
			if tc.redirect {
				answer = func(w http.ResponseWriter, req *http.Request) {
					http.Redirect(w, req, third.URL+"/c.tgz", http.StatusFound)
				}
			}
			other := serve(t, map[string]http.HandlerFunc{"/c.tgz": answer})
			own := serve(t, map[string]http.HandlerFunc{"/index.yaml": text("x"), "/own.tgz": text("c")})
			r := repository(t, remote.Access{URL: own.URL, Login: login(), PassCredentials: tc.pass})
			if _, err := r.Index(t.Context(), remote.Validators{}, limit); err != nil {
				t.Fatal(err)
			}
			for _, u := range []string{other.URL + "/c.tgz", "own.tgz"} {
				if got, err := r.Chart(t.Context(), u, limit); err != nil || string(got) != "c" {
					t.Fatalf("%s: %q, %v", u, got, err)
				}
			}
			for _, s := range []struct {
				server *server
				want   string
			}{{own, tc.own}, {other, tc.other}, {third, tc.third}} {
				for _, r := range s.server.seen {
					if r.Login != s.want {
						t.Errorf("%s saw %q; want %q (%s)", s.server.URL, r.Login, s.want, tc.why)
					}
				}
			}
			if tc.redirect != (len(third.seen) == 1) {
				t.Errorf("the third host saw %v", third.seen)
			}
		})
	}
}

// TestErrorsTellNothing: neither the credentials of a URL, nor where a redirect leads.
func TestErrorsTellNothing(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	s := serve(t, map[string]http.HandlerFunc{"/index.yaml": func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, closed.URL+"/?signature=hidden", http.StatusFound)
	}})
	r := repository(t, remote.Access{URL: strings.Replace(s.URL, "://", "://me:hidden@", 1)})
	var texts []string
	for range 2 {
		_, err := r.Index(t.Context(), remote.Validators{}, limit)
		if !errors.Is(err, remote.ErrServer) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("error %v; want one that tells nothing", err)
		}
		texts = append(texts, err.Error())
	}
	if texts[0] != texts[1] {
		t.Errorf("one failure has two texts: %q", texts)
	}
	if s.seen[0].Login != "me:hidden" {
		t.Errorf("the login is %q; want that of the URL", s.seen[0].Login)
	}
	if _, err := remote.Parse("http://me:hidden@[x"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error %v; want one that tells nothing", err)
	}
	for in, want := range map[string]string{
		"https://me:hidden@example.com/x?token=hidden": "https://example.com/x", "https://example.com/x": "https://example.com/x", "http://me:hidden@[": "…",
	} {
		if got := remote.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q; want %q", in, got, want)
		}
	}
}

// TestLimits: what a server promises counts as much as what it sends.
func TestLimits(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1001)
	s := serve(t, map[string]http.HandlerFunc{
		"/promised.tgz": text(large),
		"/sent.tgz": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = w.Write([]byte(large))
		},
		"/fits.tgz": text(large[1:]),
	})
	r := repository(t, remote.Access{URL: s.URL})
	for file, want := range map[string]error{"promised.tgz": remote.ErrTooLarge, "sent.tgz": remote.ErrTooLarge, "fits.tgz": nil} {
		if _, err := r.Chart(t.Context(), file, 1000); !errors.Is(err, want) {
			t.Errorf("%s: error %v; want %v", file, err, want)
		}
	}
}

// TestUnchangedHasToBeKnown: a server that says so to who knows nothing is broken.
func TestUnchangedHasToBeKnown(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"/index.yaml": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }})
	r := repository(t, remote.Access{URL: s.URL})
	if got, err := r.Index(t.Context(), remote.Validators{}, limit); !errors.Is(err, remote.ErrServer) {
		t.Errorf("Index = %+v, %v; want %v", got, err, remote.ErrServer)
	}
	if got, err := r.Index(t.Context(), remote.Validators{ETag: `"x"`}, limit); err != nil || !got.Unchanged {
		t.Errorf("Index = %+v, %v; want it unchanged", got, err)
	}
}
