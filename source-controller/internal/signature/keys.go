package signature

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// keySuffix ends the names of public keys in a Secret.
const keySuffix = ".pub"

// keys trusts who has one of several keys. No log has to know of the signature.
type keys []signature.Verifier

// newKeys reads the public keys of a Secret.
func newKeys(data map[string][]byte, secret string) (keys, error) {
	var all keys
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if !strings.HasSuffix(name, keySuffix) {
			continue
		}
		public, err := cryptoutils.UnmarshalPEMToPublicKey(data[name])
		if err != nil {
			return nil, fmt.Errorf("secret '%s': the value of %q is no PEM public key", secret, name)
		}
		v, err := signature.LoadVerifier(public, crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("secret '%s': the value of %q is a key of a kind that is not supported", secret, name)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("secret '%s' has no public key: the name of one ends in %s", secret, keySuffix)
	}
	return all, nil
}

var errOtherKey = errors.New("a signature is not by one of the keys")

// bundle implements trust.
func (k keys) bundle(b *bundle.Bundle, digest v1.Hash) error {
	sum, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return err
	}
	policy := verify.NewPolicy(verify.WithArtifactDigest(digest.Algorithm, sum), verify.WithKey())
	for _, key := range k {
		material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(key, time.Time{}, time.Time{}), nil
		})
		v, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps())
		if err != nil {
			return err
		}
		if found, err := v.Verify(b, policy); err == nil {
			return isSignature(found)
		}
	}
	return errOtherKey
}

// simple implements trust.
func (k keys) simple(s simple) error {
	for _, key := range k {
		if key.VerifySignature(bytes.NewReader(s.signature), bytes.NewReader(s.payload)) == nil {
			return nil
		}
	}
	return errOtherKey
}
