package oci_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{TLS: true, Username: user, Password: password, Bearer: true})
	r.Push("app", "latest", ocitest.Files(nil))
	ca, err := creds.NewTLS(map[string][]byte{"ca.crt": r.CA}, "ns/ca")
	if err != nil {
		t.Fatal(err)
	}
	other, err := creds.NewTLS(map[string][]byte{"ca.crt": ocitest.NewCA(t).PEM()}, "ns/other")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why    string
		access oci.Access
		err    error
	}{
		"ca":                  {access: oci.Access{TLS: ca}},
		"nobody vouches":      {err: oci.ErrUntrusted},
		"others vouch":        {access: oci.Access{TLS: other}, err: oci.ErrUntrusted},
		"unverified":          {access: oci.Access{Unverified: true}},
		"insecure":            {why: "that is about plain HTTP", access: oci.Access{Insecure: true}, err: oci.ErrUntrusted},
		"insecure with a ca":  {access: oci.Access{TLS: ca, Insecure: true}},
		"insecure with other": {access: oci.Access{TLS: other, Insecure: true}, err: oci.ErrUntrusted},
	}
	c := oci.NewClient(oci.Limits{})
	for name, tc := range tests {
		tc.access.Login = login(password).Login
		_, err := open(t, c, r, "app", tc.access).Resolve(t.Context(), "latest")
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v; want %v (%s)", name, err, tc.err, tc.why)
		}
	}
}

// TestCertificates of a server and of a client, by an authority of their own.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca := ocitest.NewCA(t)
	hour, yesterday := time.Now().Add(time.Hour), time.Now().Add(-24*time.Hour)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca.PEM())
	tests := map[string]struct {
		server, client time.Time // ends of the certificates; zero: the client has none
		err            error
	}{
		"both":           {server: hour, client: hour},
		"server expired": {server: yesterday, client: hour, err: oci.ErrUntrusted},
		"client expired": {server: hour, client: yesterday, err: oci.ErrRegistry},
		"no client":      {server: hour, err: oci.ErrRegistry},
	}
	for name, tc := range tests {
		pair, err := tls.X509KeyPair(ca.Issue(tc.server))
		if err != nil {
			t.Fatal(err)
		}
		r := ocitest.Start(t, ocitest.Options{TLS: true, ServerTLS: &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
		}})
		r.Push("app", "latest", ocitest.Files(nil))
		data := map[string][]byte{"ca.crt": ca.PEM()}
		if !tc.client.IsZero() {
			data["tls.crt"], data["tls.key"] = ca.Issue(tc.client)
		}
		access := oci.Access{}
		if access.TLS, err = creds.NewTLS(data, "ns/tls"); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, oci.NewClient(oci.Limits{}), r, "app", access).Resolve(t.Context(), "latest"); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v; want %v", name, err, tc.err)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	r.Push("app", "latest", ocitest.Files(nil))
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, pass, ok := proxyLogin(req); !ok || user != "p" || pass != "proxy-secret" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if req.Method == http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway) // the registry speaks no TLS
			return
		}
		asked.Add(1)
		req.RequestURI = ""
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		for key, values := range res.Header {
			w.Header()[key] = values
		}
		w.WriteHeader(res.StatusCode)
	}))
	t.Cleanup(proxy.Close)
	for password, want := range map[string]error{"proxy-secret": nil, "wrong-secret": oci.ErrRegistry} {
		p, err := creds.NewProxy(map[string][]byte{"address": []byte(proxy.URL), "username": []byte("p"), "password": []byte(password)}, "ns/proxy")
		if err != nil {
			t.Fatal(err)
		}
		_, err = open(t, oci.NewClient(oci.Limits{}), r, "app", oci.Access{Proxy: p, Insecure: true}).Resolve(t.Context(), "latest")
		if !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("password %s: %v; want %v", password, err, want)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the proxy passed on %d requests; want 2: a ping and a HEAD", n)
	}
}

func proxyLogin(req *http.Request) (user, pass string, ok bool) {
	return (&http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}).BasicAuth()
}
