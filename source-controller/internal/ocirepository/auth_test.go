package ocirepository_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
)

// What nobody but a registry may see. None is part of another.
const (
	user     = "deploy-robot"
	password = "hunter2-password"
	wrong    = "not-what-is-asked"
)

// registries let clients in in different ways, and have the same artifact.
type registries struct {
	basic, bearer, tls, open *ocitest.Registry
	revision                 string
}

func startRegistries(t *testing.T) *registries {
	t.Helper()
	r := &registries{
		basic:  ocitest.Start(t, ocitest.Options{Username: user, Password: password}),
		bearer: ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true}),
		tls:    ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true, TLS: true}),
		open:   ocitest.Start(t, ocitest.Options{}),
	}
	for _, reg := range []*ocitest.Registry{r.basic, r.bearer, r.tls, r.open} {
		r.revision = "latest@" + reg.Push(app, "latest", ocitest.Files(one("kind: App\n"))).String()
	}
	return r
}

// account creates a ServiceAccount with pull secrets.
func (w *world) account(name string, secrets ...*meta.LocalObjectReference) string {
	w.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, ref := range secrets {
		account.ImagePullSecrets = append(account.ImagePullSecrets, corev1.LocalObjectReference{Name: ref.Name})
	}
	w.Create(account)
	return name
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := startRegistries(t)
	login := func(reg *ocitest.Registry, name string) *meta.LocalObjectReference {
		return w.dockerSecret(name, reg, user, password)
	}
	ca := func(name string) *meta.LocalObjectReference {
		return w.Secret(name, map[string]string{"ca.crt": string(r.tls.CA)})
	}
	tests := map[string]func(s *sourcev1.OCIRepositorySpec){
		"open":   func(s *sourcev1.OCIRepositorySpec) { s.URL = r.open.URL(app) },
		"basic":  func(s *sourcev1.OCIRepositorySpec) { s.URL, s.SecretRef = r.basic.URL(app), login(r.basic, "basic") },
		"bearer": func(s *sourcev1.OCIRepositorySpec) { s.URL, s.SecretRef = r.bearer.URL(app), login(r.bearer, "bearer") },
		"account": func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.ServiceAccountName = r.basic.URL(app), w.account("account", login(r.open, "account-other"), login(r.basic, "account-login"))
		},
		"secret-first": func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef = r.basic.URL(app), login(r.basic, "first")
			s.ServiceAccountName = w.account("second", w.dockerSecret("second", r.basic, user, wrong))
		},
		"other-secret": func(s *sourcev1.OCIRepositorySpec) { s.URL, s.SecretRef = r.open.URL(app), login(r.basic, "other") },
		"secret-over-cloud": func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef, s.Provider = r.basic.URL(app), login(r.basic, "over-cloud"), sourcev1.OCIProviderAWS
		},
		"ca": func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef, s.CertSecretRef = r.tls.URL(app), login(r.tls, "ca-login"), ca("ca")
		},
		"legacy-ca": func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef = r.tls.URL(app), login(r.tls, "legacy-login")
			s.CertSecretRef = w.Secret("legacy-ca", map[string]string{"caFile": string(r.tls.CA)})
		},
		"insecure": func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef, s.Insecure = r.tls.URL(app), login(r.tls, "insecure"), true
		},
		"insecure-plain": func(s *sourcev1.OCIRepositorySpec) { s.URL, s.Insecure = r.open.URL(app), true },
	}
	var repos []*sourcev1.OCIRepository
	for name, adjust := range tests {
		repos = append(repos, w.source(name, adjust))
	}
	for _, repo := range repos {
		w.WaitPublished(repo, r.revision)
		w.expectHidden(repo, password, wrong, "registry-token")
	}
}

func TestCredentialsThatDoNotDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := startRegistries(t)
	const auth, pull = sourcev1.ReasonAuthenticationFailed, sourcev1.ReasonOCIArtifactPullFailed
	gone := &meta.LocalObjectReference{Name: "gone"}
	tests := map[string]struct {
		adjust func(s *sourcev1.OCIRepositorySpec)
		reason string
		says   []string
	}{
		"none":        {adjust: func(s *sourcev1.OCIRepositorySpec) { s.URL = r.basic.URL(app) }, reason: pull, says: []string{"failed to determine artifact digest: registry refuses access: no credentials are given"}},
		"none-bearer": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.URL = r.bearer.URL(app) }, reason: pull, says: []string{"failed to determine artifact digest: registry refuses access: no credentials are given"}},
		"wrong": {adjust: func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef = r.basic.URL(app), w.dockerSecret("wrong", r.basic, user, wrong)
		}, reason: pull, says: []string{"refuses access with the credentials given"}},
		"wrong-bearer": {adjust: func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef = r.bearer.URL(app), w.dockerSecret("wrong-bearer", r.bearer, user, wrong)
		}, reason: pull, says: []string{"refuses access with the credentials given"}},
		"no-secret": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.SecretRef = gone }, reason: auth, says: []string{"failed to get credential: failed to get secret 'NS/gone'", "not found"}},
		"no-docker": {adjust: func(s *sourcev1.OCIRepositorySpec) {
			s.SecretRef = w.Secret("no-docker", map[string]string{"username": user})
		}, reason: auth, says: []string{"failed to get credential: secret 'NS/no-docker'"}},
		"no-account": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.ServiceAccountName = "gone" }, reason: auth, says: []string{"failed to get credential: failed to get service account 'NS/gone'"}},
		"no-pull":    {adjust: func(s *sourcev1.OCIRepositorySpec) { s.ServiceAccountName = w.account("no-pull", gone) }, reason: auth, says: []string{"failed to get credential: failed to get secret 'NS/gone'"}},
		"no-cert":    {adjust: func(s *sourcev1.OCIRepositorySpec) { s.CertSecretRef = gone }, reason: auth, says: []string{"failed to generate transport for '", "failed to get secret 'NS/gone'"}},
		"bad-cert": {adjust: func(s *sourcev1.OCIRepositorySpec) {
			s.CertSecretRef = w.Secret("bad-cert", map[string]string{"ca.crt": wrong})
		}, reason: auth, says: []string{"failed to generate transport for '", "secret 'NS/bad-cert'"}},
		"no-proxy": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.ProxySecretRef = gone }, reason: auth, says: []string{"failed to get proxy address: failed to get secret 'NS/gone'"}},
		"bad-proxy": {adjust: func(s *sourcev1.OCIRepositorySpec) {
			s.ProxySecretRef = w.Secret("bad-proxy", map[string]string{"address": "ftp://" + wrong})
		}, reason: auth, says: []string{"failed to get proxy address: secret 'NS/bad-proxy'"}},
		"untrusted": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.URL = r.tls.URL(app) }, reason: pull, says: []string{"registry is not trusted"}},
		"no-cloud":  {adjust: func(s *sourcev1.OCIRepositorySpec) { s.Provider = sourcev1.OCIProviderAWS }, reason: auth, says: []string{"failed to get credential from aws: "}},
	}
	repos := make(map[string]*sourcev1.OCIRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.source(name, tc.adjust)
	}
	for name, tc := range tests {
		for i := range tc.says {
			tc.says[i] = strings.ReplaceAll(tc.says[i], "NS", w.Namespace)
		}
		w.expectFailure(repos[name], sourcev1.ConditionFetchFailed, tc.reason, tc.says...)
		w.expectHidden(repos[name], password, wrong)
	}
	w.WaitEvent(repos["no-secret"], corev1.EventTypeNormal, auth, "auth secret 'gone' not found")
}

func TestRotatedSecretWorksAtTheNextRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := startRegistries(t)
	for name, reg := range map[string]*ocitest.Registry{"basic": r.basic, "bearer": r.bearer} {
		repo := w.source(name, func(s *sourcev1.OCIRepositorySpec) {
			s.URL, s.SecretRef = reg.URL(app), w.dockerSecret(name, reg, user, wrong)
		})
		w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactPullFailed, "refuses access")
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
		set := func(password string) {
			secret.SetManagedFields(nil)
			w.Patch(secret, "test", "stringData: {.dockerconfigjson: '"+reg.DockerConfig(user, password)+"'}")
		}
		set(password)
		w.WaitPublished(repo, r.revision)
		reg.SetLogin(user, "another-password")
		w.Poke(repo)
		w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactPullFailed, "refuses access")
		w.Download(repo) // it stays
		set("another-password")
		w.WaitPublished(repo, r.revision)
		w.expectHidden(repo, password, wrong, "another-password")
	}
}

// TestCredentialsStayWithTheirHost: layers are often stored elsewhere.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := startRegistries(t)
	var seen atomic.Int64
	r.open.Break(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("Authorization") != "" {
			seen.Add(1)
		}
		return false
	})
	r.bearer.Break(ocitest.Only(ocitest.Blob, ocitest.Redirect("http://"+r.open.Host())))
	repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) {
		s.URL, s.SecretRef = r.bearer.URL(app), w.dockerSecret("login", r.bearer, user, password)
	})
	w.WaitPublished(repo, r.revision)
	if n := seen.Load(); n > 0 {
		t.Errorf("the other host saw credentials %d times", n)
	}
	if n := r.open.Counts().Blobs; n != 1 {
		t.Errorf("the other host was asked for %d layers; want one", n)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := startRegistries(t)
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Proxy-Authorization") == "" {
			rw.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if req.Method == http.MethodConnect {
			rw.WriteHeader(http.StatusBadGateway) // the registry speaks no TLS
			return
		}
		asked.Add(1)
		req.RequestURI = ""
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		for key, values := range res.Header {
			rw.Header()[key] = values
		}
		rw.WriteHeader(res.StatusCode)
		_, _ = io.Copy(rw, res.Body) // a client that has gone is its own matter
	}))
	t.Cleanup(proxy.Close)
	repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) {
		s.URL, s.Insecure = r.open.URL(app), true
		s.ProxySecretRef = w.Secret("proxy", map[string]string{"address": proxy.URL, "username": "p", "password": password})
	})
	w.WaitPublished(repo, r.revision)
	if n := asked.Load(); n != 4 {
		t.Errorf("the proxy passed on %d requests; want 4: ping, HEAD, manifest and layer", n)
	}
	w.expectHidden(repo, password)
}
