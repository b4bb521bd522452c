package ocirepository_test

import (
	"io"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/source-controller/internal/sourcetest"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	artifact := ocitest.Files(map[string]string{"app.yaml": "kind: App\n", "a.jpg": "no", "sub/b.yaml": "kind: B\n"})
	artifact.Annotations = map[string]string{
		"org.opencontainers.image.source": "https://git.example.com/app", "org.opencontainers.image.revision": "main@sha1:1234",
		"org.opencontainers.image.created": "2025-01-01T00:00:00Z",
	}
	digest := w.reg.Push(app, "latest", artifact)
	repo := w.source("app")
	revision := "latest@" + digest.String()
	w.WaitPublished(repo, revision)

	a := repo.Status.Artifact
	folder := "ocirepository/" + w.Namespace + "/app/"
	if a.Path != folder+digest.String()+".tar.gz" {
		t.Errorf("the path is %q; want %q", a.Path, folder+digest.String()+".tar.gz")
	}
	if diff := cmp.Diff(artifact.Annotations, a.Metadata); diff != "" {
		t.Errorf("metadata (-annotations +got):\n%s", diff)
	}
	if want := strings.TrimSuffix(a.URL, a.Path) + folder + "latest.tar.gz"; repo.Status.URL != want {
		t.Errorf("status.url is %q; want %q", repo.Status.URL, want)
	}
	if diff := cmp.Diff(string(w.Download(repo)), w.fetch(repo.Status.URL)); diff != "" {
		t.Errorf("what status.url serves is not the artifact (-want +got):\n%s", diff)
	}
	want := map[string]string{"app.yaml": "kind: App\n", "sub/b.yaml": "kind: B\n"}
	if diff := cmp.Diff(want, w.Content(repo)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	message := "stored artifact for digest '" + revision + "'"
	wantConditions := []metav1.Condition{
		{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, ObservedGeneration: 1, Reason: "Succeeded", Message: message},
		{Type: sourcev1.ConditionArtifactInStorage, Status: metav1.ConditionTrue, ObservedGeneration: 1, Reason: "Succeeded", Message: message},
	}
	if diff := cmp.Diff(wantConditions, repo.Status.Conditions, cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	e := w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	if want := "stored artifact with revision '" + revision + "' from '" + w.reg.URL(app) +
		"', origin source 'https://git.example.com/app', origin revision 'main@sha1:1234'"; e.Message != want {
		t.Errorf("the event says %q; want %q", e.Message, want)
	}
	if diff := cmp.Diff(map[string]string{"source.toolkit.fluxcd.io/revision": revision, "source.toolkit.fluxcd.io/digest": a.Digest}, e.Annotations); diff != "" {
		t.Errorf("metadata of the event (-want +got):\n%s", diff)
	}
}

// fetch returns what is served at a URL.
func (w *world) fetch(url string) string {
	w.t.Helper()
	res, err := w.Fetch(url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestReferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	digests := make(map[string]v1.Hash)
	for _, tag := range []string{"latest", "1.0.0", "1.1.0", "1.2.0-rc.1", "v2.0.0", "2.1.0-alpine", "dev"} {
		digests[tag] = w.reg.Push(app, tag, ocitest.Files(one(tag)))
	}
	amd := w.reg.Push(app, "", ocitest.Files(one("amd")))
	index := w.reg.PushIndex(app, "index", map[string]v1.Hash{"linux/amd64": amd, "linux/arm64": digests["dev"]})
	of := func(tag string) string { return tag + "@" + digests[tag].String() }
	tests := map[string]struct {
		ref           *sourcev1.OCIRepositoryRef
		revision, has string
	}{
		"none":          {revision: of("latest"), has: "latest"},
		"empty":         {ref: &sourcev1.OCIRepositoryRef{}, revision: of("latest"), has: "latest"},
		"tag":           {ref: &sourcev1.OCIRepositoryRef{Tag: "dev"}, revision: of("dev"), has: "dev"},
		"range":         {ref: &sourcev1.OCIRepositoryRef{SemVer: "1.x"}, revision: of("1.1.0"), has: "1.1.0"},
		"range-over":    {ref: &sourcev1.OCIRepositoryRef{SemVer: ">=1.0.0", Tag: "dev"}, revision: of("v2.0.0"), has: "v2.0.0"},
		"filter":        {ref: &sourcev1.OCIRepositoryRef{SemVer: ">=2.0.0-0", SemverFilter: "-alpine$"}, revision: of("2.1.0-alpine"), has: "2.1.0-alpine"},
		"prerelease":    {ref: &sourcev1.OCIRepositoryRef{SemVer: "~1.2.0-0"}, revision: of("1.2.0-rc.1"), has: "1.2.0-rc.1"},
		"digest":        {ref: &sourcev1.OCIRepositoryRef{Digest: digests["dev"].String()}, revision: digests["dev"].String(), has: "dev"},
		"digest-over":   {ref: &sourcev1.OCIRepositoryRef{Digest: digests["dev"].String(), SemVer: "1.x", Tag: "latest"}, revision: digests["dev"].String(), has: "dev"},
		"several-archs": {ref: &sourcev1.OCIRepositoryRef{Tag: "index"}, revision: "index@" + index.String(), has: "amd"},
	}
	for name, tc := range tests {
		repo := w.source(name, func(s *sourcev1.OCIRepositorySpec) { s.Reference = tc.ref })
		w.WaitPublished(repo, tc.revision)
		if got := w.Content(repo)["app.yaml"]; got != tc.has {
			t.Errorf("%s: app.yaml is %q; want %q", name, got, tc.has)
		}
	}
	// A tag that is moved is followed, by a range too.
	digests["1.1.0"] = w.reg.Push(app, "1.1.0", ocitest.Files(one("moved")))
	repo := &sourcev1.OCIRepository{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "range"}}
	w.Poke(repo)
	w.WaitPublished(repo, of("1.1.0"))
	if got := w.Content(repo)["app.yaml"]; got != "moved" {
		t.Errorf("app.yaml is %q after the tag was moved", got)
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	const chart, notes = "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "text/plain"
	w := newWorld(t)
	layers := []ocitest.Layer{
		{MediaType: ocitest.LayerType, Content: ocitest.TarGz(one("first"))},
		{MediaType: notes, Content: []byte("some notes\n")},
		{MediaType: chart, Content: ocitest.TarGz(map[string]string{"Chart.yaml": "name: app\n", "a.jpg": "kept\n"})},
		{MediaType: chart, Content: ocitest.TarGz(map[string]string{"Chart.yaml": "name: other\n"})},
	}
	revision := "1.0.0_build.1@" + w.reg.Push(app, "1.0.0_build.1", ocitest.Artifact{Layers: layers}).String()
	source := func(name string, selector *sourcev1.OCILayerSelector) *sourcev1.OCIRepository {
		repo := w.source(name, func(s *sourcev1.OCIRepositorySpec) {
			s.Reference = &sourcev1.OCIRepositoryRef{Tag: "1.0.0_build.1"}
			if name == "chart" {
				s.Reference = &sourcev1.OCIRepositoryRef{SemVer: "1.x"} // of charts, an underscore is a plus
			}
			s.LayerSelector = selector
		})
		w.WaitPublished(repo, revision)
		if diff := cmp.Diff(selector, repo.Status.ObservedLayerSelector); diff != "" {
			t.Errorf("%s: observedLayerSelector (-want +got):\n%s", name, diff)
		}
		return repo
	}
	extracted := map[string]struct {
		selector *sourcev1.OCILayerSelector
		want     map[string]string
	}{
		"first":   {want: one("first")},
		"extract": {selector: &sourcev1.OCILayerSelector{Operation: sourcev1.OCILayerExtract}, want: one("first")},
		"chart":   {selector: &sourcev1.OCILayerSelector{MediaType: chart}, want: map[string]string{"Chart.yaml": "name: app\n"}},
	}
	for name, tc := range extracted {
		if diff := cmp.Diff(tc.want, w.Content(source(name, tc.selector))); diff != "" {
			t.Errorf("%s: content (-want +got):\n%s", name, diff)
		}
	}
	for name, tc := range map[string]struct {
		mediaType string
		want      []byte
	}{"copy": {chart, layers[2].Content}, "copy-text": {notes, layers[1].Content}, "copy-first": {"", layers[0].Content}} {
		repo := source(name, &sourcev1.OCILayerSelector{MediaType: tc.mediaType, Operation: sourcev1.OCILayerCopy})
		if got := w.Download(repo); string(got) != string(tc.want) {
			t.Errorf("%s: the artifact has %d bytes; want those of the layer, %d", name, len(got), len(tc.want))
		}
		if !strings.HasSuffix(repo.Status.Artifact.Path, ".tar.gz") {
			t.Errorf("%s: the path is %q", name, repo.Status.Artifact.Path)
		}
	}
	w.expectFailure(w.source("missing", func(s *sourcev1.OCIRepositorySpec) {
		s.Reference, s.LayerSelector = &sourcev1.OCIRepositoryRef{Tag: "1.0.0_build.1"}, &sourcev1.OCILayerSelector{MediaType: "x/y"}
	}), sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed, "failed to find layer with media type 'x/y' in artifact")
	w.expectFailure(w.source("no-archive", func(s *sourcev1.OCIRepositorySpec) {
		s.Reference, s.LayerSelector = &sourcev1.OCIRepositoryRef{Tag: "1.0.0_build.1"}, &sourcev1.OCILayerSelector{MediaType: notes}
	}), sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed, "failed to extract layer contents from artifact: ")
	w.reg.Push(app, "empty", ocitest.Artifact{})
	w.expectFailure(w.source("empty", func(s *sourcev1.OCIRepositorySpec) { s.Reference = &sourcev1.OCIRepositoryRef{Tag: "empty"} }),
		sourcev1.ConditionFetchFailed, sourcev1.ReasonOCIArtifactLayerOperationFailed, "no layers found in artifact")
}

// TestSpecThatMakesAnotherArtifact of the same revision is carried out at once.
func TestSpecThatMakesAnotherArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"app.yaml": "kind: App\n", "b.txt": "b", "sub/.sourceignore": "c.txt\n", "sub/c.txt": "c", "sub/d.txt": "d"}
	revision := w.push("latest", files)
	repo := w.source("app")
	w.WaitPublished(repo, revision)
	content := func(left ...string) map[string]string {
		want := make(map[string]string)
		for path, text := range files {
			want[path] = text
		}
		for _, path := range left {
			delete(want, path)
		}
		return want
	}
	if diff := cmp.Diff(content("sub/c.txt"), w.Content(repo)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	w.Patch(repo, "test", `spec: {ignore: "b.txt\n!sub/c.txt"}`)
	w.WaitPublished(repo, revision)
	if diff := cmp.Diff(content("b.txt"), w.Content(repo)); diff != "" {
		t.Errorf("content with spec.ignore (-want +got):\n%s", diff)
	}
	if repo.Status.ObservedIgnore == nil || *repo.Status.ObservedIgnore != "b.txt\n!sub/c.txt" {
		t.Errorf("observedIgnore is %v", repo.Status.ObservedIgnore)
	}
	w.Patch(repo, "test", `spec: {ignore: null, layerSelector: {operation: copy}}`)
	w.WaitPublished(repo, revision)
	if got := w.Download(repo); string(got) != string(ocitest.TarGz(files)) {
		t.Error("the artifact is not the layer after operation was set to copy")
	}
	fresh := &sourcev1.OCIRepository{ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: repo.Name}}
	w.Get(fresh) // what is not there any more would stay in an object that is read again
	if fresh.Status.ObservedIgnore != nil {
		t.Errorf("observedIgnore is %q after it was removed", *fresh.Status.ObservedIgnore)
	}
}

func TestLostArtifactIsPulledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revision := w.push("latest", one("kind: App\n"))
	repo := w.source("app")
	w.WaitPublished(repo, revision)
	w.lose(repo)
	w.Again(repo)
	w.WaitPublished(repo, revision)
	if n := w.reg.Counts().Blobs; n != 2 {
		t.Errorf("the layer was pulled %d times; want twice", n)
	}
}

func TestSuspendedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("latest", one("kind: App\n"))
	repo := w.source("app")
	w.WaitPublished(repo, first)
	w.Settle()
	w.Patch(repo, "test", "spec: {suspend: true}")
	before := w.reg.Counts()
	w.push("latest", one("kind: Other\n"))
	w.Again(repo)
	w.WaitPublished(repo, first)
	if diff := cmp.Diff(ocitest.Counts{}, w.reg.Counts().Minus(before)); diff != "" {
		t.Errorf("while suspended, the registry was asked (-want +got):\n%s", diff)
	}
	if len(w.Stored(sourcev1.OCIRepositoryKind, repo)) == 0 {
		t.Error("there is nothing in the storage")
	}
	if err := w.Client.Delete(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(repo)
	if left := w.Stored(sourcev1.OCIRepositoryKind, repo); len(left) > 0 {
		t.Errorf("the storage keeps %q of what was deleted", left)
	}
}

// TestOldArtifactsAreCollected, but never the one that is advertised.
func TestOldArtifactsAreCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--artifact-retention-records=1")
	repo := w.source("app")
	for _, content := range []string{"1", "2", "3"} {
		revision := w.push("latest", one(content))
		w.Poke(repo)
		w.WaitPublished(repo, revision)
		w.WaitHandled(repo)
	}
	w.Again(repo)
	_, file, _ := strings.Cut(repo.Status.Artifact.Revision, "@")
	if diff := cmp.Diff([]string{"latest.tar.gz", file + ".tar.gz"}, w.Stored(sourcev1.OCIRepositoryKind, repo)); diff != "" {
		t.Errorf("the storage (-want +got):\n%s", diff)
	}
	w.Download(repo)
	if c := conditions.Get(repo, meta.ReadyCondition); !sourcetest.Says(c.Message, repo.Status.Artifact.Revision) {
		t.Errorf("Ready says %q", c.Message)
	}
}
