package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// acceptManifests is what a reference may lead to.
var acceptManifests = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
	string(types.OCIImageIndex), string(types.DockerManifestList),
}, ",")

// Resolve asks for the digest of a tag, or whether there is such a digest. That is one
// HEAD, unless the registry does not answer those well.
func (s *Session) Resolve(ctx context.Context, tagOrDigest string) (v1.Descriptor, error) {
	if err := checkReference(tagOrDigest); err != nil {
		return v1.Descriptor{}, err
	}
	desc, err := s.head(ctx, tagOrDigest)
	if err == nil {
		return desc, nil
	}
	if _, later := RetryAfter(err); later || errors.Is(err, ErrUnauthorized) || ctx.Err() != nil {
		return v1.Descriptor{}, err
	}
	m, err := s.get(ctx, tagOrDigest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if !m.MediaType.IsImage() && !m.MediaType.IsIndex() {
		return v1.Descriptor{}, fmt.Errorf("%w: the registry answers with what is no manifest", ErrCorrupt)
	}
	return m.Descriptor, nil
}

// Manifest is a manifest or an index whose digest was checked.
type Manifest struct {
	v1.Descriptor
	Raw []byte
}

// Manifest reads what has a digest.
func (s *Session) Manifest(ctx context.Context, digest v1.Hash) (Manifest, error) {
	m, err := s.get(ctx, digest.String())
	if err != nil {
		return Manifest{}, err
	}
	if m.Digest != digest {
		return Manifest{}, fmt.Errorf("%w: the manifest has the digest %s, not %s", ErrCorrupt, m.Digest, digest)
	}
	return m, nil
}

// Image reads the manifest of an artifact by its digest. Of an index it takes the image
// for linux/amd64, or the first that is for no platform.
func (s *Session) Image(ctx context.Context, digest v1.Hash) (*v1.Manifest, error) {
	m, err := s.Manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	return s.image(ctx, m)
}

// TaggedImage reads the manifest of the artifact that a tag leads to now.
func (s *Session) TaggedImage(ctx context.Context, tag string) (*v1.Manifest, error) {
	if err := CheckTag(tag); err != nil {
		return nil, err
	}
	m, err := s.get(ctx, tag)
	if err != nil {
		return nil, err
	}
	return s.image(ctx, m)
}

// image reads a manifest as that of an artifact, or of what an index leads to.
func (s *Session) image(ctx context.Context, m Manifest) (*v1.Manifest, error) {
	if m.MediaType.IsIndex() {
		digest := m.Digest
		index, err := v1.ParseIndexManifest(bytes.NewReader(m.Raw))
		if err != nil {
			return nil, fmt.Errorf("%w: %w: the index %s is no JSON of that form", ErrCorrupt, ErrManifest, digest)
		}
		chosen, ok := choosePlatform(index.Manifests)
		if !ok {
			return nil, fmt.Errorf("%w: the index %s has no image for linux/amd64", ErrNotFound, digest)
		}
		if m, err = s.Manifest(ctx, chosen); err != nil {
			return nil, err
		}
	}
	image, err := v1.ParseManifest(bytes.NewReader(m.Raw))
	if err != nil || m.MediaType.IsIndex() {
		return nil, fmt.Errorf("%w: %w: %s is no manifest of an artifact", ErrCorrupt, ErrManifest, m.Digest)
	}
	return image, nil
}

// emptyType is the type of a configuration that has nothing in it. Some registries take
// it for that of the artifact.
const emptyType = "application/vnd.oci.empty.v1+json"

// Referrers lists what refers to a digest and has a type, or one that the registry does
// not tell. Registries that do not keep such lists may have one under a tag.
func (s *Session) Referrers(ctx context.Context, digest v1.Hash, artifactType string) ([]v1.Descriptor, error) {
	u := s.url("referrers", digest.String())
	query := u.Query()
	query.Set("artifactType", artifactType)
	u.RawQuery = query.Encode()
	var raw []byte
	res, err := s.ask(ctx, http.MethodGet, u, string(types.OCIImageIndex))
	switch {
	case err == nil:
		raw, err = read(ctx, res, s.limits.Manifest, "list of referrers")
	case errors.Is(err, ErrUnauthorized), errors.Is(err, ErrUntrusted), ctx.Err() != nil:
		return nil, err
	default:
		var m Manifest
		m, err = s.get(ctx, digest.Algorithm+"-"+digest.Hex)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		raw = m.Raw
	}
	if err != nil {
		return nil, err
	}
	return pickReferrers(raw, artifactType)
}

// pickReferrers reads a list, of which the registry need not have left out other types.
func pickReferrers(raw []byte, artifactType string) ([]v1.Descriptor, error) {
	var index struct {
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%w: the list of referrers is no JSON of that form", ErrCorrupt)
	}
	var picked []v1.Descriptor
	for _, d := range index.Manifests {
		if d.ArtifactType == artifactType || d.ArtifactType == "" || d.ArtifactType == emptyType {
			picked = append(picked, d)
		}
	}
	// Not every registry has them in the same order each time.
	slices.SortFunc(picked, func(a, b v1.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	return picked, nil
}

// head asks for the descriptor of a manifest.
func (s *Session) head(ctx context.Context, reference string) (v1.Descriptor, error) {
	res, err := s.ask(ctx, http.MethodHead, s.url("manifests", reference), acceptManifests)
	if err != nil {
		return v1.Descriptor{}, err
	}
	res.Body.Close()
	digest, err := ParseDigest(res.Header.Get("Docker-Content-Digest"))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("%w: the registry names no digest", ErrCorrupt)
	}
	if strings.Contains(reference, ":") && digest.String() != reference {
		return v1.Descriptor{}, fmt.Errorf("%w: the registry names another digest than was asked for", ErrCorrupt)
	}
	return v1.Descriptor{Digest: digest, Size: res.ContentLength, MediaType: mediaType(res)}, nil
}

// get reads a manifest by a tag or a digest.
func (s *Session) get(ctx context.Context, reference string) (Manifest, error) {
	res, err := s.ask(ctx, http.MethodGet, s.url("manifests", reference), acceptManifests)
	if err != nil {
		return Manifest{}, err
	}
	raw, err := read(ctx, res, s.limits.Manifest, "manifest")
	if err != nil {
		return Manifest{}, err
	}
	sum := sha256.Sum256(raw)
	m := Manifest{Raw: raw, Descriptor: v1.Descriptor{
		Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, Size: int64(len(raw)), MediaType: mediaType(res),
	}}
	var said struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	if json.Unmarshal(raw, &said) == nil && said.MediaType != "" {
		m.MediaType = said.MediaType // the digest covers it
	}
	if strings.Contains(reference, ":") && m.Digest.String() != reference {
		return Manifest{}, fmt.Errorf("%w: the manifest has the digest %s, not %s", ErrCorrupt, m.Digest, reference)
	}
	return m, nil
}

// choosePlatform returns the image of an index that is taken where nobody says for which
// platform.
func choosePlatform(manifests []v1.Descriptor) (v1.Hash, bool) {
	var found v1.Hash
	ok := false
	for _, d := range manifests {
		if !d.MediaType.IsImage() {
			continue
		}
		if p := d.Platform; p != nil && p.OS == "linux" && p.Architecture == "amd64" {
			return d.Digest, true
		}
		if d.Platform == nil && !ok {
			found, ok = d.Digest, true
		}
	}
	return found, ok
}

func mediaType(res *http.Response) types.MediaType {
	plain, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return types.MediaType(plain)
}

// checkReference keeps what is no reference out of URLs.
func checkReference(tagOrDigest string) error {
	if strings.Contains(tagOrDigest, ":") {
		_, err := ParseDigest(tagOrDigest)
		return err
	}
	return CheckTag(tagOrDigest)
}
