package artifact

import (
	_ "crypto/sha256" // go-digest finds its hash functions by registration
	_ "crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/zeebo/blake3"
)

// The algorithms that artifacts can be digested with.
const (
	SHA256 Algorithm = "sha256"
	SHA384 Algorithm = "sha384"
	SHA512 Algorithm = "sha512"
	BLAKE3 Algorithm = "blake3" // 256 bits of it
)

// Algorithm names a hash function. The zero value is not one; ParseAlgorithm turns it into SHA256.
type Algorithm string

// Digest is the digest of an artifact in its wire form, `<algorithm>:<hex>`. A Digest that did not
// come from ParseDigest or Algorithm.Digest may hold anything; Validate tells.
type Digest string

// ParseAlgorithm accepts the name of a supported algorithm. The empty name means SHA256.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch a := Algorithm(name); a {
	case "":
		return SHA256, nil
	case SHA256, SHA384, SHA512, BLAKE3:
		return a, nil
	default:
		return "", fmt.Errorf("digest algorithm %q is not supported: use sha256, sha384, sha512 or blake3", name)
	}
}

// New returns a hash to write content to. It panics for an algorithm that is not supported.
func (a Algorithm) New() hash.Hash {
	if a == BLAKE3 {
		return blake3.New()
	}
	return digest.Algorithm(a).Hash()
}

// Digest returns the digest of what was written to a hash that New returned.
func (a Algorithm) Digest(h hash.Hash) Digest {
	return Digest(digest.NewDigest(digest.Algorithm(a), h))
}

// ParseDigest accepts `<algorithm>:<hex>`. A bare hex string is taken as SHA256, because artifacts
// of early producers carry their checksum that way.
func ParseDigest(s string) (Digest, error) {
	if s != "" && !strings.Contains(s, ":") {
		s = string(SHA256) + ":" + s
	}
	d := Digest(s)
	if err := d.Validate(); err != nil {
		return "", err
	}
	return d, nil
}

// Validate reports why a digest cannot be used, nil if it can.
func (d Digest) Validate() error {
	if d == "" {
		return errors.New("digest is empty")
	}
	algorithm, hex, ok := strings.Cut(string(d), ":")
	if !ok || algorithm == "" {
		return fmt.Errorf("digest %q has no algorithm", string(d))
	}
	a, err := ParseAlgorithm(algorithm)
	if err != nil {
		return err
	}
	if a == BLAKE3 {
		a = SHA256 // of the same form, and unknown to the library
	}
	if err := digest.Algorithm(a).Validate(hex); err != nil {
		return fmt.Errorf("digest %q: %w", string(d), err)
	}
	return nil
}

// Algorithm returns what stands before the colon.
func (d Digest) Algorithm() Algorithm {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return Algorithm(algorithm)
}

// Hex returns what stands after the colon.
func (d Digest) Hex() string {
	_, hex, _ := strings.Cut(string(d), ":")
	return hex
}

func (d Digest) String() string { return string(d) }
