package ocirepository_test

import (
	"archive/tar"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
)

// lose removes the file of an artifact.
func (w *world) lose(repo *sourcev1.OCIRepository) {
	w.t.Helper()
	if err := os.Remove(w.File(repo)); err != nil {
		w.t.Fatal(err)
	}
}

// TestRegistryThatFails: what was published stays, the condition tells, and the next
// good answer heals.
func TestRegistryThatFails(t *testing.T) {
	t.Parallel()
	const pull, layer = sourcev1.ReasonOCIArtifactPullFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed
	tests := map[string]struct {
		why    string
		fault  func(r *ocitest.Registry) ocitest.Fault
		reason string
		says   []string
	}{
		"fails":          {fault: always(ocitest.Status(http.StatusInternalServerError)), reason: pull, says: []string{"failed to determine artifact digest: ", "status 500"}},
		"tag is gone":    {fault: always(ocitest.Status(http.StatusNotFound)), reason: pull, says: []string{"failed to determine artifact digest: not found in the registry"}},
		"became private": {fault: always(ocitest.Status(http.StatusUnauthorized)), reason: pull, says: []string{"failed to determine artifact digest: ", "no credentials are given"}},
		"disconnects":    {fault: always(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }), reason: pull, says: []string{"failed to determine artifact digest: "}},
		"hangs":          {why: "spec.timeout ends it", fault: always(ocitest.Hang()), reason: pull, says: []string{"failed to determine artifact digest: ", "spec.timeout of 1s is over"}},
		"garbage":        {fault: always(ocitest.Garbage("<html>")), reason: pull, says: []string{"corrupt content"}},
		"manifest":       {fault: always(ocitest.Only(ocitest.Manifest, ocitest.Garbage("{}"))), reason: pull, says: []string{"failed to pull artifact from 'oci://", "corrupt content"}},
		"layer is gone":  {fault: always(ocitest.Only(ocitest.Blob, ocitest.Status(http.StatusNotFound))), reason: pull, says: []string{"failed to pull artifact from 'oci://", "not found in the registry"}},
		"layer is cut":   {fault: func(r *ocitest.Registry) ocitest.Fault { return ocitest.Only(ocitest.Blob, r.Cut(20)) }, reason: layer, says: []string{"failed to extract layer contents from artifact: "}},
		"layer hangs":    {fault: always(ocitest.Only(ocitest.Blob, ocitest.Hang())), reason: pull, says: []string{"spec.timeout of 1s is over"}},
		"layer is altered": {
			fault: func(r *ocitest.Registry) ocitest.Fault {
				return ocitest.Only(ocitest.Blob, r.Alter(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }))
			},
			reason: layer, says: []string{"failed to extract layer contents from artifact: "},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.push("latest", one("kind: First\n"))
			repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) { s.Timeout = &metav1.Duration{Duration: 1e9} })
			w.WaitPublished(repo, first)
			second := w.push("latest", one("kind: Second\n"))
			w.reg.Break(tc.fault(w.reg))
			w.Poke(repo)
			w.expectFailure(repo, sourcev1.ConditionFetchFailed, tc.reason, tc.says...)
			if repo.Status.Artifact == nil || repo.Status.Artifact.Revision != first || string(w.Content(repo)["app.yaml"]) != "kind: First\n" {
				t.Errorf("the first artifact is not advertised any more: %v (%s)", repo.Status.Artifact, tc.why)
			}
			ready := conditions.GetMessage(repo, meta.ReadyCondition)
			w.WaitEvent(repo, corev1.EventTypeWarning, tc.reason, ready)
			w.reg.Break(nil)
			w.WaitPublished(repo, second)
			for _, c := range []string{sourcev1.ConditionFetchFailed, meta.ReconcilingCondition, sourcev1.ConditionArtifactOutdated} {
				if conditions.Has(repo, c) {
					t.Errorf("the condition %s stays after the registry was mended", c)
				}
			}
		})
	}
}

func always(fault ocitest.Fault) func(*ocitest.Registry) ocitest.Fault {
	return func(*ocitest.Registry) ocitest.Fault { return fault }
}

// TestCopyThatIsCut: the failure is the registry's, and nothing half is stored.
func TestCopyThatIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revision := w.push("latest", one(strings.Repeat("kind: App\n", 1000)))
	w.reg.Break(ocitest.Only(ocitest.Blob, w.reg.Cut(30)))
	repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) {
		s.LayerSelector = &sourcev1.OCILayerSelector{Operation: sourcev1.OCILayerCopy}
	})
	w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactPullFailed, "failed to pull artifact from 'oci://")
	if left := w.Stored(sourcev1.OCIRepositoryKind, repo); len(left) > 0 {
		t.Errorf("the storage has %q", left)
	}
	w.reg.Break(nil)
	w.WaitPublished(repo, revision)
}

