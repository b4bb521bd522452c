// Package signaturetest signs artifacts in the registry of a test, as the tools of users
// do: cosign by a key and by an identity, in its old and its new form, and notation.
//
// What goes wrong here ends the test, so it is used in the goroutine of the test.
package signaturetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"weir.dev/pkg/oci/ocitest"
)

const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	simpleType    = "application/vnd.dev.cosign.simplesigning.v1+json"
	statementType = "application/vnd.in-toto+json"
	emptyConfig   = "application/vnd.oci.empty.v1+json"
)

// Annotations of an old signature.
const (
	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationLog         = "dev.sigstore.cosign/bundle"
)

// Key is a key of cosign.
type Key struct {
	t    testing.TB
	pair *sign.EphemeralKeypair
}

// NewKey makes a key.
func NewKey(t testing.TB) *Key {
	t.Helper()
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{t: t, pair: pair}
}

// Public is the PEM of the public key.
func (k *Key) Public() string {
	k.t.Helper()
	text, err := k.pair.GetPublicKeyPem()
	if err != nil {
		k.t.Fatal(err)
	}
	return text
}

// Sign signs a digest in the old form.
func (k *Key) Sign(r *ocitest.Registry, repo string, digest v1.Hash) {
	k.t.Helper()
	k.SignPayload(r, repo, digest, Payload(digest))
}

// SignPayload signs a payload in the old form, and attaches that to a digest which it
// need not be about.
func (k *Key) SignPayload(r *ocitest.Registry, repo string, digest v1.Hash, payload []byte) {
	k.t.Helper()
	sig, _, err := k.pair.SignData(k.t.Context(), payload)
	if err != nil {
		k.t.Fatal(err)
	}
	Attach(r, repo, digest, payload, map[string]string{annotationSignature: base64.StdEncoding.EncodeToString(sig)})
}

// SignBundle signs a digest in the new form.
func (k *Key) SignBundle(r *ocitest.Registry, repo string, digest v1.Hash) {
	k.t.Helper()
	k.SignStatement(r, repo, digest, Statement(digest))
}

// SignStatement signs a statement in the new form, and attaches that to a digest which
// it need not be about.
func (k *Key) SignStatement(r *ocitest.Registry, repo string, digest v1.Hash, statement []byte) {
	k.t.Helper()
	b, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: statementType}, k.pair, sign.BundleOptions{Context: k.t.Context()})
	if err != nil {
		k.t.Fatal(err)
	}
	attachBundle(k.t, r, repo, digest, b)
}

// Payload is what the old form signs.
func Payload(digest v1.Hash) []byte {
	return []byte(fmt.Sprintf(`{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, digest))
}

// Statement is what the new form signs.
func Statement(digest v1.Hash) []byte {
	return []byte(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{%q:%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, digest.Algorithm, digest.Hex))
}

// Attach attaches what looks like a signature in the old form.
func Attach(r *ocitest.Registry, repo string, digest v1.Hash, payload []byte, annotations map[string]string) {
	r.Push(repo, digest.Algorithm+"-"+digest.Hex+".sig", ocitest.Artifact{
		ConfigType: "application/vnd.oci.image.config.v1+json",
		Layers:     []ocitest.Layer{{MediaType: simpleType, Content: payload, Annotations: annotations}},
	})
}

// attachBundle attaches a signature in the new form.
func attachBundle(t testing.TB, r *ocitest.Registry, repo string, digest v1.Hash, b *protobundle.Bundle) {
	t.Helper()
	raw, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	AttachBundle(r, repo, digest, raw)
}

// AttachBundle attaches what looks like a signature in the new form.
func AttachBundle(r *ocitest.Registry, repo string, digest v1.Hash, raw []byte) {
	subject := r.Descriptor(repo, digest.String())
	r.Push(repo, "", ocitest.Artifact{
		ArtifactType: bundleType, ConfigType: emptyConfig, Subject: &subject,
		Layers: []ocitest.Layer{{MediaType: bundleType, Content: raw}},
	})
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
