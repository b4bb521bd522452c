package githubapp_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/credstest"
	"weir.dev/pkg/creds/githubapp"
)

// secretOf returns the data of a Secret for the app, which changes are merged into; an
// empty value removes a key.
func secretOf(g *credstest.GitHub, changes ...string) map[string][]byte {
	data := map[string][]byte{
		"githubAppID":             []byte(strconv.Itoa(credstest.AppID)),
		"githubAppInstallationID": []byte(strconv.Itoa(credstest.InstallationID)),
		"githubAppPrivateKey":     g.PrivateKey,
		"githubAppBaseURL":        []byte(g.URL),
	}
	for i := 0; i < len(changes); i += 2 {
		data[changes[i]] = []byte(changes[i+1])
	}
	return data
}

func token(t *testing.T, data map[string][]byte, proxy creds.Proxy) (githubapp.Token, error) {
	t.Helper()
	app, err := githubapp.New(data, "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return app.Token(ctx, proxy, time.Now())
}

func TestToken(t *testing.T) {
	t.Parallel()
	pkcs8 := func(g *credstest.GitHub) string {
		block, _ := pem.Decode(g.PrivateKey)
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	const ask = "POST /api/v3/app/installations/815/access_tokens"
	tests := map[string]struct {
		why     string
		changes func(*credstest.GitHub) []string
		asked   []string
	}{
		"installation": {asked: []string{ask}},
		"slash":        {why: "some write it", changes: func(g *credstest.GitHub) []string { return []string{"githubAppBaseURL", g.URL + "/"} }, asked: []string{ask}},
		"line breaks": {why: "editors add them", changes: func(g *credstest.GitHub) []string {
			return []string{"githubAppID", "4711\n", "githubAppBaseURL", g.URL + "\n"}
		}, asked: []string{ask}},
		"organization": {changes: func(*credstest.GitHub) []string {
			return []string{"githubAppInstallationID", "", "githubAppInstallationOwner", "org"}
		}, asked: []string{"GET /api/v3/orgs/org/installation", ask}},
		"user": {changes: func(*credstest.GitHub) []string {
			return []string{"githubAppInstallationID", "", "githubAppInstallationOwner", "user"}
		}, asked: []string{"GET /api/v3/orgs/user/installation", "GET /api/v3/users/user/installation", ask}},
		"PKCS 8": {changes: func(g *credstest.GitHub) []string { return []string{"githubAppPrivateKey", pkcs8(g)} }, asked: []string{ask}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := credstest.StartGitHub(t, time.Hour)
			var changes []string
			if tc.changes != nil {
				changes = tc.changes(g)
			}
			got, err := token(t, secretOf(g, changes...), creds.Proxy{})
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(g.Tokens(), []string{got.Value.Reveal()}); diff != "" {
				t.Errorf("token (-handed out +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.asked, g.Requests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if left := time.Until(got.Ends); left < 30*time.Minute || left > time.Hour {
				t.Errorf("it ends in %s, want an hour", left)
			}
			if want := fmt.Sprintf("github %s 4711 815", g.URL); got.Identity != want {
				t.Errorf("identity %q, want %q", got.Identity, want)
			}
		})
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	g, other := credstest.StartGitHub(t, time.Hour), credstest.StartGitHub(t, time.Hour)
	tests := map[string]struct {
		data map[string][]byte
		is   error
	}{
		"another's key":     {data: secretOf(g, "githubAppPrivateKey", string(other.PrivateKey)), is: githubapp.ErrRefused},
		"another app":       {data: secretOf(g, "githubAppID", "4712"), is: githubapp.ErrRefused},
		"not installed":     {data: secretOf(g, "githubAppInstallationID", "816"), is: githubapp.ErrNotInstalled},
		"nobody's":          {data: secretOf(g, "githubAppInstallationID", "", "githubAppInstallationOwner", "nobody"), is: githubapp.ErrNotInstalled},
		"odd name of owner": {data: secretOf(g, "githubAppInstallationID", "", "githubAppInstallationOwner", "../app"), is: githubapp.ErrNotInstalled},
		"no API":            {data: secretOf(g, "githubAppBaseURL", strings.TrimSuffix(g.URL, "/v3")), is: githubapp.ErrNotInstalled},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := token(t, tc.data, creds.Proxy{})
			if !errors.Is(err, tc.is) {
				t.Errorf("%v, want %v", err, tc.is)
			}
			if !got.Value.Empty() {
				t.Error("a token beside an error")
			}
		})
	}
}

func TestTokenByTLS(t *testing.T) {
	t.Parallel()
	a := credstest.NewAuthority(t)
	g := credstest.StartGitHub(t, time.Hour, a.Issue("api", time.Now().AddDate(1, 0, 0)).TLS(t))
	if _, err := token(t, secretOf(g, "ca.crt", string(a.CA)), creds.Proxy{}); err != nil {
		t.Error(err)
	}
	if _, err := token(t, secretOf(g), creds.Proxy{}); err == nil {
		t.Error("an API that nobody trusts was told who we are")
	}
	if n := len(g.Requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestTokenThroughProxy(t *testing.T) {
	t.Parallel()
	g := credstest.StartGitHub(t, time.Hour)
	login := credstest.Login{Username: "me", Password: "pw"}
	for _, p := range []*credstest.Proxy{credstest.StartHTTP(t, login), credstest.StartSOCKS5(t, login)} {
		proxy, err := creds.NewProxy(map[string][]byte{"address": []byte(p.URL), "username": []byte("me"), "password": []byte("pw")}, "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token(t, secretOf(g), proxy); err != nil {
			t.Errorf("through %s: %v", p.URL, err)
		}
		if n := len(p.Targets()); n != 1 {
			t.Errorf("%s passed on %d connections, want 1", p.URL, n)
		}
	}
}

// TestAnswers: whatever answers is not believed.
func TestAnswers(t *testing.T) {
	t.Parallel()
	g := credstest.StartGitHub(t, time.Hour)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	type answer = http.HandlerFunc
	text := func(status int, body string) answer {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body)) // who is gone gets nothing
		}
	}
	tests := map[string]answer{
		"error":    text(500, "no"),
		"limit":    text(429, "slower"),
		"page":     text(200, "<html>token-value</html>"),
		"empty":    text(201, ""),
		"no token": text(201, `{"expires_at":"2100-01-01T00:00:00Z"}`),
		"no end":   text(201, `{"token":"token-value"}`),
		"no time":  text(201, `{"token":"token-value","expires_at":"token-value"}`),
		"endless":  text(201, `{"token":"`+strings.Repeat("x", 2<<20)+`","expires_at":"2100-01-01T00:00:00Z"}`),
		"another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"another place": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"/x", http.StatusTemporaryRedirect)
		},
	}
	for name, h := range tests {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		_, err := token(t, secretOf(g, "githubAppBaseURL", server.URL), creds.Proxy{})
		if !errors.Is(err, githubapp.ErrAnswer) || strings.Contains(err.Error(), "-value") {
			t.Errorf("%s: %v, want ErrAnswer and nothing of the answer", name, err)
		}
	}
	owner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusMovedPermanently)
	}))
	t.Cleanup(owner.Close)
	_, err := token(t, secretOf(g, "githubAppBaseURL", owner.URL, "githubAppInstallationID", "", "githubAppInstallationOwner", "org"), creds.Proxy{})
	if !errors.Is(err, githubapp.ErrAnswer) {
		t.Errorf("looking up an owner elsewhere: %v, want ErrAnswer", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	g := credstest.StartGitHub(t, time.Hour)
	authority := credstest.NewAuthority(t)
	elliptic := string(authority.Issue("x", time.Now().AddDate(1, 0, 0)).Key)
	tests := map[string]struct {
		changes []string
		says    string
	}{
		"no id":            {changes: []string{"githubAppID", ""}, says: `"githubAppID"`},
		"id is text":       {changes: []string{"githubAppID", "id-value"}, says: `"githubAppID"`},
		"id is negative":   {changes: []string{"githubAppID", "-1"}, says: `"githubAppID"`},
		"no installation":  {changes: []string{"githubAppInstallationID", ""}, says: `"githubAppInstallationOwner"`},
		"both":             {changes: []string{"githubAppInstallationOwner", "org"}, says: `"githubAppInstallationOwner"`},
		"odd installation": {changes: []string{"githubAppInstallationID", "815/x-value"}, says: `"githubAppInstallationID"`},
		"no key":           {changes: []string{"githubAppPrivateKey", ""}, says: `"githubAppPrivateKey"`},
		"key is no PEM":    {changes: []string{"githubAppPrivateKey", "key-value"}, says: `"githubAppPrivateKey"`},
		"key is no RSA":    {changes: []string{"githubAppPrivateKey", elliptic}, says: `"githubAppPrivateKey"`},
		"URL is none":      {changes: []string{"githubAppBaseURL", "url-value"}, says: `"githubAppBaseURL"`},
		"URL of a file":    {changes: []string{"githubAppBaseURL", "file:///url-value"}, says: `"githubAppBaseURL"`},
		"URL with a user":  {changes: []string{"githubAppBaseURL", "https://me:url-value@example.com"}, says: `"githubAppBaseURL"`},
		"URL with a query": {changes: []string{"githubAppBaseURL", "https://example.com/?x=url-value"}, says: `"githubAppBaseURL"`},
		"authority":        {changes: []string{"ca.crt", "ca-value"}, says: `"ca.crt"`},
	}
	for name, tc := range tests {
		_, err := githubapp.New(secretOf(g, tc.changes...), "ns/name")
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "secret 'ns/name'") || strings.Contains(err.Error(), "-value") {
			t.Errorf("%s: %v, want it to name %s of the Secret, and no value", name, err, tc.says)
		}
	}
}

