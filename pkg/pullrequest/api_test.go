package pullrequest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
)

func TestBase(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind  pullrequest.Kind
		pages string
		want  string
	}{
		"GitHub":               {pullrequest.GitHub, "https://GitHub.com", "https://api.github.com"},
		"a server of GitHub":   {pullrequest.GitHub, "https://git.example.com", "https://git.example.com/api/v3"},
		"GitLab below a path":  {pullrequest.GitLab, "https://example.com/git/", "https://example.com/git/api/v4"},
		"Gitea at a port":      {pullrequest.Gitea, "http://127.0.0.1:3000", "http://127.0.0.1:3000/api/v1"},
		"a tenant of ghe.com":  {pullrequest.GitHub, "https://octo.ghe.com", "https://api.octo.ghe.com"},
		"GitLab at a host":     {pullrequest.GitLab, "https://gitlab.example.com", "https://gitlab.example.com/api/v4"},
		"Gitea at a bare host": {pullrequest.Gitea, "https://example.com", "https://example.com/api/v1"},
	}
	for name, tc := range tests {
		pages, err := url.Parse(tc.pages)
		if err != nil {
			t.Fatal(err)
		}
		if got := tc.kind.Base(pages).String(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestAPI: who asks about other things is told what that takes.
func TestAPI(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := map[string]int{"/api/v1/empty": http.StatusNoContent, "/api/v1/no": http.StatusForbidden}[r.URL.Path]
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		_, _ = w.Write([]byte(`{"path":"` + r.URL.EscapedPath() + `"}`)) // or the client sees it
	}))
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL + "/api/v1")
	if err != nil {
		t.Fatal(err)
	}
	api, err := pullrequest.NewAPI(pullrequest.Gitea, base, pullrequest.Access{Token: creds.Hide(token)}, "the role of a king", s.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Path string `json:"path"`
	}
	if err := api.Do(t.Context(), http.MethodGet, "/a%2Fb", nil, nil, &got); err != nil || got.Path != "/api/v1/a%2Fb" {
		t.Errorf("asked at %q, %v", got.Path, err)
	}
	if err := api.Do(t.Context(), http.MethodGet, "/a", nil, nil, nil); err != nil {
		t.Errorf("of an answer that nobody wants: %v", err)
	}
	if err := api.Do(t.Context(), http.MethodDelete, "/empty", nil, nil, nil); err != nil {
		t.Errorf("of no answer: %v", err)
	}
	if err := api.Do(t.Context(), http.MethodGet, "/empty", nil, nil, &got); !errors.Is(err, pullrequest.ErrAnswer) {
		t.Errorf("of no answer where one is wanted: %v", err)
	}
	err = api.Do(t.Context(), http.MethodGet, "/no", nil, nil, nil)
	if !errors.Is(err, pullrequest.ErrForbidden) || !strings.Contains(err.Error(), "it needs the role of a king") {
		t.Errorf("of what is not allowed: %v", err)
	}
	if _, err := pullrequest.NewAPI(pullrequest.Gitea, base, pullrequest.Access{}, "", nil); !errors.Is(err, pullrequest.ErrNoToken) {
		t.Errorf("without a token: %v", err)
	}
}
