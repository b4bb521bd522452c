package signaturetest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-core-go/testhelper"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"weir.dev/pkg/oci/ocitest"
)

const notationType = "application/vnd.cncf.notary.signature"

// Notary signs as notation does.
type Notary struct {
	t      testing.TB
	signer *signer.GenericSigner
	ca     *x509.Certificate
}

// NewNotary returns a signer whose certificate is by an authority.
func NewNotary(t testing.TB) *Notary {
	t.Helper()
	leaf, ca := testhelper.GetRSALeafCertificate(), testhelper.GetRSARootCertificate()
	return newNotary(t, leaf.PrivateKey, leaf.Cert, ca.Cert)
}

// NewStranger returns a signer for whom no authority vouches.
func NewStranger(t testing.TB) *Notary {
	t.Helper()
	self := testhelper.GetRSASelfSignedSigningCertificate()
	return newNotary(t, self.PrivateKey, self.Cert)
}

func newNotary(t testing.TB, key any, chain ...*x509.Certificate) *Notary {
	t.Helper()
	s, err := signer.NewGenericSigner(key, chain)
	if err != nil {
		t.Fatal(err)
	}
	return &Notary{t: t, signer: s, ca: chain[len(chain)-1]}
}

// CA is the PEM of the authority.
func (n *Notary) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.ca.Raw}))
}

// Policy is a trust policy of a level, for all registries.
func Policy(level string) string {
	trusted := `"trustStores":["ca:valid-trust-store"],"trustedIdentities":["*"]`
	if level == "skip" {
		trusted = `"trustStores":[],"trustedIdentities":[]`
	}
	return fmt.Sprintf(`{"version":"1.0","trustPolicies":[{"name":"all","registryScopes":["*"],"signatureVerification":{"level":%q},%s}]}`, level, trusted)
}

// Sign signs a digest.
func (n *Notary) Sign(r *ocitest.Registry, repo string, digest v1.Hash) {
	n.t.Helper()
	n.SignFor(r, repo, digest, digest)
}

// SignFor signs a digest, and attaches that to another.
func (n *Notary) SignFor(r *ocitest.Registry, repo string, digest, other v1.Hash) {
	n.t.Helper()
	envelope, _, err := n.signer.Sign(n.t.Context(), describe(r.Descriptor(repo, digest.String())), notation.SignerSignOptions{SignatureMediaType: jws.MediaTypeEnvelope})
	if err != nil {
		n.t.Fatal(err)
	}
	AttachNotation(r, repo, other, envelope)
}

// AttachNotation attaches what looks like a signature by notation.
func AttachNotation(r *ocitest.Registry, repo string, digest v1.Hash, envelope []byte) {
	subject := r.Descriptor(repo, digest.String())
	r.Push(repo, "", ocitest.Artifact{
		ConfigType: notationType, Subject: &subject,
		Layers:      []ocitest.Layer{{MediaType: jws.MediaTypeEnvelope, Content: envelope}},
		Annotations: map[string]string{"io.cncf.notary.x509chain.thumbprint#S256": "[]"},
	})
}

func describe(d v1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
}
