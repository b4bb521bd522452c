// Package pki makes the keys and certificates of a plane.
//
// What exists and is good stays as it is, so that kubeconfigs handed out before
// keep working; only what is missing or no longer fits is made. Keys are ECDSA on
// P-256, every file is readable by its owner alone.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir.dev/deploy/localplane/internal/home"
)

const (
	lifetime = 10 * 365 * 24 * time.Hour
	// remaining is what a certificate must still have to be kept.
	remaining = 30 * 24 * time.Hour
)

// Folder is where keys are kept, and the time that certificates are judged by.
type Folder struct {
	Dir string
	Now time.Time
}

// Files names the files of a key pair.
type Files struct{ Cert, Key string }

// Files returns the names of a key pair.
func (f Folder) Files(name string) Files {
	return Files{Cert: filepath.Join(f.Dir, name+".crt"), Key: filepath.Join(f.Dir, name+".key")}
}

// Identity is who a certificate speaks for.
type Identity struct {
	Name   string   // of the files
	User   string   // common name
	Groups []string // organizations
	Hosts  []string // names and addresses of a server; empty for a client
}

// Authority signs certificates.
type Authority struct {
	folder Folder
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// Authority returns the one of that name, and makes it if it does not exist. A
// damaged one is an error: a new one would make every certificate worthless.
func (f Folder) Authority(name string) (*Authority, error) {
	files := f.Files(name)
	cert, key, err := load(files)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("reading certificate authority %q: %w", name, err)
	case f.Now.Add(remaining).Before(cert.NotAfter):
		return &Authority{f, cert, key}, nil
	}
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of certificate authority %q: %w", name, err)
	}
	template := f.template(pkix.Name{CommonName: "localplane-" + name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	a := &Authority{f, template, key}
	if a.cert, err = a.sign(template, key, files); err != nil {
		return nil, fmt.Errorf("making certificate authority %q: %w", name, err)
	}
	return a, nil
}

// Ensure makes the certificate of an identity unless there is a good one.
func (a *Authority) Ensure(id Identity) error {
	files := a.folder.Files(id.Name)
	if cert, _, err := load(files); err == nil && a.vouches(cert, id) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of %q: %w", id.Name, err)
	}
	template := a.folder.template(pkix.Name{CommonName: id.User, Organization: id.Groups})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range id.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if _, err := a.sign(template, key, files); err != nil {
		return fmt.Errorf("making the certificate of %q: %w", id.Name, err)
	}
	return nil
}

// vouches tells whether cert is of this authority, says what id does, and will
// hold for a while.
func (a *Authority) vouches(cert *x509.Certificate, id Identity) bool {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: a.folder.Now.Add(remaining), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	served := func(host string) bool { return cert.VerifyHostname(host) == nil }
	return err == nil && cert.Subject.CommonName == id.User &&
		slices.Equal(cert.Subject.Organization, id.Groups) &&
		!slices.ContainsFunc(id.Hosts, func(h string) bool { return !served(h) })
}

// sign writes a certificate for key and returns it.
func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey, files Files) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	// A pair of which only the key was written does not load, and is made again.
	if err := errors.Join(writeKey(files.Key, key), writePEM(files.Cert, "CERTIFICATE", der)); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// SigningFiles returns the names of a key without certificate; Cert is its public
// half.
func (f Folder) SigningFiles(name string) Files {
	return Files{Cert: filepath.Join(f.Dir, name+".pub"), Key: filepath.Join(f.Dir, name+".key")}
}

// SigningKey makes a key without certificate unless it exists.
func (f Folder) SigningKey(name string) error {
	files := f.SigningFiles(name)
	if _, err := os.Stat(files.Cert); err == nil { // written last
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making signing key %q: %w", name, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("making signing key %q: %w", name, err)
	}
	if err := writeKey(files.Key, key); err != nil {
		return err
	}
	return writePEM(files.Cert, "PUBLIC KEY", public)
}

func (f Folder) template(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		Subject:   subject,
		NotBefore: f.Now.Add(-time.Hour),
		NotAfter:  f.Now.Add(lifetime),
	}
}

// load reads a key pair. A file that is missing gives fs.ErrNotExist.
func load(files Files) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%q holds no ECDSA key", files.Key)
	}
	return pair.Leaf, key, nil
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return home.Write(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
