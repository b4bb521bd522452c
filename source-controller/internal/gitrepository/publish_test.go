package gitrepository_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/sourcetest"
)

// TestPublishesAsRecorded publishes the tree that a Flux installation published, and
// compares status, archive and event with what was recorded of it.
func TestPublishesAsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "Quote the literals\n\nThey did not parse.", fleet(t)...)
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+rev)
	w.Patch(repo, "kubectl-annotate", `metadata: {annotations: {reconcile.fluxcd.io/requestedAt: "1"}}`)
	w.WaitHandled(repo)

	var recorded sourcev1.GitRepository
	data, err := os.ReadFile(filepath.Join(testplane.Root(t), "api/source/v1/testdata/recorded/gitrepository-fleet.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &recorded); err != nil {
		t.Fatal(err)
	}
	_, oldRev, _ := strings.Cut(recorded.Status.Artifact.Revision, "@sha1:")
	served := w.Download(repo)
	want, got := recorded.Status.DeepCopy(), repo.Status.DeepCopy()
	if got.Artifact.LastUpdateTime.IsZero() {
		t.Error("the artifact has no time")
	}
	size := int64(len(served))
	want.Artifact = &meta.Artifact{
		Path:           "gitrepository/" + w.Namespace + "/fleet/" + rev + ".tar.gz",
		URL:            host(repo) + "gitrepository/" + w.Namespace + "/fleet/" + rev + ".tar.gz",
		Revision:       strings.Replace(recorded.Status.Artifact.Revision, oldRev, rev, 1),
		Digest:         sourcetest.Digest(served),
		Size:           &size,
		LastUpdateTime: got.Artifact.LastUpdateTime,
	}
	for i := range want.Conditions {
		want.Conditions[i].Message = strings.Replace(want.Conditions[i].Message, oldRev, rev, 1)
	}
	if diff := cmp.Diff(timeless(want.Conditions), timeless(got.Conditions)); diff != "" {
		t.Errorf("conditions (-recorded +got):\n%s", diff)
	}
	want.Conditions, got.Conditions = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-recorded +got):\n%s", diff)
	}
	if diff := cmp.Diff(ownFields(&recorded), ownFields(repo)); diff != "" {
		t.Errorf("what the controller owns (-recorded +got):\n%s", diff)
	}
	archive, err := os.ReadFile(filepath.Join(testplane.Root(t), "pkg/artifact/archive/testdata/fleet.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if string(w.Gunzip(served)) != string(w.Gunzip(archive)) {
		t.Error("the archive is not the one that was recorded")
	}
	e := w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	if want := "stored artifact for commit 'Quote the literals'"; e.Message != want {
		t.Errorf("the event says %q; want %q", e.Message, want)
	}
	wantMeta := map[string]string{
		"source.toolkit.fluxcd.io/revision": "main@sha1:" + rev,
		"source.toolkit.fluxcd.io/digest":   sourcetest.Digest(served),
	}
	if diff := cmp.Diff(wantMeta, e.Annotations); diff != "" {
		t.Errorf("metadata of the event (-want +got):\n%s", diff)
	}
	if e.ReportingController != "source-controller" || e.Source.Component != "source-controller" {
		t.Errorf("the event is by %q and %q; want source-controller", e.ReportingController, e.Source.Component)
	}
}

// fleet is the tree that was recorded.
func fleet(t *testing.T) []gitserver.Change {
	t.Helper()
	root := os.DirFS(filepath.Join(testplane.Root(t), "pkg/artifact/archive/testdata/fleet"))
	var changes []gitserver.Change
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, path)
		changes = append(changes, gitserver.File(path, string(content)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// timeless returns conditions without their times.
func timeless(list []metav1.Condition) []metav1.Condition {
	list = slices.Clone(list)
	for i := range list {
		list[i].LastTransitionTime = metav1.Time{}
	}
	return list
}

// ownFields lists which parts of an object its controller has written, by
// subresource.
func ownFields(repo *sourcev1.GitRepository) map[string]string {
	out := make(map[string]string)
	for _, e := range repo.ManagedFields {
		if e.Manager == "source-controller" {
			out[e.Subresource] = e.FieldsV1.GetRawString()
		}
	}
	return out
}

func TestNewObjectSaysThatNobodyHasSeenIt(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	rev := w.repo.Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet")
	if got := repo.Status; got.ObservedGeneration != -1 || len(got.Conditions) != 0 {
		t.Errorf("the status of a new object is %+v; want observedGeneration -1 and nothing else", got)
	}
	w.Start()
	w.WaitPublished(repo, "main@sha1:"+rev)
	if repo.Status.ObservedGeneration != repo.Generation {
		t.Errorf("observedGeneration is %d; want %d", repo.Status.ObservedGeneration, repo.Generation)
	}
}

func TestEqualTreesHaveOneDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"), gitserver.Executable("run", "#!/bin/sh\n"))
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+first)
	want := repo.Status.Artifact.Digest
	old := repo.Status.Artifact.URL

	second := w.repo.Commit("main", "change nothing")
	w.Again(repo)
	w.WaitPublished(repo, "main@sha1:"+second)
	if got := repo.Status.Artifact.Digest; got != want {
		t.Errorf("an equal tree has the digest %s; want %s", got, want)
	}
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonArtifactUpToDate, second)
	var published int
	for _, e := range w.Events(repo) {
		if e.Reason == sourcev1.ReasonNewArtifact {
			published++
		}
	}
	if published != 1 {
		t.Errorf("there are %d events NewArtifact; want one, since consumers have nothing to do", published)
	}

	w.Stop()
	w.wipe()
	w.Start()
	w.Wait("the artifact is served by the new process", repo, func() bool {
		return repo.Status.Artifact != nil && !strings.HasPrefix(old, host(repo))
	})
	w.WaitPublished(repo, "main@sha1:"+second)
	if got := repo.Status.Artifact.Digest; got != want {
		t.Errorf("after the storage was lost, the digest is %s; want %s", got, want)
	}
}

// wipe removes everything from the storage, as an emptyDir volume loses it.
func (w *world) wipe() {
	w.t.Helper()
	entries, err := os.ReadDir(w.Dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(w.Dir, e.Name())); err != nil {
			w.t.Fatal(err)
		}
	}
}

// host is the beginning of the URL of the artifact, without its path.
func host(repo *sourcev1.GitRepository) string {
	return strings.TrimSuffix(repo.Status.Artifact.URL, repo.Status.Artifact.Path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestObjectStoreIsNotServed: it holds history and files that are not published.
func TestObjectStoreIsNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+rev)
	if !exists(filepath.Join(w.Dir, ".git-remotes")) {
		t.Fatal("the object stores are not where this test looks for them")
	}
	root := host(repo)
	for _, path := range []string{".git-remotes", ".git-remotes/", "gitrepository/../.git-remotes/"} {
		res, err := w.Fetch(root + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 404 {
			t.Errorf("GET %s answers %s; want 404", path, res.Status)
		}
	}
}
