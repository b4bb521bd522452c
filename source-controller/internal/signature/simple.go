package signature

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// Annotations of the older signatures.
const (
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationLog         = "dev.sigstore.cosign/bundle"
	annotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

// firstBundle is the media type of the version of bundles that has what the older
// signatures have: a promise of the log instead of a proof.
const firstBundle = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// bundle returns the signature, with its certificate and what logs and clocks say of it,
// as a bundle about the payload.
func (s simple) bundle() (*bundle.Bundle, error) {
	block, _ := pem.Decode([]byte(s.annotations[annotationCertificate]))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("a signature has no certificate")
	}
	entries, err := s.logEntries()
	if err != nil {
		return nil, err
	}
	times, err := s.timestamps()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(s.payload)
	b, err := bundle.NewBundle(&protobundle.Bundle{
		MediaType: firstBundle,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_X509CertificateChain{
				X509CertificateChain: &protocommon.X509CertificateChain{
					Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}},
				},
			},
			TlogEntries:               entries,
			TimestampVerificationData: times,
		},
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     s.signature,
		}},
	})
	if err != nil {
		return nil, errors.New("the annotations of a signature are not of a form that is known")
	}
	return b, nil
}

// logEntry is what a log has promised, as an annotation has it.
type logEntry struct {
	Promise []byte `json:"SignedEntryTimestamp"`
	Payload struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	} `json:"Payload"`
}

var errBadLogEntry = errors.New("the annotation " + annotationLog + " of a signature is not of a form that is known")

// logEntries reads what a log says; nothing if the signature is in none.
func (s simple) logEntries() ([]*protorekor.TransparencyLogEntry, error) {
	text := s.annotations[annotationLog]
	if text == "" {
		return nil, nil
	}
	var e logEntry
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return nil, errBadLogEntry
	}
	id, err := hex.DecodeString(e.Payload.LogID)
	if err != nil {
		return nil, errBadLogEntry
	}
	var kind struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.Payload.Body, &kind); err != nil {
		return nil, errBadLogEntry
	}
	return []*protorekor.TransparencyLogEntry{{
		LogIndex:          e.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.Version},
		IntegratedTime:    e.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: e.Promise},
		CanonicalizedBody: e.Payload.Body,
	}}, nil
}

// timestamps reads what a clock says; nothing if none was asked.
func (s simple) timestamps() (*protobundle.TimestampVerificationData, error) {
	text := s.annotations[annotationTimestamp]
	if text == "" {
		return nil, nil
	}
	var said struct {
		Signed string `json:"SignedRFC3161Timestamp"`
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return nil, errors.New("the timestamp of a signature is no JSON of that form")
	}
	raw, err := base64.StdEncoding.DecodeString(said.Signed)
	if err != nil {
		return nil, errors.New("the timestamp of a signature is no base64")
	}
	return &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: raw}},
	}, nil
}
