package signature

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"weir.dev/pkg/oci"
)

const (
	// keyTrustPolicy is the key of a Secret with the rules of notation.
	keyTrustPolicy = "trustpolicy.json"
	// notationType is the type of what refers to an artifact and has a signature.
	notationType = "application/vnd.cncf.notary.signature"
	// maxEnvelope bounds a signature, in bytes.
	maxEnvelope = 4 << 20
)

// notary checks the signatures that notation makes.
type notary struct{ verifier notation.Verifier }

// newNotation reads the rules and the certificates of a Secret.
func newNotation(data map[string][]byte, secret string) (*notary, error) {
	var policy trustpolicy.Document
	if len(data[keyTrustPolicy]) == 0 {
		return nil, fmt.Errorf("secret '%s' has no key %q", secret, keyTrustPolicy)
	}
	if err := json.Unmarshal(data[keyTrustPolicy], &policy); err != nil {
		return nil, fmt.Errorf("secret '%s': the value of %q is no trust policy", secret, keyTrustPolicy)
	}
	var certs authorities
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if !strings.HasSuffix(name, ".crt") && !strings.HasSuffix(name, ".pem") {
			continue
		}
		parsed, err := certificates(data[name])
		if err != nil || len(parsed) == 0 {
			return nil, fmt.Errorf("secret '%s': the value of %q holds no PEM certificate", secret, name)
		}
		certs = append(certs, parsed...)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("secret '%s' has no certificate: the name of one ends in .crt or .pem", secret)
	}
	v, err := verifier.New(&policy, certs, nil)
	if err != nil {
		return nil, fmt.Errorf("secret '%s': the value of %q: %w", secret, keyTrustPolicy, err)
	}
	return &notary{verifier: v}, nil
}

// certificates reads the certificates of a PEM file.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
}

// verify implements method.
func (n *notary) verify(ctx context.Context, s *oci.Session, digest v1.Hash) (Result, error) {
	repo := &notaryRepository{session: s, digest: digest}
	ref := s.Repository().String() + "@" + digest.String()
	_, outcomes, err := notation.Verify(ctx, n.verifier, repo, notation.VerifyOptions{
		ArtifactReference: ref, MaxSignatureAttempts: maxSignatures,
	})
	if repo.err != nil {
		return 0, repo.err
	}
	switch {
	case err == nil:
	case repo.asked && repo.found == 0:
		return 0, errUnsigned
	default:
		return 0, noMatch(reasonsOf(err))
	}
	if len(outcomes) > 0 && outcomes[0].VerificationLevel.Name == trustpolicy.LevelSkip.Name {
		return Ignored, nil
	}
	return Verified, nil
}

// reasonsOf returns what is joined in an error. Of those, the first says only that
// there are others.
func reasonsOf(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		if all := joined.Unwrap(); len(all) > 1 {
			return all[1:]
		}
	}
	return []error{err}
}

// authorities are the certificates of a Secret, for all stores of authorities that
// rules may name.
type authorities []*x509.Certificate

// GetCertificates implements truststore.X509TrustStore.
func (a authorities) GetCertificates(_ context.Context, kind truststore.Type, name string) ([]*x509.Certificate, error) {
	if kind != truststore.TypeCA {
		return nil, fmt.Errorf("the trust store %q is of the type %q: only %q is supported", name, kind, truststore.TypeCA)
	}
	return a, nil
}

// notaryRepository is a session with a registry in the terms of notation. It remembers
// what went wrong with the registry, which is no matter of signatures.
type notaryRepository struct {
	session *oci.Session
	digest  v1.Hash
	err     error
	asked   bool // for signatures
	found   int  // of them
}

// Resolve implements registry.Repository.
func (r *notaryRepository) Resolve(ctx context.Context, _ string) (ocispec.Descriptor, error) {
	m, err := r.session.Manifest(ctx, r.digest)
	if err != nil {
		return ocispec.Descriptor{}, r.broken(err)
	}
	return described(m.Descriptor), nil
}

// ListSignatures implements registry.Repository.
func (r *notaryRepository) ListSignatures(ctx context.Context, _ ocispec.Descriptor, fn func([]ocispec.Descriptor) error) error {
	referrers, err := r.session.Referrers(ctx, r.digest, notationType)
	if err != nil {
		return r.broken(err)
	}
	var all []ocispec.Descriptor
	for _, d := range referrers {
		if d.ArtifactType == notationType {
			all = append(all, described(d))
		}
	}
	r.asked, r.found = true, len(all)
	return fn(all)
}

// FetchSignatureBlob implements registry.Repository.
func (r *notaryRepository) FetchSignatureBlob(ctx context.Context, desc ocispec.Descriptor) ([]byte, ocispec.Descriptor, error) {
	hash, err := oci.ParseDigest(desc.Digest.String())
	if err != nil {
		return nil, ocispec.Descriptor{}, r.broken(err)
	}
	image, err := r.session.Image(ctx, hash)
	if err != nil {
		return nil, ocispec.Descriptor{}, r.broken(err)
	}
	if len(image.Layers) != 1 {
		return nil, ocispec.Descriptor{}, fmt.Errorf("a signature has %d envelopes, not one", len(image.Layers))
	}
	envelope, err := readBlob(ctx, r.session, image.Layers[0], maxEnvelope)
	if err != nil {
		return nil, ocispec.Descriptor{}, r.broken(err)
	}
	return envelope, described(image.Layers[0]), nil
}

// PushSignature implements registry.Repository.
func (r *notaryRepository) PushSignature(context.Context, string, []byte, ocispec.Descriptor, map[string]string) (blob, manifest ocispec.Descriptor, err error) {
	return blob, manifest, errors.New("signatures are only read here")
}

func (r *notaryRepository) broken(err error) error {
	r.err = fmt.Errorf("looking for signatures: %w", err)
	return r.err
}

// described is a descriptor in the terms of notation.
func described(d v1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size,
		ArtifactType: d.ArtifactType, Annotations: d.Annotations,
	}
}
