package signaturetest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"weir.dev/pkg/oci/ocitest"
)

// Sigstore is an instance of Sigstore with authorities and a log of its own, all in
// memory.
type Sigstore struct {
	t  testing.TB
	ca *ca.VirtualSigstore
}

// NewSigstore makes an instance.
func NewSigstore(t testing.TB) *Sigstore {
	t.Helper()
	v, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return &Sigstore{t: t, ca: v}
}

// TrustedRoot is the JSON of what the instance vouches for. With a log of certificates,
// none of those that it gives is in that.
func (s *Sigstore) TrustedRoot(certificateLog bool) string {
	s.t.Helper()
	var logs map[string]*root.TransparencyLog
	if certificateLog {
		logs = s.named(s.ca.CTLogs())
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, s.ca.FulcioCertificateAuthorities(), logs, s.ca.TimestampingAuthorities(), s.named(s.ca.RekorLogs()))
	if err != nil {
		s.t.Fatal(err)
	}
	return marshal(s.t, r)
}

// named gives logs the identity that they are known by, in bytes.
func (s *Sigstore) named(logs map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
	s.t.Helper()
	for id, log := range logs {
		var err error
		if log.ID, err = hex.DecodeString(id); err != nil {
			s.t.Fatal(err)
		}
	}
	return logs
}

// Sign signs a digest in the old form, as an identity that an issuer vouches for.
func (s *Sigstore) Sign(r *ocitest.Registry, repo string, digest v1.Hash, identity, issuer string) {
	s.t.Helper()
	payload := Payload(digest)
	Attach(r, repo, digest, payload, s.Annotations(payload, identity, issuer))
}

// Annotations are those of a signature of a payload in the old form.
func (s *Sigstore) Annotations(payload []byte, identity, issuer string) map[string]string {
	s.t.Helper()
	entity, err := s.ca.Sign(identity, issuer, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	content, err := entity.SignatureContent()
	if err != nil {
		s.t.Fatal(err)
	}
	entry := s.entry(entity)
	return map[string]string{
		annotationSignature:   base64.StdEncoding.EncodeToString(content.MessageSignatureContent().Signature()),
		annotationCertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate(entity)})),
		annotationLog: marshal(s.t, map[string]any{
			"SignedEntryTimestamp": entry.InclusionPromise.SignedEntryTimestamp,
			"Payload": map[string]any{
				"body": entry.CanonicalizedBody, "integratedTime": entry.IntegratedTime, "logIndex": entry.LogIndex, "logID": hex.EncodeToString(entry.LogId.KeyId),
			},
		}),
	}
}

// SignBundle signs a digest in the new form, as an identity that an issuer vouches for.
func (s *Sigstore) SignBundle(r *ocitest.Registry, repo string, digest v1.Hash, identity, issuer string) {
	s.t.Helper()
	entity, err := s.ca.AttestAtTime(identity, issuer, Statement(digest), time.Now().Add(5*time.Minute), true)
	if err != nil {
		s.t.Fatal(err)
	}
	content, err := entity.SignatureContent()
	if err != nil {
		s.t.Fatal(err)
	}
	envelope := content.EnvelopeContent().RawEnvelope()
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		s.t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(envelope.Signatures[0].Sig)
	if err != nil {
		s.t.Fatal(err)
	}
	attachBundle(s.t, r, repo, digest, &protobundle.Bundle{
		MediaType: bundleType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:     &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: s.certificate(entity)}},
			TlogEntries: []*protorekor.TransparencyLogEntry{s.entry(entity)},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: envelope.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	})
}

func (s *Sigstore) certificate(entity *ca.TestEntity) []byte {
	s.t.Helper()
	content, err := entity.VerificationContent()
	if err != nil {
		s.t.Fatal(err)
	}
	return content.Certificate().Raw
}

// entry is what the log says of a signature.
func (s *Sigstore) entry(entity *ca.TestEntity) *protorekor.TransparencyLogEntry {
	s.t.Helper()
	entries, err := entity.TlogEntries()
	if err != nil {
		s.t.Fatal(err)
	}
	entry := entries[0].TransparencyLogEntry()
	promise, err := s.ca.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.CanonicalizedBody), IntegratedTime: entry.IntegratedTime,
		LogIndex: entry.LogIndex, LogID: hex.EncodeToString(entry.LogId.KeyId),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
	if entry.KindVersion == nil {
		kind := "hashedrekord"
		if entry.InclusionProof != nil {
			kind = "dsse"
		}
		entry.KindVersion = &protorekor.KindVersion{Kind: kind, Version: "0.0.1"}
	}
	return entry
}