// TestSpecsThatCannotWork wait for another spec, and are not tried again.
func TestSpecsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("latest", one("kind: App\n"))
	tests := map[string]struct {
		adjust func(*sourcev1.OCIRepositorySpec)
		reason string
		says   string
	}{
		"tag-in-url":    {adjust: func(s *sourcev1.OCIRepositorySpec) { s.URL += ":latest" }, reason: sourcev1.ReasonURLInvalid, says: "has a tag"},
		"digest-in-url": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.URL += "@sha256:" + strings.Repeat("0", 64) }, reason: sourcev1.ReasonURLInvalid, says: "invalid OCI repository URL"},
		"bad-range":     {adjust: func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{SemVer: "x y z"} }, reason: sourcev1.ReasonReadOperationFailed, says: "failed to determine the artifact tag for 'oci://"},
		"bad-filter": {adjust: func(s *sourcev1.OCIRepositorySpec) {
			s.Reference = &sourcev1.OCIRepositoryRef{SemVer: "*", SemverFilter: "("}
		}, reason: sourcev1.ReasonReadOperationFailed, says: "semverFilter"},
		"bad-tag":    {adjust: func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{Tag: "../x"} }, reason: sourcev1.ReasonReadOperationFailed, says: "cannot be a tag"},
		"bad-digest": {adjust: func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{Digest: "sha256:1234"} }, reason: sourcev1.ReasonReadOperationFailed, says: "is no digest"},
		"gate": {
			adjust: func(s *sourcev1.OCIRepositorySpec) {
				s.Provider, s.ServiceAccountName = sourcev1.OCIProviderAWS, "robot"
			},
			reason: sourcev1.ReasonFeatureGateDisabled, says: "please enable the ObjectLevelWorkloadIdentity feature gate in the controller",
		},
	}
	for name, tc := range tests {
		repo := w.source(name, tc.adjust)
		c := w.WaitCondition(repo, meta.StalledCondition, metav1.ConditionTrue, tc.reason)
		if !strings.Contains(c.Message, tc.says) {
			t.Errorf("%s: Stalled says %q; want it to say %q", name, c.Message, tc.says)
		}
		if repo.Status.ObservedGeneration != repo.Generation {
			t.Errorf("%s: observedGeneration is %d; want %d", name, repo.Status.ObservedGeneration, repo.Generation)
		}
	}
	if n := w.reg.Counts().Sum(); n != 0 {
		t.Errorf("the registry was asked %d times; want never", n)
	}
}

func TestRangeWithoutTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("1.0.0", one("kind: App\n"))
	repo := w.source("app", func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{SemVer: "2.x"} })
	w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonReadOperationFailed,
		"failed to determine the artifact tag for '"+w.reg.URL(app)+"': no match found for semver: 2.x")
	w.WaitPublished(repo, w.push("2.0.0", one("kind: App\n"))) // it is tried again
}

// TestArtifactsThatAreRefused: whoever can push must not reach what is not theirs.
func TestArtifactsThatAreRefused(t *testing.T) {
	t.Parallel()
	file := func(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
	layer := func(headers ...*tar.Header) ocitest.Artifact {
		return ocitest.Artifact{Layers: []ocitest.Layer{{MediaType: ocitest.LayerType, Content: ocitest.TarGzOf(headers, nil)}}}
	}
	annotations := ocitest.Files(one("x"))
	annotations.Annotations = map[string]string{"a": strings.Repeat("x", 300<<10)}
	tests := map[string]struct {
		artifact ocitest.Artifact
		says     string
	}{
		"leads-up":        {artifact: layer(file("a"), file("../b")), says: "leaves the archive"},
		"absolute":        {artifact: layer(file("/etc/passwd")), says: "is not relative"},
		"hard-link":       {artifact: layer(file("a"), &tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}), says: "hard link"},
		"file-and-folder": {artifact: layer(file("a"), file("a/b")), says: `"a" is a file, and the folder of "a/b"`},
		"no-archive":      {artifact: ocitest.Artifact{Layers: []ocitest.Layer{{MediaType: ocitest.LayerType, Content: []byte("garbage")}}}, says: "corrupt archive"},
		"annotations":     {artifact: annotations, says: "its annotations have "},
	}
	w := newWorld(t)
	for name, tc := range tests {
		w.reg.Push(app, name, tc.artifact)
		repo := w.source(name, func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{Tag: name} })
		w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed, tc.says)
		if left := w.Stored(sourcev1.OCIRepositoryKind, repo); len(left) > 0 {
			t.Errorf("%s: the storage has %q", name, left)
		}
	}
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "layers": "none"})
	if err != nil {
		t.Fatal(err)
	}
	w.reg.PushManifest(app, "manifest", types.OCIManifestSchema1, raw)
	repo := w.source("manifest", func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{Tag: "manifest"} })
	w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed, "failed to parse artifact manifest: ")
}

// TestLayerAboveTheLimit is not pulled, and one that unpacks to more than fits is not
// published.
func TestLayerAboveTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--artifact-max-size=16384")
	w.reg.Push(app, "large", ocitest.Artifact{Layers: []ocitest.Layer{{MediaType: "x/y", Content: make([]byte, 20000)}}})
	repo := w.source("large", func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{Tag: "large"} })
	w.expectFailure(repo, sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed, "the layer has 20000 bytes, and the limit is 16384")
	if n := w.reg.Counts().Blobs; n != 0 {
		t.Errorf("the layer was asked for %d times; want never", n)
	}
}
