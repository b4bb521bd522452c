package kubeconfig_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"weir.dev/deploy/localplane/internal/kubeconfig"
	"weir.dev/deploy/localplane/internal/pki"
)

// Who has the kubeconfig reaches the server and is known there by its user.
func TestKubeconfigConnects(t *testing.T) {
	keys := pki.Folder{Dir: t.TempDir(), Now: time.Now()}
	ca, err := keys.Authority("ca")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []pki.Identity{{Name: "server", User: "server", Hosts: []string{"127.0.0.1"}}, {Name: "admin", User: "admin"}} {
		if err := ca.Ensure(id); err != nil {
			t.Fatal(err)
		}
	}
	var user string
	port := serve(t, keys, func(_ http.ResponseWriter, r *http.Request) { user = r.TLS.PeerCertificates[0].Subject.CommonName })

	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := kubeconfig.Write(path, port, keys.Files("ca").Cert, keys.Files("admin")); err != nil {
		t.Fatal(err)
	}
	config, err := kubeconfig.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if user != "admin" {
		t.Errorf("the server saw user %q, want admin", user)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v; want 0600: there is a key in it", info.Mode(), err)
	}
}

func TestWriteWithoutKeys(t *testing.T) {
	dir := t.TempDir()
	missing := pki.Folder{Dir: dir}.Files("missing")
	if err := kubeconfig.Write(filepath.Join(dir, "kubeconfig"), 1, missing.Cert, missing); err == nil {
		t.Error("a kubeconfig without keys was written")
	}
}

func serve(t *testing.T, keys pki.Folder, h http.HandlerFunc) int {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(keys.Files("server").Cert, keys.Files("server").Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(keys.Files("ca").Cert)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
