// Package creds turns the data of Secrets into typed credentials. It reads no
// Secret itself: callers bring the data, and learn from an error which key is
// missing or wrong. Values never appear in errors, and the types print nothing
// of what they hold.
package creds

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Keys of a Secret with credentials for a Git remote.
const (
	keyUsername     = "username"
	keyPassword     = "password"
	keyBearerToken  = "bearerToken"
	keyCA           = "ca.crt"
	keyLegacyCA     = "caFile"
	keyTLSCert      = "tls.crt"
	keyTLSKey       = "tls.key"
	keyLegacyCert   = "certFile"
	keyLegacyKey    = "keyFile"
	keyIdentity     = "identity"
	keyKnownHosts   = "known_hosts"
	keyGitHubAppID  = "githubAppID"
	basicAuthAdvice = "set both keys, or neither"
)

// ErrUnsupported marks a Secret that asks for a way to authenticate which does
// not work yet.
var ErrUnsupported = errors.New("not supported yet")

// Git authenticates to a Git remote. The zero value is anonymous.
type Git struct {
	Username, Password Hidden
	BearerToken        Hidden
	CA                 []byte // PEM; trusted besides the system's
	SSH                *SSH
}

// SSH is what an SSH remote needs.
type SSH struct {
	KnownHosts []byte // lines of a known_hosts file

	signer *ssh.Signer // behind a pointer for the reason that Hidden has
}

// NewSSH returns the credentials of who signs.
func NewSSH(signer ssh.Signer, knownHosts []byte) *SSH {
	return &SSH{KnownHosts: knownHosts, signer: &signer}
}

// Signer returns the identity.
func (s SSH) Signer() ssh.Signer {
	if s.signer == nil {
		return nil
	}
	return *s.signer
}

// String hides the identity.
func (s SSH) String() string { return "SSH identity" }

// GoString hides the identity.
func (s SSH) GoString() string { return "creds.SSH{…}" }

// Anonymous reports whether there is nothing in g that a remote must not see.
func (g Git) Anonymous() bool {
	return g.Username.Empty() && g.Password.Empty() && g.BearerToken.Empty() && g.SSH == nil
}

// String hides the credentials.
func (g Git) String() string { return "credentials" }

// GoString hides the credentials.
func (g Git) GoString() string { return "creds.Git{…}" }

// Fingerprint identifies the credentials without telling them: equal for equal
// credentials.
func (g Git) Fingerprint() string {
	h := sha256.New()
	part := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	part(g.Username.Reveal())
	part(g.Password.Reveal())
	part(g.BearerToken.Reveal())
	part(string(g.CA))
	if g.SSH != nil {
		part(ssh.FingerprintSHA256(g.SSH.Signer().PublicKey()))
		part(string(g.SSH.KnownHosts))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// GitHTTP reads the credentials for an http or https remote: username and
// password, or bearerToken, and optionally ca.crt.
func GitHTTP(data map[string][]byte) (Git, error) {
	g := Git{
		Username:    Hide(string(data[keyUsername])),
		Password:    Hide(string(data[keyPassword])),
		BearerToken: Hide(string(data[keyBearerToken])),
		CA:          data[keyCA],
	}
	if len(g.CA) == 0 {
		g.CA = data[keyLegacyCA]
	}
	switch {
	case len(data[keyGitHubAppID]) > 0:
		return Git{}, fmt.Errorf("key %q needs spec.provider github: %w", keyGitHubAppID, ErrUnsupported)
	case hasAny(data, keyTLSCert, keyTLSKey, keyLegacyCert, keyLegacyKey):
		return Git{}, fmt.Errorf("client certificate in key %q: %w", keyTLSCert, ErrUnsupported)
	case g.Username.Empty() != g.Password.Empty():
		return Git{}, fmt.Errorf("only one of the keys %q and %q has a value: %s", keyUsername, keyPassword, basicAuthAdvice)
	case !g.BearerToken.Empty() && !g.Password.Empty():
		return Git{}, fmt.Errorf("both %q and %q have a value: set one way to authenticate", keyBearerToken, keyPassword)
	case strings.ContainsAny(g.BearerToken.Reveal(), "\r\n"):
		return Git{}, fmt.Errorf("the value of %q has a line break", keyBearerToken)
	}
	if len(g.CA) > 0 && !x509.NewCertPool().AppendCertsFromPEM(g.CA) {
		return Git{}, fmt.Errorf("the value of %q holds no PEM certificate", keyCA)
	}
	return g, nil
}

// GitSSH reads the credentials for an ssh remote: identity and known_hosts, and
// password if the identity is encrypted. secret names the Secret in errors.
func GitSSH(data map[string][]byte, secret string) (Git, error) {
	for _, key := range []string{keyIdentity, keyKnownHosts} {
		if len(data[key]) == 0 {
			return Git{}, fmt.Errorf("secret '%s' has no key %q, which an ssh URL needs", secret, key)
		}
	}
	signer, err := parseIdentity(data[keyIdentity], data[keyPassword], secret)
	if err != nil {
		return Git{}, err
	}
	return Git{SSH: NewSSH(signer, data[keyKnownHosts])}, nil
}

// parseIdentity reads a private key in any PEM form that OpenSSH has used.
func parseIdentity(identity, passphrase []byte, secret string) (ssh.Signer, error) {
	if len(passphrase) > 0 {
		signer, err := ssh.ParsePrivateKeyWithPassphrase(identity, passphrase)
		if err == nil {
			return signer, nil
		}
		// A password beside a key that is not encrypted does no harm.
	}
	signer, err := ssh.ParsePrivateKey(identity)
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing) && len(passphrase) == 0:
		return nil, fmt.Errorf("SSH identity key is encrypted but no 'password' field was provided in the secret '%s'", secret)
	case errors.As(err, &missing):
		return nil, fmt.Errorf("the 'password' field in the secret '%s' does not decrypt its SSH identity key", secret)
	case err != nil:
		return nil, fmt.Errorf("key %q of the secret '%s' is no private key that SSH knows", keyIdentity, secret)
	}
	return signer, nil
}

func hasAny(data map[string][]byte, keys ...string) bool {
	for _, key := range keys {
		if len(data[key]) > 0 {
			return true
		}
	}
	return false
}
