package bootstrap

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
)

// asked answers a host's questions in the place of the host.
type asked func(*http.Request) string

func (a asked) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a(r))), Request: r}, nil
}

// TestProposalIsOfNoAutomation: an ImageUpdateAutomation describes a pull request anew that
// is its own. It has a namespace and a name, which may be those of the installation.
func TestProposalIsOfNoAutomation(t *testing.T) {
	t.Parallel()
	host, err := provider.New(provider.Options{
		Kind: pullrequest.GitHub, Pages: &url.URL{Scheme: "https", Host: "git.example.com"}, Owner: "team", Name: "fleet", Token: creds.Hide("t"),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := ""
	h := &Host{Host: host, found: host.Clone(), Transport: asked(func(r *http.Request) string {
		if r.Method == http.MethodGet {
			return "[]"
		}
		body, _ := io.ReadAll(r.Body)
		opened = string(body)
		return `{"number":7,"html_url":"https://git.example.com/team/fleet/pull/7"}`
	})}
	o := Options{Branch: "main", PullRequest: "setup"}
	o.Install.Namespace = "flux-system"
	at, err := h.propose(t.Context(), o, published{})
	if err != nil || at != "https://git.example.com/team/fleet/pull/7" {
		t.Fatalf("%q, %v", at, err)
	}
	_, marker, found := strings.Cut(opened, "automation=")
	owner, _, _ := strings.Cut(marker, " ")
	if !found || owner == "" || strings.Count(owner, "/") == 1 {
		t.Errorf("the pull request is of %q, which may be an automation:\n%s", owner, opened)
	}
}
