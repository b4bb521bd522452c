package helmrepository_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/helm/helmtest"
	"weir.dev/source-controller/internal/sourcetest"
)

// TestPublishesAsRecorded compares status and event with what was recorded of a Flux
// installation.
func TestPublishesAsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.2.3", nil)
	repo := w.repo("charts")
	rev := w.revision()
	w.WaitPublished(repo, rev)

	var recorded sourcev1.HelmRepository
	data, err := os.ReadFile(filepath.Join(testplane.Root(t), "api/source/v1/testdata/recorded/helmrepository-charts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &recorded); err != nil {
		t.Fatal(err)
	}
	old := recorded.Status.Artifact.Revision
	served := w.Download(repo)
	size := int64(len(served))
	host, _, _ := strings.Cut(repo.Status.Artifact.URL, "helmrepository/")
	dir := "helmrepository/" + w.Namespace + "/charts/"
	want, got := recorded.Status.DeepCopy(), repo.Status.DeepCopy()
	want.URL = host + dir + "index.yaml"
	want.Artifact = &meta.Artifact{
		Path:     dir + "index-" + strings.TrimPrefix(rev, "sha256:") + ".yaml",
		URL:      host + dir + "index-" + strings.TrimPrefix(rev, "sha256:") + ".yaml",
		Revision: rev, Digest: sourcetest.Digest(served), Size: &size, LastUpdateTime: got.Artifact.LastUpdateTime,
	}
	for i := range want.Conditions {
		want.Conditions[i].Message = strings.Replace(want.Conditions[i].Message, old, rev, 1)
	}
	for _, list := range [][]metav1.Condition{want.Conditions, got.Conditions} {
		for i := range list {
			list[i].LastTransitionTime = metav1.Time{}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-recorded +got):\n%s", diff)
	}
	e := w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	if want := fmt.Sprintf("stored fetched index of size %dB from '%s'", size, w.server.Repo()); e.Message != want {
		t.Errorf("the event says %q; want %q", e.Message, want)
	}
	wantMeta := map[string]string{"source.toolkit.fluxcd.io/revision": rev, "source.toolkit.fluxcd.io/digest": sourcetest.Digest(served)}
	if diff := cmp.Diff(wantMeta, e.Annotations); diff != "" {
		t.Errorf("metadata of the event (-want +got):\n%s", diff)
	}
}

func TestPublishesTheValidEntriesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	for _, version := range []string{"1.2.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "not-a-version"} {
		w.server.Add("demo", version, []byte(version))
	}
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())
	index := w.published(repo)
	want := []string{"2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.0"}
	if diff := cmp.Diff(want, versions(index.Entries["demo"])); diff != "" || index.APIVersion != "v1" {
		t.Errorf("API version %q, versions (-want +got):\n%s", index.APIVersion, diff)
	}
	link, err := w.Fetch(repo.Status.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Body.Close()
	if link.ContentLength != *repo.Status.Artifact.Size {
		t.Errorf("%s has %d bytes; want the artifact, %d", repo.Status.URL, link.ContentLength, *repo.Status.Artifact.Size)
	}
}

func TestFollowsTheIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())
	first := w.File(repo)

	w.server.AddChart("demo", "1.1.0", nil)
	w.Poke(repo)
	w.WaitPublished(repo, w.revision())
	if got := w.published(repo).Entries["demo"]; len(got) != 2 {
		t.Errorf("the index has %v; want two versions", got)
	}
	if _, err := os.Stat(first); err != nil {
		t.Errorf("the artifact before: %v; want it kept for those who have read its URL", err)
	}
}

func TestMakesALostArtifactAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.0.0", nil)
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())
	if err := os.Remove(w.File(repo)); err != nil {
		t.Fatal(err)
	}
	w.Again(repo)
	w.WaitPublished(repo, w.revision())
}

func TestRemovesWhatItKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())
	if err := w.Client.Delete(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(repo)
	if left := w.Stored(sourcev1.HelmRepositoryKind, repo); len(left) != 0 {
		t.Errorf("the storage has %q; want nothing", left)
	}
	notes, err := os.ReadDir(filepath.Join(w.Dir, ".helm-indexes"))
	if err != nil || len(notes) != 0 {
		t.Errorf("notes %v, %v; want none", notes, err)
	}
}
