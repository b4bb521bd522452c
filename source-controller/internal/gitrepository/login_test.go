package gitrepository_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/creds/credstest"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// appServer is a git server that lets in who has a token of a GitHub App.
func appServer(t *testing.T, api *credstest.GitHub) *gitservertest.Server {
	t.Helper()
	return gitservertest.Start(t, gitserver.Options{Middleware: []gitserver.Middleware{func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			if user != "x-access-token" || !slices.Contains(api.Tokens(), password) {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}}})
}

// appSecret is the data of the Secret of an app, with changes.
func appSecret(api *credstest.GitHub, changes ...string) map[string]string {
	data := map[string]string{
		"githubAppID": strconv.Itoa(credstest.AppID), "githubAppInstallationID": strconv.Itoa(credstest.InstallationID),
		"githubAppPrivateKey": string(api.PrivateKey), "githubAppBaseURL": api.URL,
	}
	for i := 0; i < len(changes); i += 2 {
		data[changes[i]] = changes[i+1]
	}
	return data
}

// secretLine is a line of a PEM that nobody may see.
func secretLine(pem string) string { return strings.Split(pem, "\n")[2] }

func TestGitHubApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	api := credstest.StartGitHub(t, time.Hour)
	server := appServer(t, api)
	first := server.Repo("fleet").Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	ref := w.Secret("app", appSecret(api))
	follow := func(name string) *sourcev1.GitRepository {
		return w.source(name, func(spec *sourcev1.GitRepositorySpec) {
			spec.URL, spec.Provider, spec.SecretRef = server.URL("fleet"), sourcev1.GitProviderGitHub, ref
		})
	}
	one := follow("one")
	w.WaitPublished(one, "main@sha1:"+first)
	two := follow("two")
	w.WaitPublished(two, "main@sha1:"+first)
	if n := len(api.Tokens()); n != 1 {
		t.Errorf("%d tokens, want one for both", n)
	}
	if n := server.Counter.Counts().UploadPacks; n != 1 {
		t.Errorf("%d packs, want one for both", n)
	}
	owner := w.source("owner", func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.Provider = server.URL("fleet"), sourcev1.GitProviderGitHub
		spec.SecretRef = w.Secret("owner", appSecret(api, "githubAppInstallationID", "", "githubAppInstallationOwner", "org"))
	})
	w.WaitPublished(owner, "main@sha1:"+first)
	if n := server.Counter.Counts().UploadPacks; n != 1 {
		t.Errorf("%d packs, want one for who names the owner too: it is the same installation", n)
	}
	w.expectHidden(one, append(api.Tokens(), secretLine(string(api.PrivateKey)))...)
}

