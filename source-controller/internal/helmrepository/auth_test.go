package helmrepository_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm/helmtest"
	"weir.dev/source-controller/internal/sourcetest"
)

const (
	user     = "reader"
	password = "correct horse"
)

func basic() map[string]string { return map[string]string{"username": user, "password": password} }

func TestAuthenticates(t *testing.T) {
	t.Parallel()
	closed := helmtest.Options{User: user, Password: password}
	safe := helmtest.Options{TLS: &tls.Config{}}
	client, key := helmtest.Certificate(t)
	mutual := helmtest.Options{TLS: &tls.Config{ClientAuth: tls.RequireAnyClientCert}}
	tests := map[string]struct {
		why     string
		server  helmtest.Options
		secret  map[string]string // secretRef
		tls     map[string]string // certSecretRef; "ca.crt": "server" means that of the server
		reason  string            // empty means that it works
		message string
	}{
		"user and password":            {server: closed, secret: basic()},
		"nobody":                       {server: closed, reason: sourcev1.ReasonAuthenticationFailed, message: "unauthorized: no credentials are given (401 Unauthorized)"},
		"a wrong password":             {server: closed, secret: map[string]string{"username": user, "password": "no"}, reason: sourcev1.ReasonAuthenticationFailed, message: "unauthorized: the server refuses the credentials (401 Unauthorized)"},
		"half a login":                 {server: closed, secret: map[string]string{"username": user}, reason: sourcev1.ReasonAuthenticationFailed, message: `only one of the keys "username" and "password" has a value`},
		"an authority":                 {server: safe, tls: map[string]string{"ca.crt": "server"}},
		"an unknown authority":         {server: safe, reason: sourcev1.ReasonAuthenticationFailed, message: "server is not trusted"},
		"an authority in secretRef":    {why: "deprecated, and still in use", server: safe, secret: map[string]string{"ca.crt": "server"}},
		"an authority by its old name": {why: "deprecated, and still in use", server: safe, secret: map[string]string{"caFile": "server"}},
		"another authority in certSecretRef": {
			why: "it replaces what secretRef has", server: safe, secret: map[string]string{"ca.crt": "server"}, tls: map[string]string{"ca.crt": client},
			reason: sourcev1.ReasonAuthenticationFailed, message: "server is not trusted",
		},
		"a client certificate":  {server: mutual, tls: map[string]string{"ca.crt": "server", "tls.crt": client, "tls.key": key}},
		"no client certificate": {server: mutual, tls: map[string]string{"ca.crt": "server"}, reason: sourcev1.ReasonFailed, message: "certificate required"},
		"half a certificate":    {server: mutual, tls: map[string]string{"ca.crt": "server", "tls.crt": client}, reason: sourcev1.ReasonAuthenticationFailed, message: "a client certificate needs both"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.server)
			repo := w.repo("charts", w.credentials(tc.secret, tc.tls)...)
			if tc.reason == "" {
				w.WaitPublished(repo, w.revision())
				return
			}
			c := w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, tc.reason)
			if !sourcetest.Says(c.Message, tc.message) {
				t.Errorf("Ready says %q; want %q (%s)", c.Message, tc.message, tc.why)
			}
			if strings.Contains(w.Log.String()+c.Message, password) {
				t.Error("the password is told")
			}
		})
	}
}

// credentials makes Secrets those of a spec.
func (w *world) credentials(secret, certs map[string]string) []func(*sourcev1.HelmRepositorySpec) {
	var adjust []func(*sourcev1.HelmRepositorySpec)
	for _, data := range []map[string]string{secret, certs} {
		for key, value := range data {
			if value == "server" {
				data[key] = w.server.CA()
			}
		}
	}
	if secret != nil {
		adjust = append(adjust, secretRef(w.Secret("login", secret)))
	}
	if certs != nil {
		adjust = append(adjust, certSecretRef(w.Secret("certs", certs)))
	}
	return adjust
}

func TestSaysWhichSecretIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	repo := w.repo("charts", secretRef(&meta.LocalObjectReference{Name: "login"}))
	c := w.WaitCondition(repo, sourcev1.ConditionFetchFailed, metav1.ConditionTrue, sourcev1.ReasonAuthenticationFailed)
	if want := "failed to get secret '" + w.Namespace + "/login': "; !strings.HasPrefix(c.Message, want) {
		t.Errorf("FetchFailed says %q; want %q", c.Message, want)
	}
	w.Secret("login", basic())
	w.WaitPublished(repo, w.revision()) // without a restart, and without anybody's help
}

// TestTakesANewPassword: credentials are read each time.
func TestTakesANewPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{User: user, Password: password})
	repo := w.repo("charts", secretRef(w.Secret("login", basic())))
	w.WaitPublished(repo, w.revision())
	w.server.SetLogin(user, "new")
	w.Poke(repo)
	w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	w.replaceSecret("login", map[string]string{"username": user, "password": "new"})
	w.WaitReady(repo)
}

// TestCredentialsStayWithTheirHost redirects to another server, which sees neither the
// password nor the client certificate.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	client, key := helmtest.Certificate(t)
	w := newWorld(t, helmtest.Options{User: user, Password: password, TLS: &tls.Config{ClientAuth: tls.RequestClientCert}})
	other := helmtest.Start(t, helmtest.Options{TLS: &tls.Config{ClientAuth: tls.RequestClientCert}})
	other.AddChart("other", "1.0.0", nil)
	repo := w.repo("charts",
		secretRef(w.Secret("login", basic())),
		certSecretRef(w.Secret("certs", map[string]string{"ca.crt": w.server.CA() + other.CA(), "tls.crt": client, "tls.key": key})))
	w.WaitPublished(repo, w.revision())
	if got := w.server.Requests(); len(got) == 0 || !got[0].Verified || got[0].Login != user+":"+password {
		t.Errorf("the server saw %+v; want the password and the certificate", got)
	}

	w.server.Break("index.yaml", helmtest.Redirect(other.URL))
	w.Poke(repo)
	w.WaitPublished(repo, sourcetest.Digest(other.Index()))
	for _, r := range other.Requests() {
		if r.Login != "" || r.Verified {
			t.Errorf("the other server saw %+v; want neither a login nor a certificate", r)
		}
	}
	if other.Count("index.yaml") == 0 {
		t.Error("the other server was not asked")
	}

	plain := helmtest.Start(t, helmtest.Options{})
	w.server.Break("index.yaml", helmtest.Redirect(plain.URL))
	w.Poke(repo)
	c := w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, sourcev1.ReasonAuthenticationFailed)
	if !sourcetest.Says(c.Message, "redirected from https to http") || plain.Count("") != 0 {
		t.Errorf("Ready says %q, and the plain server saw %v; want no request without encryption", c.Message, plain.Requests())
	}
}