// TestFingerprint: who has the number of an app but not its key must not get its tokens.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	g, other := credstest.StartGitHub(t, time.Hour), credstest.StartGitHub(t, time.Hour)
	seen := make(map[string]string)
	for name, data := range map[string]map[string][]byte{
		"app":          secretOf(g),
		"other key":    secretOf(g, "githubAppPrivateKey", string(other.PrivateKey)),
		"other app":    secretOf(g, "githubAppID", "1"),
		"installation": secretOf(g, "githubAppInstallationID", "1"),
		"owner":        secretOf(g, "githubAppInstallationID", "", "githubAppInstallationOwner", "org"),
		"API":          secretOf(g, "githubAppBaseURL", other.URL),
	} {
		app, err := githubapp.New(data, "ns/name")
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[app.Fingerprint()]; ok {
			t.Errorf("%s and %s have one fingerprint", name, was)
		}
		seen[app.Fingerprint()] = name
		block, _ := pem.Decode(data["githubAppPrivateKey"])
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			for _, what := range []any{app, &app, struct{ app githubapp.App }{app}} {
				if printed := fmt.Sprintf(verb, what); strings.Contains(printed, strings.Trim(fmt.Sprintf("%d", block.Bytes[40:48]), "[]")) || len(printed) > 1000 {
					t.Errorf("%s tells too much: %.300s", verb, printed)
				}
			}
		}
	}
}
