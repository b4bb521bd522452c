package pullrequest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
	"weir.dev/pkg/pullrequest/hosttest"
)

func TestFromGit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		user string // of the URL of the remote
		api  string
		in   creds.Git
		says string // the error; "" if it is none
	}{
		"a password":               {why: "that is where tokens for Git are", in: creds.Git{Username: creds.Hide("git"), Password: creds.Hide(token)}},
		"a bearer token":           {why: "it is one", in: creds.Git{BearerToken: creds.Hide(token)}},
		"a password in the URL":    {why: "Git takes it as well", user: "git:" + token + "@"},
		"a password beside that":   {why: "a Secret counts for Git, too", user: "git:other@", in: creds.Git{Username: creds.Hide("git"), Password: creds.Hide(token)}},
		"a password, for another":  {why: "an annotation must not lead it away", user: "git:" + token + "@", api: "https://elsewhere.example.com", says: "not at the host of the Git remote"},
		"nothing":                  {why: "a public repository needs none to be read", says: "has no password or token"},
		"an SSH key":               {why: "no API takes one", in: creds.Git{SSH: &creds.SSH{}}, says: "an SSH key is no token"},
		"a token, for another":     {why: "an annotation must not lead credentials away", api: "https://elsewhere.example.com", in: creds.Git{Password: creds.Hide(token)}, says: "not at the host of the Git remote"},
		"a token, without cover":   {why: "nor take the encryption off", api: "http://git.example.com/api/v1", in: creds.Git{Password: creds.Hide(token)}, says: "not at the host of the Git remote"},
		"a token, for the same":    {why: "it is the host that Git shows it to", api: "https://git.example.com/forge/api/v1", in: creds.Git{Password: creds.Hide(token)}},
		"a user name and no token": {why: "a name lets nobody in", in: creds.Git{Username: creds.Hide("git")}, says: "has no password or token"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			annotations := map[string]string{pullrequest.Annotation: "gitea"}
			if tc.api != "" {
				annotations[pullrequest.APIAnnotation] = tc.api
			}
			settings, err := pullrequest.ParseSettings(annotations)
			if err != nil {
				t.Fatal(err)
			}
			target, err := pullrequest.Locate(settings, "https://"+tc.user+"git.example.com/team/app.git")
			if err != nil {
				t.Fatal(err)
			}
			got, err := pullrequest.FromGit(target, tc.in)
			tells(t, fmt.Sprintf("%v %+v %#v %v %v %+v", got, got, got, err, target, struct{ pullrequest.Target }{target}))
			switch {
			case tc.says == "" && (err != nil || got.Token.Reveal() != token):
				t.Errorf("token %q, error %v (%s)", got.Token.Reveal(), err, tc.why)
			case tc.says != "" && (!errors.Is(err, pullrequest.ErrNoToken) || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("error %v, want one that says %q (%s)", err, tc.says, tc.why)
			}
		})
	}
}

func TestFromSecret(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		data map[string]string
		says string
	}{
		"a token":              {why: "with the line end that editors add", data: map[string]string{"token": token + "\n"}},
		"no token":             {why: "the reader learns the key", data: map[string]string{"password": token}, says: `secret 'apps/forge' has no key "token"`},
		"two lines":            {why: "a header has one", data: map[string]string{"token": token + "\nX-Other: 1"}, says: "line break"},
		"an authority of none": {why: "it would not be trusted", data: map[string]string{"token": token, "ca.crt": "x"}, says: "ca.crt"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := map[string][]byte{}
			for key, value := range tc.data {
				data[key] = []byte(value)
			}
			got, err := pullrequest.FromSecret(data, "apps/forge", creds.Proxy{})
			switch {
			case tc.says == "" && (err != nil || got.Token.Reveal() != token):
				t.Errorf("token %q, error %v (%s)", got.Token.Reveal(), err, tc.why)
			case tc.says != "" && (!errors.Is(err, pullrequest.ErrNoToken) || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("error %v, want one that says %q (%s)", err, tc.says, tc.why)
			}
			tells(t, fmt.Sprint(err))
		})
	}
}

// TestPasswordOfGitea: where a password is taken, it goes with its user name.
func TestPasswordOfGitea(t *testing.T) {
	t.Parallel()
	h := hosttest.Start(t, hosttest.Options{Kind: hosttest.Gitea, Project: project, Token: token, Username: "robot"})
	h.Push("updates", first)
	for name, want := range map[string]error{"robot": nil, "other": pullrequest.ErrUnauthorized} {
		err := ask(t, h.URL()+"/"+project, creds.Git{Username: creds.Hide(name), Password: creds.Hide(token)})
		if !errors.Is(err, want) {
			t.Errorf("as %q: error %v, want %v", name, err, want)
		}
		tells(t, fmt.Sprint(err))
	}
}

// TestGoesThroughTheProxy: the host is not asked by another way.
func TestGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	h := hosttest.Start(t, hosttest.Options{Kind: hosttest.Gitea, Project: project, Token: token})
	h.Push("updates", first)
	through := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		through <- req.Method
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(proxy.Close)
	way, err := creds.NewProxy(map[string][]byte{"address": []byte(proxy.URL)}, "proxy")
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, "http://git.example.com/"+project, creds.Git{BearerToken: creds.Hide(token), Proxy: way}); err != nil {
		t.Fatal(err)
	}
	if len(through) != 2 {
		t.Errorf("%d requests went through the proxy, want 2", len(through))
	}
}

// TestTrustsTheAuthority: and nobody else.
func TestTrustsTheAuthority(t *testing.T) {
	t.Parallel()
	h := hosttest.New(hosttest.Options{Kind: hosttest.Gitea, Project: project, Token: token})
	h.Push("updates", first)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	c := creds.Git{BearerToken: creds.Hide(token)}
	if err := ask(t, s.URL+"/"+project, c); err == nil {
		t.Error("a certificate of nobody was trusted")
	}
	if n := h.Counts().Sum(); n > 0 {
		t.Errorf("it was asked %d times", n)
	}
	c.TLS.CA = authority(s)
	if err := ask(t, s.URL+"/"+project, c); err != nil {
		t.Error(err)
	}
}

// ask opens a pull request on a Gitea.
func ask(t *testing.T, remote string, c creds.Git) error {
	t.Helper()
	settings := pullrequest.Settings{Kind: pullrequest.Gitea}
	target, err := pullrequest.Locate(settings, remote)
	if err != nil {
		t.Fatal(err)
	}
	access, err := pullrequest.FromGit(target, c)
	if err != nil {
		t.Fatal(err)
	}
	transport := access.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	client, err := pullrequest.New(target, access, transport)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = client.Ensure(ctx, request())
	return err
}
