package pullrequest_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
	"weir.dev/pkg/pullrequest/hosttest"
)

const (
	token   = "t0p-s3cret-token"
	project = "team/app"
	first   = "1111111111111111111111111111111111111111"
	second  = "2222222222222222222222222222222222222222"
)

// world is a host with a branch that was pushed, and a client that may ask it.
type world struct {
	*hosttest.Host
	client *pullrequest.Host
}

// onEach runs a test for each kind of host.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, kind := range []string{hosttest.GitHub, hosttest.GitLab, hosttest.Gitea} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind))
		})
	}
}

func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	h := hosttest.Start(t, hosttest.Options{Kind: kind, Project: project, Token: token})
	h.Push("main", "0000000000000000000000000000000000000000")
	h.Push("updates", first)
	return &world{Host: h, client: newClient(t, kind, h.URL()+"/"+project+".git")}
}

// newClient returns a client of the host that a Git remote is at.
func newClient(t *testing.T, kind, remote string) *pullrequest.Host {
	t.Helper()
	settings, err := pullrequest.ParseSettings(map[string]string{pullrequest.Annotation: kind})
	if err != nil {
		t.Fatal(err)
	}
	target, err := pullrequest.Locate(settings, remote)
	if err != nil {
		t.Fatal(err)
	}
	access, err := pullrequest.FromGit(target, creds.Git{BearerToken: creds.Hide(token)})
	if err != nil {
		t.Fatal(err)
	}
	transport := access.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	client, err := pullrequest.New(target, access, transport)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// request is that of the first commit, unless change says otherwise.
func request(change ...func(*pullrequest.Request)) pullrequest.Request {
	r := pullrequest.Request{
		Owner: "apps/updates", Head: "updates", Base: "main", Commit: first,
		Title: "Update app to 1.0.1", Body: "It is newer.\nBy one.",
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// next makes a request that of the second commit, with another text.
func next(r *pullrequest.Request) {
	r.Commit, r.Title, r.Body = second, "Update app to 1.0.2", "It is newer still."
}

// ensure fails the test on an error.
func (w *world) ensure(t *testing.T, r pullrequest.Request) pullrequest.PullRequest {
	t.Helper()
	pr, err := w.client.Ensure(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return pr
}

// costs returns what requests a call takes.
func (w *world) costs(call func()) hosttest.Counts {
	before := w.Counts()
	call()
	return w.Counts().Minus(before)
}

// only returns the pull request that is the only one.
func (w *world) only(t *testing.T) hosttest.PullRequest {
	t.Helper()
	all := w.All()
	if len(all) != 1 {
		t.Fatalf("there are %d pull requests, want 1: %+v", len(all), all)
	}
	return all[0]
}

// tells fails the test if a text has the token.
func tells(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, token) {
		t.Errorf("the token is told: %s", text)
	}
}

// before runs something ahead of what the host does for the first request of a method.
func before(method string, act func()) hosttest.Fault {
	done := make(chan struct{}, 1)
	return hosttest.On(method, func(http.ResponseWriter, *http.Request) bool {
		select {
		case done <- struct{}{}:
			act()
		default:
		}
		return false
	})
}

// authority returns the certificate of a server, which signed it itself.
func authority(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