// TestTokensOfShortLife: each poll has another token, and fetches nothing again.
func TestTokensOfShortLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	api := credstest.StartGitHub(t, time.Second)
	server := appServer(t, api)
	first := server.Repo("fleet").Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet", often, func(spec *sourcev1.GitRepositorySpec) {
		spec.URL, spec.Provider, spec.SecretRef = server.URL("fleet"), sourcev1.GitProviderGitHub, w.Secret("app", appSecret(api))
	})
	w.WaitPublished(repo, "main@sha1:"+first)
	w.Eventually("three tokens", func() bool { return len(api.Tokens()) >= 3 })
	if n := server.Counter.Counts().UploadPacks; n != 1 {
		t.Errorf("%d packs, want one", n)
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	login := credstest.Login{Username: user, Password: password}
	proxies := map[string]*credstest.Proxy{"http": credstest.StartHTTP(t, login), "socks5": credstest.StartSOCKS5(t, login)}
	authority := credstest.NewAuthority(t)
	robot := authority.Issue("robot", time.Now().AddDate(1, 0, 0))
	type data = map[string]string
	type reach struct {
		url    string
		secret data
		proxy  string // "" means none
	}
	tests := map[string]reach{
		"certificate":        {url: certified(t, s.tls, authority), secret: data{"ca.crt": string(authority.CA), "tls.crt": string(robot.Cert), "tls.key": string(robot.Key)}},
		"legacy-certificate": {url: certified(t, s.tls, authority), secret: data{"caFile": string(authority.CA), "certFile": string(robot.Cert), "keyFile": string(robot.Key)}},
	}
	for scheme := range proxies {
		tests[scheme+"-to-http"] = reach{s.basic.URL("fleet"), data{"username": user, "password": password}, scheme}
		tests[scheme+"-to-https"] = reach{s.tls.URL("fleet"), data{"ca.crt": string(s.tls.CA)}, scheme}
		tests[scheme+"-to-ssh"] = reach{s.ssh.SSHURL("fleet"), data{"identity": string(s.ssh.SSH().ClientKey.PEM()), "known_hosts": string(s.ssh.SSH().KnownHosts)}, scheme}
	}
	repos := make(map[string]*sourcev1.GitRepository)
	for name, tc := range tests {
		repos[name] = w.source(name, func(spec *sourcev1.GitRepositorySpec) {
			spec.URL, spec.SecretRef = tc.url, w.Secret(name, tc.secret)
			if tc.proxy != "" {
				spec.ProxySecretRef = w.Secret(name+"-proxy", data{"address": proxies[tc.proxy].URL, "username": user, "password": password})
			}
		})
	}
	for name, repo := range repos {
		w.WaitPublished(repo, s.revision)
		w.expectHidden(repo, append(s.secrets(), secretLine(string(robot.Key)))...)
		tc := tests[name]
		if tc.proxy != "" && !slices.ContainsFunc(proxies[tc.proxy].Targets(), func(target string) bool { return strings.Contains(tc.url, target) }) {
			t.Errorf("%s: %s came past the proxy", name, tc.url)
		}
	}
	if log := w.Log.String(); !strings.Contains(log, "deprecated") || strings.Count(log, "certFile") == 0 {
		t.Error("the log names no deprecated keys")
	}
}

