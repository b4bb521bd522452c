package bootstrap

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/creds"
)

// Keys of the Secret by which the cluster gets in to its repository.
const (
	keyIdentity    = "identity"
	keyPublic      = "identity.pub"
	keyKnownHosts  = "known_hosts"
	keyUsername    = "username"
	keyPassword    = "password"
	keyBearerToken = "bearerToken"
	keyCA          = "ca.crt"
)

// Login says how the cluster gets in to its repository.
type Login struct {
	// SSH says that it does so with a key, and not with a password or token.
	SSH bool
	// Key is how a key is made. If none of its fields is set, one that there is serves.
	Key KeyOptions
	// Identity is a private key that was given, with its passphrase; nil if one is made.
	Identity   []byte
	Passphrase creds.Hidden

	// Username and Password, or Bearer, and CA, are for http and https.
	Username, Password creds.Hidden
	Bearer             creds.Hidden
	CA                 []byte
}

// given reports whether the login has what lets in, so that what the cluster has is
// replaced.
func (l Login) given() bool { return !l.Password.Empty() || !l.Bearer.Empty() }

// Secret returns what a Secret is to have by which one gets in like that, where have is what
// it has; nil if that is good as it is. hostKeys returns the lines of known_hosts that it
// takes, of those that it has.
func (l Login) Secret(have map[string][]byte, hostKeys func(known []byte) ([]byte, error)) (map[string][]byte, error) {
	if !l.SSH {
		return l.overHTTP(have)
	}
	want := map[string][]byte{keyIdentity: l.Identity}
	passphrase := l.Passphrase.Reveal()
	if l.Identity == nil {
		want[keyIdentity], passphrase = have[keyIdentity], string(have[keyPassword])
	}
	public, err := publicKey(want[keyIdentity], passphrase)
	if l.Identity == nil && (err != nil || !l.Key.fits(public)) {
		if want[keyIdentity], err = l.Key.generate(); err != nil {
			return nil, err
		}
		passphrase = ""
		public, err = publicKey(want[keyIdentity], "")
	}
	if err != nil {
		return nil, err
	}
	want[keyPublic] = ssh.MarshalAuthorizedKey(public)
	if passphrase != "" {
		want[keyPassword] = []byte(passphrase)
	}
	if want[keyKnownHosts], err = hostKeys(have[keyKnownHosts]); err != nil {
		return nil, err
	}
	return unlessThere(want, have), nil
}

func (l Login) overHTTP(have map[string][]byte) (map[string][]byte, error) {
	if !l.given() {
		if len(have[keyPassword]) > 0 || len(have[keyBearerToken]) > 0 {
			return nil, nil
		}
		return nil, errors.New("the cluster needs a password or token to get in to the repository, and there is none")
	}
	want := map[string][]byte{}
	if l.Bearer.Empty() {
		want[keyUsername], want[keyPassword] = []byte(l.Username.Reveal()), []byte(l.Password.Reveal())
	} else {
		want[keyBearerToken] = []byte(l.Bearer.Reveal())
	}
	if want[keyCA] = l.CA; len(l.CA) == 0 {
		want[keyCA] = have[keyCA]
	}
	if len(want[keyCA]) == 0 {
		delete(want, keyCA)
	}
	return unlessThere(want, have), nil
}

// ownKeys are the keys of the Secret that are ours: one that is not wanted is in the way.
var ownKeys = [...]string{keyIdentity, keyPublic, keyKnownHosts, keyUsername, keyPassword, keyBearerToken, keyCA}

// unlessThere returns nil if have is want, apart from keys that are somebody else's.
func unlessThere(want, have map[string][]byte) map[string][]byte {
	for _, key := range ownKeys {
		if !bytes.Equal(want[key], have[key]) {
			return want
		}
	}
	return nil
}

// publicKey returns the public part of a private key. Errors do not quote it.
func publicKey(identity []byte, passphrase string) (ssh.PublicKey, error) {
	if creds.CostlySSHKey(identity) {
		return nil, fmt.Errorf("the private key is encrypted with more than %d rounds", creds.MaxSSHRounds)
	}
	var missing *ssh.PassphraseMissingError
	signer, err := ssh.ParsePrivateKey(identity)
	if errors.As(err, &missing) && passphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(identity, []byte(passphrase))
		if err != nil {
			return nil, errors.New("the password does not decrypt the private key")
		}
	}
	switch {
	case errors.As(err, &missing):
		return nil, errors.New("the private key is encrypted: its password is missing")
	case err != nil:
		return nil, errors.New("that is no private key that SSH knows")
	}
	return signer.PublicKey(), nil
}
