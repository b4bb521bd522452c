package signature

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"weir.dev/pkg/oci"
)

const (
	// bundleType is the type of what refers to an artifact and has a bundle: a signature
	// with all that is needed to check it.
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// bundlePrefix begins the media types of bundles of all versions.
	bundlePrefix = "application/vnd.dev.sigstore.bundle"
	// signPredicate is the type of the statement that a signature is.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
	// provenancePrefix begins the types of statements about who has built an artifact.
	provenancePrefix = "https://slsa.dev/provenance/"
	// simpleType is the media type of what the older signatures sign.
	simpleType = "application/vnd.dev.cosign.simplesigning.v1+json"

	maxBundle  = 4 << 20 // bytes
	maxPayload = 64 << 10
	// maxReasons bounds how many reasons an error gives.
	maxReasons = 3
	maxReason  = 300 // bytes
)

// trust decides which signatures count.
type trust interface {
	// bundle checks a bundle about a digest.
	bundle(b *bundle.Bundle, digest v1.Hash) error
	// simple checks one of the older signatures, as far as it is over its payload.
	simple(s simple) error
}

// cosign checks the signatures that cosign makes.
type cosign struct{ trust trust }

// verify implements method. Bundles come first, because whoever signs anew makes
// those; the older signatures are looked for where there is none that does.
func (c cosign) verify(ctx context.Context, s *oci.Session, digest v1.Hash) (Result, error) {
	var reasons []error
	for _, look := range []func(context.Context, *oci.Session, v1.Hash) ([]error, error){c.bundles, c.simples} {
		why, err := look(ctx, s, digest)
		if err == nil {
			return Verified, nil
		}
		if !errors.Is(err, errNoMatch) {
			return 0, err
		}
		reasons = append(reasons, why...)
	}
	if len(reasons) == 0 {
		return 0, errUnsigned
	}
	return 0, noMatch(reasons)
}

// isSignature tells what vouches for an artifact, its signature or its provenance, from
// other statements about it, which the same people sign: that it was scanned does not
// say that it is good.
func isSignature(found *verify.VerificationResult) error {
	s := found.Statement
	if s == nil || s.GetPredicateType() == signPredicate || strings.HasPrefix(s.GetPredicateType(), provenancePrefix) {
		return nil
	}
	return fmt.Errorf("a bundle is no signature, but a statement of the type %q", s.GetPredicateType())
}

// noMatch says why signatures do not count. The words are partly those of libraries.
func noMatch(reasons []error) error {
	var words []string
	for _, reason := range reasons[:min(len(reasons), maxReasons)] {
		text := reason.Error()
		if len(text) > maxReason {
			text = text[:maxReason] + "…"
		}
		words = append(words, text)
	}
	if n := len(reasons) - maxReasons; n > 0 {
		words = append(words, fmt.Sprintf("and %d more", n))
	}
	return fmt.Errorf("%w: %s", errNoMatch, strings.Join(words, "; "))
}

// bundles looks for a good bundle among what refers to the digest.
func (c cosign) bundles(ctx context.Context, s *oci.Session, digest v1.Hash) ([]error, error) {
	referrers, err := s.Referrers(ctx, digest, bundleType)
	if err != nil {
		return nil, fmt.Errorf("looking for signatures: %w", err)
	}
	var reasons []error
	for _, r := range referrers[:min(len(referrers), maxSignatures)] {
		image, err := s.Image(ctx, r.Digest)
		if err != nil {
			return nil, fmt.Errorf("reading a signature: %w", err)
		}
		layer, ok := bundleLayer(image)
		if !ok {
			continue // it is something else
		}
		raw, err := readBlob(ctx, s, layer, maxBundle)
		if err != nil {
			return nil, fmt.Errorf("reading a signature: %w", err)
		}
		if err := c.checkBundle(raw, digest); err != nil {
			reasons = append(reasons, err)
			continue
		}
		return nil, nil
	}
	return reasons, errNoMatch
}

func bundleLayer(image *v1.Manifest) (v1.Descriptor, bool) {
	if len(image.Layers) != 1 || !strings.HasPrefix(string(image.Layers[0].MediaType), bundlePrefix) {
		return v1.Descriptor{}, false
	}
	return image.Layers[0], true
}

func (c cosign) checkBundle(raw []byte, digest v1.Hash) error {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		// The words of the parser differ from run to run, on purpose.
		return errors.New("a bundle is not of a form that is known")
	}
	return c.trust.bundle(&b, digest)
}

// simples looks for a good signature under the tag that the older ones have.
func (c cosign) simples(ctx context.Context, s *oci.Session, digest v1.Hash) ([]error, error) {
	image, err := s.TaggedImage(ctx, digest.Algorithm+"-"+digest.Hex+".sig")
	if errors.Is(err, oci.ErrNotFound) {
		return nil, errNoMatch
	}
	if err != nil {
		return nil, fmt.Errorf("looking for signatures: %w", err)
	}
	var reasons []error
	for _, layer := range image.Layers[:min(len(image.Layers), maxSignatures)] {
		if layer.MediaType != simpleType {
			continue
		}
		payload, err := readBlob(ctx, s, layer, maxPayload)
		if err != nil {
			return nil, fmt.Errorf("reading a signature: %w", err)
		}
		if err := c.checkSimple(layer.Annotations, payload, digest); err != nil {
			reasons = append(reasons, err)
			continue
		}
		return nil, nil
	}
	return reasons, errNoMatch
}

// simple is one of the older signatures.
type simple struct {
	payload, signature []byte
	annotations        map[string]string
}

// annotationSignature is where the signature of a payload is.
const annotationSignature = "dev.cosignproject.cosign/signature"

func (c cosign) checkSimple(annotations map[string]string, payload []byte, digest v1.Hash) error {
	sig, err := base64.StdEncoding.DecodeString(annotations[annotationSignature])
	if err != nil || len(sig) == 0 {
		return fmt.Errorf("the annotation %q of a signature is no base64", annotationSignature)
	}
	if err := c.trust.simple(simple{payload: payload, signature: sig, annotations: annotations}); err != nil {
		return err
	}
	// Only now is it known who says so.
	var said struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&said); err != nil {
		return errors.New("the payload of a signature is no JSON of that form")
	}
	if said.Critical.Image.Digest != digest.String() {
		return errors.New("a signature is of another digest")
	}
	return nil
}

// readBlob reads a whole layer.
func readBlob(ctx context.Context, s *oci.Session, layer v1.Descriptor, limit int64) ([]byte, error) {
	body, err := s.Blob(ctx, layer, limit)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, limit+1))
}
