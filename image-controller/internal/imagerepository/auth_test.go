package imagerepository_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/oci/ocitest"
)

// What nobody but a registry may see. None is part of another.
const (
	user     = "deploy-robot"
	password = "hunter2-password"
	wrong    = "not-what-is-asked"
)

// registries let clients in in different ways, and have the same image.
type registries struct{ basic, bearer, tls, open *ocitest.Registry }

func startRegistries(t *testing.T) registries {
	t.Helper()
	r := registries{
		basic:  ocitest.Start(t, ocitest.Options{Username: user, Password: password}),
		bearer: ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true}),
		tls:    ocitest.Start(t, ocitest.Options{Username: user, Password: password, Bearer: true, TLS: true}),
		open:   ocitest.Start(t, ocitest.Options{}),
	}
	for _, reg := range []*ocitest.Registry{r.basic, r.bearer, r.tls, r.open} {
		reg.Push(app, "1.0.0", ocitest.Files(nil))
	}
	return r
}

func of(r *ocitest.Registry) string { return r.Host() + "/" + app }

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	r := startRegistries(t)
	login := func(reg *ocitest.Registry, name string) *meta.LocalObjectReference {
		return w.dockerSecret(name, reg, user, password)
	}
	ca := func(name string) *meta.LocalObjectReference {
		return w.secret(name, map[string]string{"ca.crt": string(r.tls.CA)})
	}
	tests := map[string]func(s *imagev1.ImageRepositorySpec){
		"open":   func(s *imagev1.ImageRepositorySpec) { s.Image = of(r.open) },
		"basic":  func(s *imagev1.ImageRepositorySpec) { s.Image, s.SecretRef = of(r.basic), login(r.basic, "basic") },
		"bearer": func(s *imagev1.ImageRepositorySpec) { s.Image, s.SecretRef = of(r.bearer), login(r.bearer, "bearer") },
		"account": func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.ServiceAccountName = of(r.basic), w.account("account", login(r.open, "account-other"), login(r.basic, "account-login"))
		},
		"secret-first": func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef = of(r.basic), login(r.basic, "first")
			s.ServiceAccountName = w.account("second", w.dockerSecret("second", r.basic, user, wrong))
		},
		"other-secret": func(s *imagev1.ImageRepositorySpec) { s.Image, s.SecretRef = of(r.open), login(r.basic, "other") },
		"ca": func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef, s.CertSecretRef = of(r.tls), login(r.tls, "ca-login"), ca("ca")
		},
		"one-secret-for-both": func(s *imagev1.ImageRepositorySpec) {
			ref := w.secret("both", map[string]string{"ca.crt": string(r.tls.CA), ".dockerconfigjson": r.tls.DockerConfig(user, password)})
			s.Image, s.SecretRef, s.CertSecretRef = of(r.tls), ref, ref
		},
		"insecure": func(s *imagev1.ImageRepositorySpec) { s.Image, s.Insecure = of(r.open), true },
		"insecure-with-ca": func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef, s.CertSecretRef, s.Insecure = of(r.tls), login(r.tls, "insecure-login"), ca("insecure-ca"), true
		},
	}
	var repos []*imagev1.ImageRepository
	for name, adjust := range tests {
		repos = append(repos, w.image(name, adjust))
	}
	for _, repo := range repos {
		w.waitTags(repo, "1.0.0")
		w.expectHidden(repo, password, wrong, "registry-token")
	}
}

func TestCredentialsThatDoNotDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	r := startRegistries(t)
	const auth, read = imagev1.ReasonAuthenticationFailed, imagev1.ReasonReadOperationFailed
	const options = "failed to configure authentication options: "
	gone := &meta.LocalObjectReference{Name: "gone"}
	tests := map[string]struct {
		adjust func(s *imagev1.ImageRepositorySpec)
		reason string
		says   string
	}{
		"none":        {adjust: func(s *imagev1.ImageRepositorySpec) { s.Image = of(r.basic) }, reason: read, says: "scan failed: registry refuses access: no credentials are given"},
		"none-bearer": {adjust: func(s *imagev1.ImageRepositorySpec) { s.Image = of(r.bearer) }, reason: read, says: "scan failed: registry refuses access: no credentials are given"},
		"wrong": {adjust: func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef = of(r.basic), w.dockerSecret("wrong", r.basic, user, wrong)
		}, reason: read, says: "refuses access with the credentials given"},
		"no-secret": {adjust: func(s *imagev1.ImageRepositorySpec) { s.SecretRef = gone }, reason: auth, says: options + "failed to get secret 'NS/gone'"},
		"no-docker": {adjust: func(s *imagev1.ImageRepositorySpec) {
			s.SecretRef = w.secret("no-docker", map[string]string{"username": user})
		}, reason: auth, says: options + "secret 'NS/no-docker'"},
		"no-account": {adjust: func(s *imagev1.ImageRepositorySpec) { s.ServiceAccountName = "gone" }, reason: auth, says: options + "failed to get service account 'NS/gone'"},
		"no-pull":    {adjust: func(s *imagev1.ImageRepositorySpec) { s.ServiceAccountName = w.account("no-pull", gone) }, reason: auth, says: options + "failed to get secret 'NS/gone'"},
		"no-cert":    {adjust: func(s *imagev1.ImageRepositorySpec) { s.CertSecretRef = gone }, reason: auth, says: options + "TLS: failed to get secret 'NS/gone'"},
		"bad-cert": {adjust: func(s *imagev1.ImageRepositorySpec) {
			s.CertSecretRef = w.secret("bad-cert", map[string]string{"ca.crt": wrong})
		}, reason: auth, says: options + "TLS: secret 'NS/bad-cert'"},
		"bad-proxy": {adjust: func(s *imagev1.ImageRepositorySpec) {
			s.ProxySecretRef = w.secret("bad-proxy", map[string]string{"address": "ftp://" + wrong})
		}, reason: auth, says: options + "the proxy: secret 'NS/bad-proxy'"},
		"untrusted": {adjust: func(s *imagev1.ImageRepositorySpec) { s.Image = of(r.tls) }, reason: read, says: "registry is not trusted"},
		"insecure": {adjust: func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef, s.Insecure = of(r.tls), w.dockerSecret("insecure", r.tls, user, password), true
		}, reason: read, says: "registry is not trusted"},
		"cloud-over-secret": {adjust: func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef, s.Provider = of(r.basic), w.dockerSecret("over", r.basic, user, password), imagev1.ImageProviderAWS
		}, reason: auth, says: options + "aws: "},
	}
	repos := make(map[string]*imagev1.ImageRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.image(name, tc.adjust)
	}
	for name, tc := range tests {
		w.waitFailure(repos[name], tc.reason, strings.ReplaceAll(tc.says, "NS", w.Namespace))
		w.expectHidden(repos[name], password, wrong)
	}
}

// TestSecretsAreFollowed: an edit asks for a scan, whether or not the one before failed.
func TestSecretsAreFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	r := startRegistries(t)
	for name, reg := range map[string]*ocitest.Registry{"basic": r.basic, "bearer": r.bearer} {
		repo := w.image(name, func(s *imagev1.ImageRepositorySpec) {
			s.Image, s.SecretRef = of(reg), w.dockerSecret(name, reg, user, wrong)
		})
		w.waitFailure(repo, imagev1.ReasonReadOperationFailed, "refuses access")
		w.setPassword(name, reg, user, password)
		w.waitTags(repo, "1.0.0")

		reg.SetLogin(user, "another-password")
		reg.Push(app, "1.1.0", ocitest.Files(nil))
		w.setPassword(name, reg, user, "another-password")
		w.waitTags(repo, "1.1.0", "1.0.0") // which nothing but the Secret has asked for
		w.expectHidden(repo, password, wrong, "another-password")
	}
}

// TestASecretThatIsCreatedLate is not waited for by asking again and again.
func TestASecretThatIsCreatedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	r := startRegistries(t)
	repo := w.image("app", func(s *imagev1.ImageRepositorySpec) {
		s.Image, s.SecretRef = of(r.basic), &meta.LocalObjectReference{Name: "login"}
	})
	w.waitFailure(repo, imagev1.ReasonAuthenticationFailed, "failed to get secret")
	w.dockerSecret("login", r.basic, user, password)
	w.waitTags(repo, "1.0.0")
}

func TestProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	var passed atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if given, pass, ok := (&http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}).BasicAuth(); !ok || given != user || pass != password {
			rw.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if req.Method == http.MethodConnect {
			rw.WriteHeader(http.StatusBadGateway) // it is asked whether there is https
			return
		}
		passed.Add(1)
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
	through := func(name, password string) func(s *imagev1.ImageRepositorySpec) {
		return func(s *imagev1.ImageRepositorySpec) {
			s.ProxySecretRef = w.secret(name, map[string]string{"address": proxy.URL, "username": user, "password": password})
		}
	}
	repo := w.image("app", through("proxy", password))
	w.waitTags(repo, "1.0.0")
	if n := passed.Load(); n != 2 {
		t.Errorf("the proxy has passed on %d requests, want two: a ping and a list", n)
	}
	refused := w.image("refused", through("refused", wrong))
	w.waitFailure(refused, imagev1.ReasonReadOperationFailed, "scan failed")
	w.expectHidden(repo, password, wrong)
	w.expectHidden(refused, password, wrong)
}
