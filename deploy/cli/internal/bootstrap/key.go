package bootstrap

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Algorithms of keys.
const (
	ECDSA   = "ecdsa"
	RSA     = "rsa"
	Ed25519 = "ed25519"
)

// KeyOptions say how a key is made. The zero value is any key, and a new one is ECDSA on
// the curve P-384.
type KeyOptions struct {
	Algorithm string
	Bits      int    // of RSA; 0 is 2048
	Curve     string // of ECDSA: p256, p384, p521
}

// curves are those of ECDSA by their names here, and those of SSH.
var curves = map[string]struct {
	elliptic elliptic.Curve
	ssh      string
}{
	"p256": {elliptic.P256(), ssh.KeyAlgoECDSA256},
	"p384": {elliptic.P384(), ssh.KeyAlgoECDSA384},
	"p521": {elliptic.P521(), ssh.KeyAlgoECDSA521},
}

// Validate refuses keys that cannot be made, naming the flag.
func (k KeyOptions) Validate() error {
	const least, most = 2048, 16384
	switch {
	case !slices.Contains([]string{"", ECDSA, RSA, Ed25519}, k.Algorithm):
		return fmt.Errorf("--ssh-key-algorithm is %q: use ecdsa, ed25519 or rsa", k.Algorithm)
	case k.Bits != 0 && (k.Bits < least || k.Bits > most || k.Bits%8 != 0):
		return fmt.Errorf("--ssh-rsa-bits is %d: use a multiple of 8 from %d to %d", k.Bits, least, most)
	}
	if _, known := curves[k.Curve]; k.Curve != "" && !known {
		return fmt.Errorf("--ssh-ecdsa-curve is %q: use p256, p384 or p521", k.Curve)
	}
	return nil
}

// whole fills in what is not said.
func (k KeyOptions) whole() KeyOptions {
	if k.Algorithm == "" {
		k.Algorithm = ECDSA
	}
	if k.Bits == 0 {
		k.Bits = 2048
	}
	if k.Curve == "" {
		k.Curve = "p384"
	}
	return k
}

// fits reports whether a key is one as it would be made. Any is, if nothing is said.
func (k KeyOptions) fits(public ssh.PublicKey) bool {
	if k == (KeyOptions{}) {
		return true
	}
	k = k.whole()
	switch k.Algorithm {
	case Ed25519:
		return public.Type() == ssh.KeyAlgoED25519
	case RSA:
		known, ok := public.(ssh.CryptoPublicKey)
		if !ok {
			return false
		}
		key, ok := known.CryptoPublicKey().(*rsa.PublicKey)
		return ok && key.N.BitLen() == k.Bits
	default:
		return public.Type() == curves[k.Curve].ssh
	}
}

// generate makes a private key, in the form of OpenSSH.
func (k KeyOptions) generate() ([]byte, error) {
	k = k.whole()
	var key crypto.PrivateKey
	var err error
	switch k.Algorithm {
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RSA:
		key, err = rsa.GenerateKey(rand.Reader, k.Bits)
	default:
		key, err = ecdsa.GenerateKey(curves[k.Curve].elliptic, rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "weir")
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}
