// Package creds turns the data of Secrets into typed credentials. It reads no
// Secret itself: callers bring the data, and learn from an error which key is
// missing or wrong. Values never appear in errors, and the types print nothing
// of what they hold.
package creds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ErrGitHubApp: the Secret is that of a GitHub App, which needs another way to log in.
var ErrGitHubApp = errors.New("it has the data of a GitHub App")

// Git authenticates to a Git remote. The zero value is anonymous.
type Git struct {
	Username, Password Hidden
	BearerToken        Hidden
	SSH                *SSH
	TLS                TLS
	Proxy              Proxy

	// Identity is who the credentials are of, if they are of short life: those of the
	// same identity let in to the same. It is no secret.
	Identity string
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
func (g Git) Anonymous() bool { return !g.LogsIn() && !g.TLS.Certificate() }

// LogsIn reports whether there is a password, a token or a key, which a client
// certificate may go beside.
func (g Git) LogsIn() bool {
	return !g.Username.Empty() || !g.Password.Empty() || !g.BearerToken.Empty() || g.SSH != nil
}

// String hides the credentials.
func (g Git) String() string { return "credentials" }

// GoString hides the credentials.
func (g Git) GoString() string { return "creds.Git{…}" }

// Fingerprint identifies what the credentials let in to without telling them: equal
// for equal credentials, and for those of short life if they are of one identity. What
// a remote shows depends on how it is reached, too.
func (g Git) Fingerprint() string {
	h := sha256.New()
	part := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	if g.Identity != "" {
		part("identity")
		part(g.Identity)
	} else {
		part(g.Username.Reveal())
		part(g.Password.Reveal())
		part(g.BearerToken.Reveal())
	}
	part(g.TLS.Fingerprint())
	part(g.Proxy.Fingerprint())
	if g.SSH != nil {
		part(ssh.FingerprintSHA256(g.SSH.Signer().PublicKey()))
		part(string(g.SSH.KnownHosts))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// GitHTTP reads the credentials for an http or https remote: username and
// password, or bearerToken, and optionally what NewTLS reads. secret names the Secret in
// errors.
func GitHTTP(data map[string][]byte, secret string) (Git, error) {
	g, err := parseHTTP(data)
	if err != nil {
		return Git{}, fmt.Errorf("secret '%s': %w", secret, err)
	}
	return g, nil
}

// parseHTTP is GitHTTP for whoever names the Secret.
func parseHTTP(data map[string][]byte) (Git, error) {
	if len(data[keyGitHubAppID]) > 0 {
		return Git{}, ErrGitHubApp
	}
	login, err := parseBasic(data)
	if err != nil {
		return Git{}, err
	}
	g := Git{Username: login.Username, Password: login.Password, BearerToken: Hide(string(data[keyBearerToken]))}
	switch {
	case !g.BearerToken.Empty() && !g.Password.Empty():
		return Git{}, fmt.Errorf("both %q and %q have a value: set one way to authenticate", keyBearerToken, keyPassword)
	case strings.ContainsAny(g.BearerToken.Reveal(), "\r\n"):
		return Git{}, fmt.Errorf("the value of %q has a line break", keyBearerToken)
	}
	if g.TLS, err = parseTLS(data); err != nil {
		return Git{}, err
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
	if CostlySSHKey(identity) {
		return nil, fmt.Errorf("the SSH identity key of the secret '%s' is encrypted with more than %d rounds", secret, MaxSSHRounds)
	}
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
