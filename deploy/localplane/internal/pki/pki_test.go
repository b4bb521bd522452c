package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/localplane/internal/pki"
)

func TestCertificatesVerify(t *testing.T) {
	server, client := server(), client()
	f := pki.Folder{Dir: t.TempDir(), Now: time.Now()}
	ensure(t, f, "ca", server, client)
	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, f, "ca"))

	cert := leaf(t, f, server.Name)
	for _, host := range server.Hosts {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("certificate does not serve %q: %v", host, err)
		}
	}
	cert = leaf(t, f, client.Name)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Errorf("certificate is not good for a client: %v", err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("the certificate of a client is good for a server")
	}
	if diff := cmp.Diff(client.Groups, cert.Subject.Organization); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestAuthoritiesDoNotVouchForEachOther(t *testing.T) {
	f := pki.Folder{Dir: t.TempDir(), Now: time.Now()}
	ensure(t, f, "ca", client())
	ensure(t, f, "etcd-ca")
	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, f, "etcd-ca"))
	_, err := leaf(t, f, client().Name).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err == nil {
		t.Error("a client of the cluster is one of etcd, too")
	}
}

func TestKeysAreKept(t *testing.T) {
	tests := map[string]struct {
		why    string
		change func(f *pki.Folder, id *pki.Identity)
		kept   bool
	}{
		"on a restart": {
			why: "kubeconfigs handed out before must keep working", kept: true,
			change: func(*pki.Folder, *pki.Identity) {},
		},
		"but not for another host": {
			why:    "a new version may ask for more",
			change: func(_ *pki.Folder, id *pki.Identity) { id.Hosts = []string{"localhost"} },
		},
		"but not for another group": {
			why:    "it would keep rights that it must not have",
			change: func(_ *pki.Folder, id *pki.Identity) { id.Groups = []string{"guests"} },
		},
		"but not when they are about to end": {
			why:    "a plane runs for days",
			change: func(f *pki.Folder, _ *pki.Identity) { f.Now = f.Now.AddDate(9, 11, 15) },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, id := pki.Folder{Dir: t.TempDir(), Now: time.Now()}, server()
			ensure(t, f, "ca", id)
			before := leaf(t, f, id.Name)
			tc.change(&f, &id)
			ensure(t, f, "ca", id)
			if kept := leaf(t, f, id.Name).Equal(before); kept != tc.kept {
				t.Errorf("certificate was kept: %t, want %t (%s)", kept, tc.kept, tc.why)
			}
		})
	}
}

func TestHalfWrittenPairIsMadeAgain(t *testing.T) {
	f := pki.Folder{Dir: t.TempDir(), Now: time.Now()}
	ensure(t, f, "ca", client())
	if err := os.Remove(f.Files(client().Name).Cert); err != nil {
		t.Fatal(err)
	}
	ensure(t, f, "ca", client())
	leaf(t, f, client().Name)
}

func TestDamagedAuthorityIsAnError(t *testing.T) {
	f := pki.Folder{Dir: t.TempDir(), Now: time.Now()}
	ensure(t, f, "ca")
	if err := os.WriteFile(f.Files("ca").Cert, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authority("ca"); err == nil {
		t.Error("a damaged authority was replaced, and with it every kubeconfig made worthless")
	}
}

func TestSigningKey(t *testing.T) {
	f := pki.Folder{Dir: t.TempDir(), Now: time.Now()}
	read := func() [2]string {
		if err := f.SigningKey("tokens"); err != nil {
			t.Fatal(err)
		}
		files := f.SigningFiles("tokens")
		return [2]string{content(t, files.Key), content(t, files.Cert)}
	}
	if diff := cmp.Diff(read(), read()); diff != "" {
		t.Errorf("a second call changed the key, so no token is good any more (-first +second):\n%s", diff)
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	f := pki.Folder{Dir: filepath.Join(t.TempDir(), "pki"), Now: time.Now()}
	ensure(t, f, "ca", server(), client())
	if err := f.SigningKey("tokens"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(f.Dir)
	if err != nil || len(entries) != 8 {
		t.Fatalf("folder holds %d files, %v; want 8", len(entries), err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode of %q is %v, %v; want 0600", e.Name(), info.Mode(), err)
		}
	}
}

func server() pki.Identity {
	return pki.Identity{Name: "server", User: "localplane", Hosts: []string{"127.0.0.1", "kubernetes.default"}}
}

func client() pki.Identity {
	return pki.Identity{Name: "client", User: "admin", Groups: []string{"system:masters"}}
}

func ensure(t *testing.T, f pki.Folder, authority string, ids ...pki.Identity) {
	t.Helper()
	a, err := f.Authority(authority)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := a.Ensure(id); err != nil {
			t.Fatal(err)
		}
	}
}

func leaf(t *testing.T, f pki.Folder, name string) *x509.Certificate {
	t.Helper()
	files := f.Files(name)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
