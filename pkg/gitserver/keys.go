package gitserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Key is an ed25519 key of an SSH server or client.
type Key struct {
	signer  ssh.Signer
	private ed25519.PrivateKey
	pem     []byte
}

// NewKey makes a key.
func NewKey() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making SSH key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("making SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(crypto.PrivateKey(private), "")
	if err != nil {
		return nil, fmt.Errorf("making SSH key: %w", err)
	}
	return &Key{signer: signer, private: private, pem: pem.EncodeToMemory(block)}, nil
}

// Signer returns the key for use by a server or client in Go.
func (k *Key) Signer() ssh.Signer { return k.signer }

// Public returns the public half.
func (k *Key) Public() ssh.PublicKey { return k.signer.PublicKey() }

// PEM returns the private key in the format of OpenSSH.
func (k *Key) PEM() []byte { return k.pem }

// EncryptedPEM returns the private key in the format of OpenSSH, to be opened with the
// passphrase.
func (k *Key) EncryptedPEM(passphrase string) ([]byte, error) {
	block, err := ssh.MarshalPrivateKeyWithPassphrase(crypto.PrivateKey(k.private), "", []byte(passphrase))
	if err != nil {
		return nil, fmt.Errorf("encrypting SSH key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// String names the key by its fingerprint.
func (k *Key) String() string { return "SSH key " + ssh.FingerprintSHA256(k.Public()) }

// GoString hides the private half.
func (k *Key) GoString() string { return k.String() }

// KnownHosts returns the line of a known_hosts file for a server at addr, which is
// host:port or, on port 22, a host.
func KnownHosts(addr string, hostKey ssh.PublicKey) []byte {
	return []byte(knownhosts.Line([]string{addr}, hostKey) + "\n")
}

// Certificate is what a TLS server shows, and what its clients have to trust.
type Certificate struct {
	TLS tls.Certificate
	CA  []byte // PEM
}

// NewCertificate makes an authority, and a certificate by it for the hosts: names or IP
// addresses. Nobody has the authority's key when it returns.
func NewCertificate(hosts ...string) (*Certificate, error) {
	authority := template("weir git server CA")
	authority.IsCA = true
	authority.BasicConstraintsValid = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making certificate: %w", err)
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("making certificate: %w", err)
	}
	leaf := template("weir git server")
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making certificate: %w", err)
	}
	shown, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("making certificate: %w", err)
	}
	return &Certificate{
		TLS: tls.Certificate{Certificate: [][]byte{shown, ca}, PrivateKey: leafKey},
		CA:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}),
	}, nil
}

// template is a certificate that was valid yesterday, for clocks that are slow, and is
// for ten years.
func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.AddDate(0, 0, -1),
		NotAfter:     now.AddDate(10, 0, 0),
	}
}