// certified serves the repositories of s to who has a certificate of an authority.
func certified(t *testing.T, s *gitservertest.Server, authority *credstest.Authority) string {
	t.Helper()
	handler, err := gitserver.NewHandler(s.Dir, gitserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{authority.Issue("server", time.Now().AddDate(1, 0, 0)).TLS(t)},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(), MinVersion: tls.VersionTLS12,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + "/fleet"
}

func TestLoginsThatDoNotDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startServers(t)
	api, other := credstest.StartGitHub(t, time.Hour), credstest.StartGitHub(t, time.Hour)
	proxy := credstest.StartHTTP(t, credstest.Login{Username: user, Password: password})
	authority := credstest.NewAuthority(t)
	stranger := authority.Issue("stranger", time.Now().AddDate(1, 0, 0))
	type data = map[string]string
	type spec = sourcev1.GitRepositorySpec
	github := func(d data) func(string, *spec) {
		return func(name string, s *spec) { s.Provider, s.SecretRef = sourcev1.GitProviderGitHub, w.Secret(name, d) }
	}
	through := func(d data) func(string, *spec) {
		return func(name string, s *spec) { s.ProxySecretRef = w.Secret(name, d) }
	}
	const provider, refused = sourcev1.ReasonInvalidProviderConfiguration, sourcev1.ReasonAuthenticationFailed
	tests := map[string]struct {
		set     func(name string, s *spec)
		stalled bool
		reason  string
		says    []string
	}{
		"app-no-secret": {
			set:     func(_ string, s *spec) { s.Provider = sourcev1.GitProviderGitHub },
			stalled: true, reason: provider, says: []string{"secretRef with github app data must be specified when provider is set to github"},
		},
		"app-gone": {
			set: func(name string, s *spec) {
				s.Provider, s.SecretRef = sourcev1.GitProviderGitHub, &meta.LocalObjectReference{Name: name}
			},
			reason: refused, says: []string{"failed to get secret 'NS/app-gone'"},
		},
		"app-no-data":      {set: github(data{"username": user, "password": password}), reason: provider, says: []string{"secret 'NS/app-no-data' has no key \"githubAppID\""}},
		"app-no-key":       {set: github(appSecret(api, "githubAppPrivateKey", wrong)), reason: provider, says: []string{"'NS/app-no-key'", `"githubAppPrivateKey"`}},
		"app-others-key":   {set: github(appSecret(api, "githubAppPrivateKey", string(other.PrivateKey))), reason: refused, says: []string{"the GitHub API refuses the app"}},
		"app-installation": {set: github(appSecret(api, "githubAppInstallationID", "1")), reason: refused, says: []string{"the GitHub App is not installed there"}},
		"app-by-ssh": {
			set: func(name string, g *spec) {
				github(appSecret(api))(name, g)
				g.URL = s.ssh.SSHURL("fleet")
			},
			stalled: true, reason: provider, says: []string{"the provider github needs an https URL"},
		},
		"app-generic": {
			set:    func(name string, s *spec) { s.SecretRef = w.Secret(name, appSecret(api)) },
			reason: provider, says: []string{"secret 'NS/app-generic'", "GitHub App", "spec.provider is not github"},
		},
		"account-no-gate": {
			set:     func(_ string, s *spec) { s.Provider, s.ServiceAccountName = sourcev1.GitProviderAzure, "robot" },
			stalled: true, reason: sourcev1.ReasonFeatureGateDisabled,
			says: []string{"to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"},
		},
		"aws-elsewhere":   {set: func(_ string, s *spec) { s.Provider = sourcev1.GitProviderAWS }, reason: refused, says: []string{"failed to get credential from aws", "CodeCommit"}},
		"azure-elsewhere": {set: func(_ string, s *spec) { s.Provider = sourcev1.GitProviderAzure }, reason: refused, says: []string{"failed to get credential from azure", "dev.azure.com"}},
		"proxy-gone": {
			set:    func(name string, s *spec) { s.ProxySecretRef = &meta.LocalObjectReference{Name: name} },
			reason: refused, says: []string{"failed to get secret 'NS/proxy-gone'"},
		},
		"proxy-no-address": {set: through(data{"username": user}), reason: refused, says: []string{"secret 'NS/proxy-no-address'", `"address"`}},
		"proxy-scheme":     {set: through(data{"address": "ftp://proxy.example.com"}), reason: refused, says: []string{"http, https and socks5"}},
		"proxy-password":   {set: through(data{"address": proxy.URL, "username": user, "password": wrong}), reason: refused, says: []string{"the proxy " + proxy.URL + " refuses the user name and password"}},
		"half-certificate": {
			set: func(name string, s *spec) { s.SecretRef = w.Secret(name, data{"tls.crt": string(stranger.Cert)}) }, reason: refused,
			says: []string{"secret 'NS/half-certificate'", `"tls.key"`},
		},
		"no-certificate": {
			set: func(name string, g *spec) {
				g.URL, g.SecretRef = certified(t, s.tls, authority), w.Secret(name, data{"ca.crt": string(authority.CA)})
			},
			reason: refused, says: []string{"it wants a client certificate, and none is given"},
		},
	}
	repos := make(map[string]*sourcev1.GitRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.source(name, func(g *spec) {
			g.URL = s.bearer.URL("fleet")
			tc.set(name, g)
		})
	}
	for name, tc := range tests {
		repo := repos[name]
		c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, tc.reason)
		for _, part := range tc.says {
			if part = strings.ReplaceAll(part, "NS", w.Namespace); !strings.Contains(c.Message, part) {
				t.Errorf("%s: the condition says\n%s\nwant it to say %q", name, c.Message, part)
			}
		}
		w.expectRefused(repo, tc.stalled, sourcev1.ConditionFetchFailed, c)
		w.WaitEvent(repo, corev1.EventTypeWarning, tc.reason, c.Message)
		w.expectHidden(repo, append(s.secrets(), secretLine(string(api.PrivateKey)), secretLine(string(stranger.Key)))...)
	}
}
