package registry_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/registry"
)

// config is a Docker configuration of registries and who logs in to them.
func config(registries ...string) []byte {
	var auths []string
	for _, r := range registries {
		auths = append(auths, fmt.Sprintf(`%q: {"username": %q, "password": "pw-value"}`, r, "of "+r))
	}
	return []byte(`{"auths": {` + strings.Join(auths, ",") + `}}`)
}

func parsed(t *testing.T, data map[string][]byte) registry.Config {
	t.Helper()
	c, err := registry.Parse(data, "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func secret(data []byte) map[string][]byte { return map[string][]byte{".dockerconfigjson": data} }

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestKeychain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why        string
		registries []string
		target     string // a repository
		want       string // "" means nobody
	}{
		"host":             {registries: []string{"ghcr.example.com"}, target: "ghcr.example.com/team/app", want: "ghcr.example.com"},
		"URL":              {registries: []string{"https://ghcr.example.com"}, target: "ghcr.example.com/team/app", want: "https://ghcr.example.com"},
		"URL of version 2": {registries: []string{"https://ghcr.example.com/v2/"}, target: "ghcr.example.com/team/app", want: "https://ghcr.example.com/v2/"},
		"other host":       {registries: []string{"ghcr.example.com"}, target: "other.example.com/team/app"},
		"end of a host":    {why: "another's registry may be named so", registries: []string{"example.com"}, target: "ghcr.example.com/app"},
		"beginning":        {registries: []string{"ghcr.example.com"}, target: "ghcr.example.com.evil.example.org/app"},
		"docker":           {registries: []string{"https://index.docker.io/v1/"}, target: "index.docker.io/library/app", want: "https://index.docker.io/v1/"},
		"docker in short":  {registries: []string{"docker.io"}, target: "app", want: "docker.io"},
		"port":             {registries: []string{"localhost:5000"}, target: "localhost:5000/app", want: "localhost:5000"},
		"other port":       {why: "another server may listen there", registries: []string{"localhost:5000"}, target: "localhost:5001/app"},
		"any port":         {registries: []string{"localhost"}, target: "localhost:5001/app", want: "localhost"},
		"path":             {registries: []string{"r.example.com/team", "r.example.com"}, target: "r.example.com/team/app", want: "r.example.com/team"},
		"longer path":      {registries: []string{"r.example.com/team", "r.example.com/team/app", "r.example.com"}, target: "r.example.com/team/app", want: "r.example.com/team/app"},
		"other path":       {registries: []string{"r.example.com/team"}, target: "r.example.com/other/app"},
		"part of a path":   {why: "teams are not those that are named alike", registries: []string{"r.example.com/team"}, target: "r.example.com/teamster/app"},
		"star":             {registries: []string{"*.example.com"}, target: "r.example.com/app", want: "*.example.com"},
		"star of a label":  {registries: []string{"r-*.example.com"}, target: "r-eu.example.com/app", want: "r-*.example.com"},
		"star is one":      {registries: []string{"*.example.com"}, target: "a.b.example.com/app"},
		"star last":        {registries: []string{"*.example.com", "r.example.com"}, target: "r.example.com/app", want: "r.example.com"},
		"odd pattern":      {registries: []string{"[.example.com"}, target: "r.example.com/app"},
	}
	for name_, tc := range tests {
		t.Run(name_, func(t *testing.T) {
			t.Parallel()
			keychain := registry.Keychain{parsed(t, secret(config(tc.registries...)))}
			target, err := name.NewRepository(tc.target)
			if err != nil {
				t.Fatal(err)
			}
			auth, err := keychain.Resolve(target)
			if err != nil {
				t.Fatal(err)
			}
			got, err := auth.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			want := authn.AuthConfig{}
			if tc.want != "" {
				want.Username, want.Password = "of "+tc.want, "pw-value"
			}
			got.Auth = "" // the same in another form
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("login (-want +got):\n%s%s", diff, tc.why)
			}
			if keychain.Anonymous(target) != (tc.want == "") {
				t.Errorf("Anonymous() = %v", tc.want != "")
			}
		})
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	login := base64.StdEncoding.EncodeToString([]byte("me:pw:value"))
	tests := map[string]struct {
		data map[string][]byte
		want authn.AuthConfig
	}{
		"auth":           {data: secret([]byte(`{"auths": {"r.example.com": {"auth": "` + login + `"}}}`)), want: authn.AuthConfig{Username: "me", Password: "pw:value", Auth: login}},
		"token":          {data: secret([]byte(`{"auths": {"r.example.com": {"registrytoken": "x"}}}`)), want: authn.AuthConfig{RegistryToken: "x"}},
		"identity":       {data: secret([]byte(`{"auths": {"r.example.com": {"identitytoken": "x"}}}`)), want: authn.AuthConfig{IdentityToken: "x"}},
		"of before":      {data: map[string][]byte{".dockercfg": []byte(`{"r.example.com": {"auth": "` + login + `"}}`)}, want: authn.AuthConfig{Username: "me", Password: "pw:value", Auth: login}},
		"other contents": {data: secret([]byte(`{"credsStore": "x", "HttpHeaders": {}, "auths": {"r.example.com": {"email": "x", "auth": "` + login + `"}}}`)), want: authn.AuthConfig{Username: "me", Password: "pw:value", Auth: login}},
		"empty":          {data: secret([]byte(`{"auths": {"r.example.com": {}}}`))},
		"none":           {data: secret([]byte(`{}`))},
	}
	target := reference(t, "r.example.com/app").Context()
	for name_, tc := range tests {
		auth, err := registry.Keychain{parsed(t, tc.data)}.Resolve(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := auth.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&tc.want, got); diff != "" {
			t.Errorf("%s: login (-want +got):\n%s", name_, diff)
		}
	}
}

