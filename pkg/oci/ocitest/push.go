package ocitest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// LayerType is the media type of the layers that Files makes.
const LayerType = "application/vnd.cncf.flux.content.v1.tar+gzip"

// ConfigType is the media type of the configuration of an artifact that names none.
const ConfigType = "application/vnd.cncf.flux.config.v1+json"

// Artifact is what Push pushes.
type Artifact struct {
	Layers       []Layer
	Annotations  map[string]string
	ConfigType   string // empty means ConfigType
	ArtifactType string
	Subject      *v1.Descriptor
}

// Layer is a layer of an Artifact.
type Layer struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// Files is an artifact with one layer, a compressed archive of files.
func Files(files map[string]string) Artifact {
	return Artifact{Layers: []Layer{{MediaType: LayerType, Content: TarGz(files)}}}
}

// TarGz is a compressed archive of files, by path. Equal files give equal bytes.
func TarGz(files map[string]string) []byte {
	headers := make([]*tar.Header, 0, len(files))
	for _, path := range slices.Sorted(maps.Keys(files)) {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(files[path]))})
	}
	return TarGzOf(headers, files)
}

// TarGzOf is a compressed archive with these headers, in this order, and the content of
// files by path. It may be one that no tool would make.
func TarGzOf(headers []*tar.Header, files map[string]string) []byte {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, h := range headers {
		// Writing to memory fails only where a header is not what tar can write.
		if err := w.WriteHeader(h); err != nil {
			panic(fmt.Sprintf("header %q: %v", h.Name, err))
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(files[h.Name])); err != nil {
				panic(fmt.Sprintf("content of %q: %v", h.Name, err))
			}
		}
	}
	for _, c := range []interface{ Close() error }{w, zip} {
		if err := c.Close(); err != nil {
			panic(fmt.Sprintf("completing the archive: %v", err))
		}
	}
	return out.Bytes()
}

// Push pushes an artifact and returns its digest. An empty tag is none.
func (r *Registry) Push(repo, tag string, a Artifact) v1.Hash {
	r.t.Helper()
	configType := a.ConfigType
	if configType == "" {
		configType = ConfigType
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: a.Annotations,
		Config: r.PushBlob(repo, configType, []byte("{}")), Subject: a.Subject, ArtifactType: a.ArtifactType, Layers: []v1.Descriptor{},
	}
	for _, l := range a.Layers {
		d := r.PushBlob(repo, l.MediaType, l.Content)
		d.Annotations = l.Annotations
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.PushManifest(repo, tag, types.OCIManifestSchema1, raw)
}

// PushIndex pushes an index of images that are there, for platforms such as linux/amd64.
func (r *Registry) PushIndex(repo, tag string, images map[string]v1.Hash) v1.Hash {
	r.t.Helper()
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, platform := range slices.Sorted(maps.Keys(images)) {
		os, arch, _ := strings.Cut(platform, "/")
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Digest: images[platform], Size: int64(len(r.manifest(repo, images[platform].String()))),
			Platform: &v1.Platform{OS: os, Architecture: arch},
		})
	}
	raw, err := json.Marshal(index)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.PushManifest(repo, tag, types.OCIImageIndex, raw)
}

// PushBlob pushes bytes and returns their descriptor.
func (r *Registry) PushBlob(repo, mediaType string, content []byte) v1.Descriptor {
	r.t.Helper()
	digest := Digest(content)
	r.do(http.MethodPost, fmt.Sprintf("/v2/%s/blobs/uploads/?digest=%s", repo, digest), mediaType, content, http.StatusCreated)
	return v1.Descriptor{MediaType: types.MediaType(mediaType), Digest: digest, Size: int64(len(content))}
}

// PushManifest pushes a manifest as it is. An empty tag is none.
func (r *Registry) PushManifest(repo, tag string, mediaType types.MediaType, raw []byte) v1.Hash {
	r.t.Helper()
	digest := Digest(raw)
	if tag == "" {
		tag = digest.String()
	}
	r.do(http.MethodPut, fmt.Sprintf("/v2/%s/manifests/%s", repo, tag), string(mediaType), raw, http.StatusCreated)
	return digest
}

// Descriptor returns the descriptor of a manifest that is there.
func (r *Registry) Descriptor(repo, reference string) v1.Descriptor {
	r.t.Helper()
	raw := r.manifest(repo, reference)
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: Digest(raw), Size: int64(len(raw))}
}

// Delete removes a tag or a digest.
func (r *Registry) Delete(repo, reference string) {
	r.t.Helper()
	r.do(http.MethodDelete, fmt.Sprintf("/v2/%s/manifests/%s", repo, reference), "", nil, http.StatusAccepted)
}

// Digest is the digest of bytes.
func Digest(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func (r *Registry) manifest(repo, reference string) []byte {
	r.t.Helper()
	return r.do(http.MethodGet, fmt.Sprintf("/v2/%s/manifests/%s", repo, reference), "", nil, http.StatusOK)
}

// do makes a request past login, counts and faults.
func (r *Registry) do(method, path, contentType string, body []byte, want int) []byte {
	r.t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	r.reg.ServeHTTP(rec, req)
	if rec.Code != want {
		r.t.Errorf("%s %s: status %d, %s", method, path, rec.Code, rec.Body)
	}
	return rec.Body.Bytes()
}

// Image returns the manifest of an artifact that is there.
func (r *Registry) Image(repo, reference string) *v1.Manifest {
	r.t.Helper()
	m, err := v1.ParseManifest(bytes.NewReader(r.manifest(repo, reference)))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}
