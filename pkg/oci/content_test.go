package oci_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
)

func printed(values ...any) map[string]string {
	out := make(map[string]string)
	for i, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			out[fmt.Sprintf("%d by %s", i, verb)] = fmt.Sprintf(verb, v)
		}
	}
	return out
}

// pull reads an artifact whole and returns its first layer.
func pull(t *testing.T, s *oci.Session, digest v1.Hash) []byte {
	t.Helper()
	m, err := s.Image(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Blob(t.Context(), m.Layers[0], -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestPull(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	files := map[string]string{"app.yaml": "kind: App\n"}
	digest := r.Push("org/app", "latest", ocitest.Files(files))
	s := open(t, oci.NewClient(oci.Limits{}), r, "org/app", oci.Access{})
	if diff := cmp.Diff(ocitest.TarGz(files), pull(t, s, digest)); diff != "" {
		t.Errorf("the layer differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ocitest.Counts{Pings: 1, Manifests: 1, Blobs: 1}, r.Counts()); diff != "" {
		t.Errorf("the pull cost (-want +got):\n%s", diff)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	image := func(name string) v1.Hash { return r.Push("app", "", ocitest.Files(map[string]string{"name": name})) }
	s := open(t, oci.NewClient(oci.Limits{}), r, "app", oci.Access{})
	index := r.PushIndex("app", "latest", map[string]v1.Hash{"linux/arm64": image("arm"), "linux/amd64": image("amd"), "windows/amd64": image("win")})
	desc, err := s.Resolve(t.Context(), "latest")
	if err != nil || desc.Digest != index {
		t.Errorf("Resolve = %s, %v; want the digest of the index, %s", desc.Digest, err, index)
	}
	if diff := cmp.Diff(ocitest.TarGz(map[string]string{"name": "amd"}), pull(t, s, index)); diff != "" {
		t.Errorf("another image was taken (-want +got):\n%s", diff)
	}
	others := r.PushIndex("app", "others", map[string]v1.Hash{"linux/arm64": image("arm")})
	if _, err := s.Image(t.Context(), others); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("an index for other platforms: %v; want ErrNotFound", err)
	}
}

// TestHeadThatDoesNotDo: some registries answer them wrongly, or not at all.
func TestHeadThatDoesNotDo(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	want := r.Push("app", "latest", ocitest.Files(nil))
	faults := map[string]ocitest.Fault{
		"not allowed": ocitest.Status(http.StatusMethodNotAllowed),
		"not found":   ocitest.Status(http.StatusNotFound),
		"no digest":   ocitest.Status(http.StatusOK),
		"a digest that is none": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Docker-Content-Digest", "sha256:../../x")
			return true
		},
	}
	for name, fault := range faults {
		r.Break(ocitest.Only(ocitest.Head, fault))
		got, err := connected(t, r).Resolve(t.Context(), "latest")
		if err != nil || got.Digest != want {
			t.Errorf("%s: Resolve = %s, %v; want %s", name, got.Digest, err, want)
		}
	}
}

// TestGarbageHasNoDigest: a page that a proxy puts in place of a manifest is no artifact.
func TestGarbageHasNoDigest(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	r.Push("app", "latest", ocitest.Files(nil))
	s := connected(t, r)
	r.Break(ocitest.Garbage("<html>"))
	if got, err := s.Resolve(t.Context(), "latest"); !errors.Is(err, oci.ErrCorrupt) {
		t.Errorf("Resolve = %s, %v; want ErrCorrupt", got.Digest, err)
	}
}

func TestContentThatIsNotWhatItHasToBe(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	digest := r.Push("app", "latest", ocitest.Files(map[string]string{"app.yaml": strings.Repeat("kind: App\n", 100)}))
	flip := r.Alter(func(body []byte) []byte { body[len(body)/2] ^= 1; return body })
	tests := map[string]struct {
		fault ocitest.Fault
		err   error
	}{
		"altered manifest":   {fault: ocitest.Only(ocitest.Manifest, flip), err: oci.ErrCorrupt},
		"altered layer":      {fault: ocitest.Only(ocitest.Blob, flip), err: oci.ErrCorrupt},
		"garbage manifest":   {fault: ocitest.Only(ocitest.Manifest, ocitest.Garbage("<html>")), err: oci.ErrCorrupt},
		"garbage layer":      {fault: ocitest.Only(ocitest.Blob, ocitest.Garbage("<html>")), err: oci.ErrCorrupt},
		"cut manifest":       {fault: ocitest.Only(ocitest.Manifest, r.Cut(10)), err: oci.ErrRegistry},
		"cut layer":          {fault: ocitest.Only(ocitest.Blob, r.Cut(10)), err: oci.ErrRegistry},
		"huge manifest":      {fault: ocitest.Only(ocitest.Manifest, ocitest.Garbage(strings.Repeat("x", 70<<10))), err: oci.ErrTooLarge},
		"manifest is gone":   {fault: ocitest.Only(ocitest.Manifest, ocitest.Status(http.StatusNotFound)), err: oci.ErrNotFound},
		"layer is forbidden": {fault: ocitest.Only(ocitest.Blob, ocitest.Status(http.StatusForbidden)), err: oci.ErrUnauthorized},
	}
	for name, tc := range tests {
		s := open(t, oci.NewClient(oci.Limits{Manifest: 64 << 10}), r, "app", oci.Access{})
		r.Break(tc.fault)
		err := func() error {
			m, err := s.Image(t.Context(), digest)
			if err != nil {
				return err
			}
			body, err := s.Blob(t.Context(), m.Layers[0], -1)
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(io.Discard, body)
			return err
		}()
		r.Break(nil)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v; want %v", name, err, tc.err)
		}
	}
}

func TestLayerAboveTheLimitIsNotAskedFor(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	desc := r.PushBlob("app", "x", []byte("0123456789"))
	r.Push("app", "latest", ocitest.Files(nil))
	s := connected(t, r)
	if _, err := s.Blob(t.Context(), desc, 9); !errors.Is(err, oci.ErrTooLarge) {
		t.Errorf("Blob = %v; want ErrTooLarge", err)
	}
	desc.Size = 5 // a manifest may say so
	if _, err := s.Blob(t.Context(), desc, 9); !errors.Is(err, oci.ErrCorrupt) {
		t.Errorf("Blob with a wrong size = %v; want ErrCorrupt", err)
	}
	if n := r.Counts().Blobs; n != 1 {
		t.Errorf("the layer was asked for %d times; want once, for the wrong size", n)
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	const kind = "application/vnd.example.signature"
	tests := map[string]struct {
		why  string
		none bool // the registry keeps no such lists
		tag  bool // there is a list under a tag
		want int
	}{
		"list":          {want: 1},
		"list by a tag": {why: "how clients keep it for registries that do not", none: true, tag: true, want: 1},
		"no list":       {none: true, want: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ocitest.Start(t, ocitest.Options{NoReferrers: tc.none})
			subject := r.Push("app", "latest", ocitest.Files(nil))
			desc := r.Descriptor("app", "latest")
			signature := r.Push("app", "", ocitest.Artifact{ArtifactType: kind, Subject: &desc})
			other := r.Push("app", "", ocitest.Artifact{ArtifactType: "application/vnd.example.other", Subject: &desc})
			if tc.tag {
				index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1,"artifactType":%q},{"mediaType":%q,"digest":%q,"size":1,"artifactType":"other"}]}`,
					types.OCIManifestSchema1, signature, kind, types.OCIManifestSchema1, other)
				r.PushManifest("app", "sha256-"+subject.Hex, types.OCIImageIndex, []byte(index))
			}
			got, err := connected(t, r).Referrers(t.Context(), subject, kind)
			if err != nil || len(got) != tc.want || tc.want > 0 && got[0].Digest != signature {
				t.Errorf("Referrers = %v, %v; want %d, %s (%s)", got, err, tc.want, signature, tc.why)
			}
		})
	}
}
