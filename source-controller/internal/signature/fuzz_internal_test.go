package signature

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// strangers are ways to trust that nothing which a fuzzer finds can satisfy.
func strangers(tb testing.TB) []cosign {
	tb.Helper()
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		tb.Fatal(err)
	}
	public, err := pair.GetPublicKeyPem()
	if err != nil {
		tb.Fatal(err)
	}
	k, err := newKeys(map[string][]byte{"cosign.pub": []byte(public)}, "ns/keys")
	if err != nil {
		tb.Fatal(err)
	}
	nobody := &keyless{root: &root.BaseTrustedMaterial{}, identities: []verify.PolicyOption{verify.WithoutIdentitiesUnsafe()}}
	return []cosign{{k}, {nobody}}
}

var signed = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0f", 32)}

// FuzzBundle: whatever a registry has for a signature, it is refused in words.
func FuzzBundle(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"AA=="}]},"tlogEntries":[{}]},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AA=="},"signature":"AA=="}}`,
	} {
		f.Add([]byte(seed))
	}
	all := strangers(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, c := range all {
			if err := c.checkBundle(raw, signed); err == nil || err.Error() == "" {
				t.Errorf("checkBundle(%q) = %v", raw, err)
			}
		}
	})
}

// FuzzSimple is FuzzBundle for the older form.
func FuzzSimple(f *testing.F) {
	const payload = `{"critical":{"image":{"docker-manifest-digest":"sha256:0f0f"}}}`
	f.Add([]byte(payload), "AA==", "", "", "")
	f.Add([]byte(payload), "AA==", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"00"}}`, `{"SignedRFC3161Timestamp":"AA=="}`)
	f.Add([]byte(""), "!", "x", "{", "{")
	all := strangers(f)
	f.Fuzz(func(t *testing.T, payload []byte, sig, certificate, log, timestamp string) {
		annotations := map[string]string{
			annotationSignature: sig, annotationCertificate: certificate, annotationLog: log, annotationTimestamp: timestamp,
		}
		for _, c := range all {
			if err := c.checkSimple(annotations, payload, signed); err == nil || err.Error() == "" {
				t.Errorf("checkSimple(%q, %v) = %v", payload, annotations, err)
			}
		}
	})
}