func TestSeveralSecrets(t *testing.T) {
	t.Parallel()
	keychain := registry.Keychain{
		{}, // of nothing
		parsed(t, secret(config("a.example.com"))),
		registry.ForHost("b.example.com:5000", creds.Basic{Username: creds.Hide("me"), Password: creds.Hide("pw-value")}),
		parsed(t, secret(config("a.example.com/x", "c.example.com"))),
	}
	for target, want := range map[string]string{
		"a.example.com/x":      "of a.example.com", // the first Secret that fits
		"b.example.com:5000/x": "me",
		"c.example.com/x":      "of c.example.com",
		"d.example.com/x":      "",
	} {
		auth, err := keychain.Resolve(reference(t, target).Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := auth.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		if got.Username != want {
			t.Errorf("%s: %q, want %q", target, got.Username, want)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, what := range []any{keychain, keychain[1], &keychain[1], struct{ k registry.Keychain }{keychain}} {
			if printed := fmt.Sprintf(verb, what); strings.Contains(printed, "-value") {
				t.Errorf("%s tells a password: %s", verb, printed)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name_, tc := range map[string]struct {
		data map[string][]byte
		says string
	}{
		"other type": {data: map[string][]byte{"username": []byte("user-value")}, says: "kubernetes.io/dockerconfigjson"},
		"no JSON":    {data: secret([]byte("json-value")), says: `".dockerconfigjson"`},
		"odd auth":   {data: secret([]byte(`{"auths": {"x": {"auth": "auth-value"}}}`)), says: `".dockerconfigjson"`},
		"odd types":  {data: secret([]byte(`{"auths": "auths-value"}`)), says: `".dockerconfigjson"`},
	} {
		_, err := registry.Parse(tc.data, "ns/name")
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "'ns/name'") || strings.Contains(err.Error(), "-value") {
			t.Errorf("%s: %v, want it to say %q of the Secret, and no value", name_, err, tc.says)
		}
	}
}

// TestLogin tries a registry that wants a password.
func TestLogin(t *testing.T) {
	t.Parallel()
	files := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "pw" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	ref := reference(t, host+"/team/app:v1")
	image, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	us := registry.ForHost(host, creds.Basic{Username: creds.Hide("me"), Password: creds.Hide("pw")})
	if err := remote.Write(ref, image, remote.WithAuthFromKeychain(registry.Keychain{us}), remote.WithContext(t.Context())); err != nil {
		t.Error(err)
	}
	others := registry.ForHost(host, creds.Basic{Username: creds.Hide("me"), Password: creds.Hide("px")})
	if _, err := remote.Head(ref, remote.WithAuthFromKeychain(registry.Keychain{others}), remote.WithContext(t.Context())); err == nil {
		t.Error("a wrong password lets in")
	}
}
