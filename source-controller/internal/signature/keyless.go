package signature

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	sourcev1 "weir.dev/api/source/v1"
)

// keyTrustedRoot is the key of a Secret with the authorities and logs of a Sigstore
// instance.
const keyTrustedRoot = "trusted_root.json"

// keyless trusts certificates of short life for some identities. What proves when one
// was used, and that this is known, are the logs of the instance.
type keyless struct {
	root       root.TrustedMaterial
	identities []verify.PolicyOption
}

// keyless reads whom a spec without keys trusts.
func (v *Verifiers) keyless(ctx context.Context, secrets *secretReader, spec *sourcev1.OCIRepositoryVerification) (*keyless, error) {
	identities, err := matchers(spec.MatchOIDCIdentity)
	if err != nil {
		return nil, err
	}
	if spec.TrustedRootSecretRef == nil {
		public, err := v.public.get(ctx)
		if err != nil {
			return nil, err
		}
		return &keyless{root: public, identities: identities}, nil
	}
	name := spec.TrustedRootSecretRef.Name
	data, err := secrets.read(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(data[keyTrustedRoot]) == 0 {
		return nil, fmt.Errorf("secret '%s' has no key %q", secrets.key(name), keyTrustedRoot)
	}
	custom, err := root.NewTrustedRootFromJSON(data[keyTrustedRoot])
	if err != nil {
		return nil, fmt.Errorf("secret '%s': the value of %q is no trusted root of Sigstore", secrets.key(name), keyTrustedRoot)
	}
	return &keyless{root: custom, identities: identities}, nil
}

// matchers are the identities of a spec, one of which has to match; any if there are
// none.
func matchers(identities []sourcev1.OIDCIdentityMatch) ([]verify.PolicyOption, error) {
	if len(identities) == 0 {
		return []verify.PolicyOption{verify.WithoutIdentitiesUnsafe()}, nil
	}
	var options []verify.PolicyOption
	for i, id := range identities {
		m, err := verify.NewShortCertificateIdentity("", id.Issuer, "", id.Subject)
		if err != nil {
			return nil, fmt.Errorf("verify.matchOIDCIdentity[%d]: %w", i, err)
		}
		options = append(options, verify.WithCertificateIdentity(m))
	}
	return options, nil
}

// bundle implements trust.
func (k *keyless) bundle(b *bundle.Bundle, digest v1.Hash) error {
	sum, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return err
	}
	return k.check(b, verify.WithArtifactDigest(digest.Algorithm, sum))
}

// simple implements trust: with what its annotations have, an older signature is a
// bundle about its payload.
func (k *keyless) simple(s simple) error {
	b, err := s.bundle()
	if err != nil {
		return err
	}
	return k.check(b, verify.WithArtifact(bytes.NewReader(s.payload)))
}

// check checks a bundle. An instance that has logs has to know of a signature there; a
// time that others than the signer vouch for is needed in any case, because the
// certificate was valid for minutes.
func (k *keyless) check(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) error {
	content, err := b.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return errors.New("a signature has no certificate")
	}
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(k.root.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(k.root.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(k.root, options...)
	if err != nil {
		return err
	}
	found, err := v.Verify(b, verify.NewPolicy(artifact, k.identities...))
	if err != nil {
		return err
	}
	return isSignature(found)
}
