package git_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// fleet starts a server with a repository of one commit.
func fleet(t *testing.T, opts gitserver.Options, start func(testing.TB, gitserver.Options) *gitservertest.Server) *gitservertest.Server {
	t.Helper()
	s := start(t, opts)
	s.Repo("fleet").Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"))
	return s
}

var app = map[string]string{"app.yaml": "kind: App\n"}

// silent checks that an error is the one that is wanted, says something, and tells none
// of the secrets of these tests, which all end in "-value".
func silent(t *testing.T, err, is error, says ...string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Errorf("%v, want %v", err, is)
		return
	}
	for _, what := range says {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("%q does not say %q", err, what)
		}
	}
	if strings.Contains(err.Error(), "-value") {
		t.Errorf("%q tells a secret", err)
	}
}

func TestHTTPCredentials(t *testing.T) {
	t.Parallel()
	basic := gitserver.Options{Username: "user-value", Password: "pw-value"}
	bearer := gitserver.Options{BearerToken: "token-value"}
	password := func(user, pw string) creds.Git {
		return creds.Git{Username: creds.Hide(user), Password: creds.Hide(pw)}
	}
	tests := map[string]struct {
		why    string
		server gitserver.Options
		creds  creds.Git
		inURL  string
		says   string // of ErrUnauthorized; "" means that it works
	}{
		"basic":            {server: basic, creds: password("user-value", "pw-value")},
		"basic by URL":     {server: basic, inURL: "user-value:pw-value@"},
		"a Secret wins":    {why: "the URL is what everybody may read", server: basic, creds: password("user-value", "pw-value"), inURL: "user-value:other-value@"},
		"odd characters":   {server: gitserver.Options{Username: "me", Password: "a:b/@%-value"}, creds: password("me", "a:b/@%-value")},
		"odd, by URL":      {server: gitserver.Options{Username: "me", Password: "a:b/@%-value"}, inURL: "me:a%3Ab%2F%40%25-value@"},
		"wrong password":   {server: basic, creds: password("user-value", "no-value"), says: "refuses the credentials"},
		"wrong, by URL":    {server: basic, inURL: "user-value:no-value@", says: "refuses the credentials"},
		"none":             {server: basic, says: "wants credentials"},
		"bearer":           {server: bearer, creds: creds.Git{BearerToken: creds.Hide("token-value")}},
		"wrong bearer":     {server: bearer, creds: creds.Git{BearerToken: creds.Hide("no-value")}, says: "refuses the credentials"},
		"no bearer":        {server: bearer, says: "wants credentials"},
		"password for it":  {server: bearer, creds: password("user-value", "token-value"), says: "refuses the credentials"},
		"nobody asks":      {why: "credentials that are not needed do no harm", creds: password("user-value", "pw-value")},
		"nobody asks none": {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.server.Backend = gitserver.GoGit
			s := fleet(t, tc.server, gitservertest.Start)
			url := strings.Replace(s.URL("fleet"), "://", "://"+tc.inURL, 1)
			snapshot, err := follow(t, remoteAt(t, url, tc.creds)).try(branch("main"))
			if tc.says != "" {
				silent(t, err, git.ErrUnauthorized, tc.says, s.URL("fleet"))
				return
			}
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(app, content(t, snapshot)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHTTPRefusals(t *testing.T) {
	t.Parallel()
	secret := creds.Git{Username: creds.Hide("user-value"), Password: creds.Hide("pw-value")}
	tests := map[string]struct {
		why   string
		fault gitserver.Middleware
		creds creds.Git
		is    error
		says  string
	}{
		"401":            {fault: gitserver.Status(401), is: git.ErrUnauthorized, says: "wants credentials"},
		"401, with":      {fault: gitserver.Status(401), creds: secret, is: git.ErrUnauthorized, says: "refuses"},
		"403":            {why: "that is how a revoked token looks", fault: gitserver.Status(403), creds: secret, is: git.ErrUnauthorized, says: "refuses"},
		"404":            {fault: gitserver.Status(404), creds: secret, is: git.ErrNotFound},
		"410":            {fault: gitserver.Status(410), is: git.ErrNotFound},
		"500":            {fault: gitserver.Status(500), creds: secret, is: git.ErrProtocol, says: "500 Internal Server Error"},
		"429":            {fault: gitserver.Status(429), is: git.ErrProtocol, says: "429"},
		"redirect, bare": {why: "nobody says where to", fault: gitserver.Status(302), is: git.ErrProtocol, says: "302"},
		"login page":     {fault: gitserver.Garbage("text/html"), is: git.ErrProtocol, says: "text/html"},
		"no type":        {fault: gitserver.Garbage("application/octet-stream"), is: git.ErrProtocol, says: "no smart-HTTP Git repository"},
		"garbage":        {fault: gitserver.Garbage(""), is: git.ErrProtocol, says: "reading refs"},
		"empty":          {fault: answer("application/x-git-upload-pack-advertisement", ""), is: git.ErrProtocol, says: "reading refs"},
		"refusal":        {fault: answer("application/x-git-upload-pack-advertisement", "0010ERR go away\n"), is: git.ErrProtocol, says: "go away"},
		"echo":           {why: "what it says may be shown to others", fault: answer("application/x-git-upload-pack-advertisement", refusal("no pw-value here")), creds: secret, is: git.ErrProtocol, says: "here"},
		"cut refs":       {fault: answer("application/x-git-upload-pack-advertisement", "001e# service=git-upload-pack\n0000003f"), is: git.ErrProtocol, says: "reading refs"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.Start)
			s.Faults.Set(gitserver.Only(gitserver.Advertisement, tc.fault))
			f := follow(t, remoteAt(t, s.URL("fleet"), tc.creds))
			_, err := f.dial()
			silent(t, err, tc.is, tc.says)
			s.Faults.Set(nil)
			if _, err := f.try(branch("main")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// refusal is how a remote says why it does not answer.
func refusal(why string) string { return fmt.Sprintf("%04xERR %s\n", len(why)+len("0000ERR \n"), why) }

// answer answers 200 with a body of a type.
func answer(contentType, body string) gitserver.Middleware {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write([]byte(body)) // a client that is gone gets nothing
		})
	}
}

func TestHTTPRefusedPacks(t *testing.T) {
	t.Parallel()
	const result = "application/x-git-upload-pack-result"
	tests := map[string]struct {
		why   string
		fault gitserver.Middleware
		is    error
		says  string
	}{
		"401":             {why: "some servers ask only now", fault: gitserver.Status(401), is: git.ErrUnauthorized},
		"500":             {fault: gitserver.Status(500), is: git.ErrProtocol, says: "500"},
		"login page":      {fault: gitserver.Garbage("text/html"), is: git.ErrProtocol},
		"garbage":         {fault: gitserver.Garbage(""), is: git.ErrProtocol},
		"empty":           {fault: answer(result, ""), is: git.ErrProtocol},
		"refusal":         {fault: answer(result, "0010ERR go away\n"), is: git.ErrProtocol, says: "go away"},
		"echo":            {why: "what it says may be shown to others", fault: answer(result, refusal("no pw-value here")), is: git.ErrProtocol, says: "here"},
		"echo, not found": {fault: answer(result, refusal("not our ref pw-value")), is: git.ErrNoRef, says: "not our ref"},
		"echo, no words":  {why: "libraries quote it", fault: answer(result, "0010pw-value pw\n"), is: git.ErrProtocol},
		"no pack":         {fault: answer(result, "0008NAK\n"), is: git.ErrProtocol, says: "reading pack"},
		"no pack's bytes": {fault: answer(result, "0008NAK\nPUCK and more of it than a header has"), is: git.ErrProtocol, says: "reading pack"},
		"another pack":    {why: "an empty one, which has not what was asked for", fault: answer(result, "0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"), is: git.ErrProtocol, says: "did not send"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fleet(t, gitserver.Options{Backend: gitserver.GoGit, Username: "user-value", Password: "pw-value"}, gitservertest.Start)
			f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{Username: creds.Hide("user-value"), Password: creds.Hide("pw-value")}))
			s.Faults.Set(gitserver.Only(gitserver.UploadPack, tc.fault))
			_, err := f.try(branch("main"))
			silent(t, err, tc.is, tc.says)
			s.Faults.Set(nil)
			if diff := cmp.Diff(app, content(t, f.fetch(branch("main")))); diff != "" {
				t.Errorf("content afterwards (-want +got):\n%s%s", diff, tc.why)
			}
			if left := f.onDisk(temporary); len(left) > 0 {
				t.Errorf("left on disk: %v", left)
			}
		})
	}
}

// temporary fits the files that are there only while something is written.
func temporary(name string) bool { return strings.Contains(name, "tmp") }

func TestHTTPTrust(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit, Username: "user-value", Password: "pw-value"}, gitservertest.StartTLS)
	other, err := gitserver.NewCertificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		ca []byte
		is error
	}{
		"its own":  {ca: s.CA},
		"nobody's": {is: git.ErrUntrusted},
		"another":  {ca: other.CA, is: git.ErrUntrusted},
		"both":     {ca: append(other.CA[:len(other.CA):len(other.CA)], s.CA...)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := creds.Git{Username: creds.Hide("user-value"), Password: creds.Hide("pw-value"), TLS: creds.TLS{CA: tc.ca}}
			snapshot, err := follow(t, remoteAt(t, s.URL("fleet"), c)).try(branch("main"))
			if tc.is != nil {
				silent(t, err, tc.is, "certificate")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(app, content(t, snapshot)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTrustIsNotShared: one client has connections for several remotes, and who trusts
// an authority is alone with that.
func TestTrustIsNotShared(t *testing.T) {
	t.Parallel()
	s := fleet(t, gitserver.Options{Backend: gitserver.GoGit}, gitservertest.StartTLS)
	client := git.NewClient(git.Limits{})
	for i, ca := range [][]byte{s.CA, nil, s.CA} {
		conn, err := client.Dial(soon(t), remoteAt(t, s.URL("fleet"), creds.Git{TLS: creds.TLS{CA: ca}}))
		if want := ca != nil; (err == nil) != want {
			t.Errorf("dial %d: %v, want success %v", i, err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestHTTPKeepsEscapedPaths(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit, Middleware: []gitserver.Middleware{func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, r.URL.EscapedPath())
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}}})
	s.Repo("team/fleet").Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"))
	follow(t, remoteAt(t, s.URL("team%2Ffleet/"), creds.Git{})).fetch(branch("main"))
	want := []string{"/team%2Ffleet/info/refs", "/team%2Ffleet/git-upload-pack"}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestHTTPNobodyThere(t *testing.T) {
	t.Parallel()
	const url = "http://user-value:pw-value@127.0.0.1:1/fleet" // where nothing listens
	_, err := follow(t, remoteAt(t, url, creds.Git{})).dial()
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1/fleet") {
		t.Errorf("%v, want an error that names the remote", err)
	}
	silent(t, err, err)
}

// TestHTTPConnectionsAreReused: a new one costs several round trips, at each interval.
func TestHTTPConnectionsAreReused(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		var mu sync.Mutex
		from := make(map[string]int)
		opts.Middleware = append(opts.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				from[r.RemoteAddr]++
				mu.Unlock()
				next.ServeHTTP(w, r)
			})
		})
		_, r, f := serve(t, opts)
		for i := range 4 {
			r.Commit("main", "next", gitserver.File("a", noise(i+1, 50_000)))
			f.fetch(branch("main"))
			f.fetch(branch("main"))
		}
		mu.Lock()
		defer mu.Unlock()
		if len(from) != 1 {
			t.Errorf("requests by connection: %v, want one connection", from)
		}
	})
}
