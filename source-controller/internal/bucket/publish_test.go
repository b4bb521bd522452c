package bucket_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/bucket/buckettest"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"app/deploy.yaml": "kind: Deployment\n", "app/empty": "", "readme.txt": "hello"}
	w.put(files)
	w.put(map[string]string{"pictures/a.jpg": "left out", "app/": ""})
	b := w.bucket("fleet")
	w.waitPublished(b, files)

	rev := revisionOf(files)
	a := b.Status.Artifact
	if want := "bucket/" + b.Namespace + "/fleet/" + rev[len("sha256:"):] + ".tar.gz"; a.Path != want {
		t.Errorf("the path is %q; want %q", a.Path, want)
	}
	type told struct{ Type, Status, Reason, Message string }
	var got []told
	for _, c := range b.Status.Conditions {
		got = append(got, told{c.Type, string(c.Status), c.Reason, c.Message})
	}
	message := "stored artifact: revision '" + rev + "'"
	want := []told{{"Ready", "True", "Succeeded", message}, {"ArtifactInStorage", "True", "Succeeded", message}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if b.Status.ObservedGeneration != b.Generation {
		t.Errorf("observedGeneration is %d; want %d", b.Status.ObservedGeneration, b.Generation)
	}
	e := w.WaitEvent(b, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact, "stored artifact with 3 fetched files from 'fleet' bucket")
	if got := e.Annotations["source.toolkit.fluxcd.io/revision"]; got != rev {
		t.Errorf("the event is about revision %q; want %q", got, rev)
	}
	w.expectLatest(b)
}

// expectLatest checks that the URL of the latest artifact leads to the one in the
// status.
func (w *world) expectLatest(b *sourcev1.Bucket) {
	w.t.Helper()
	res, err := w.Fetch(b.Status.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || string(data) != string(w.Download(b)) || filepath.Base(b.Status.URL) != "latest.tar.gz" {
		w.t.Errorf("%s leads to %s, %d bytes, %v; want the artifact", b.Status.URL, res.Status, len(data), err)
	}
}

func TestPollCostsOneListing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		adjust func(w *world, s *sourcev1.BucketSpec)
		want   map[string]int // requests of each kind a poll
	}{
		"anonymous": {adjust: func(*world, *sourcev1.BucketSpec) {}, want: map[string]int{"list": 1}},
		"no region": {why: "it is asked for once", adjust: func(_ *world, s *sourcev1.BucketSpec) { s.Region = "" }, want: map[string]int{"list": 1}},
		"prefix": {
			why: "the rules at the root are out of its reach", want: map[string]int{"list": 1, "head": 1},
			adjust: func(_ *world, s *sourcev1.BucketSpec) { s.Prefix = "app/" },
		},
		"secret": {
			why: "it is followed", want: map[string]int{"list": 1},
			adjust: func(w *world, s *sourcev1.BucketSpec) {
				s.SecretRef = w.Secret("keys", map[string]string{"accesskey": "a", "secretkey": "b"})
			},
		},
		"token service": {
			why: "its keys serve until they end", want: map[string]int{"list": 1},
			adjust: func(w *world, s *sourcev1.BucketSpec) {
				sts := buckettest.StartSTS(w.t, "me", "pw", "key")
				s.STS = &sourcev1.BucketSTSSpec{
					Provider: sourcev1.STSProviderLDAP, Endpoint: "http://" + sts.Host,
					SecretRef: w.Secret("ldap", map[string]string{"username": "me", "password": "pw"}),
				}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(map[string]string{"app/a.yaml": "kind: App\n", ".sourceignore": "*.md\n", "app/a.md": "left out"})
			b := w.bucket("fleet", often, func(s *sourcev1.BucketSpec) { tc.adjust(w, s) })
			w.waitPublished(b, map[string]string{"app/a.yaml": "kind: App\n"})
			w.WaitEvent(b, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
			w.Settle()

			allow := w.Traffic.Forbid(testplane.Any)
			polls, storage := w.polls(b)
			allow()
			for kind, each := range tc.want {
				if !about(storage[kind], polls, each) {
					t.Errorf("%d polls made %d requests of kind %s; want %d each (%s)", polls, storage[kind], kind, each, tc.why)
				}
				delete(storage, kind)
			}
			if len(storage) > 0 {
				t.Errorf("%d polls made these requests besides: %v", polls, storage)
			}
		})
	}
}

func TestOnlyChangesAreDownloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"a": "1", "b": "1", "c/d": "1", "c/e": "1", "f": "1"}
	w.put(files)
	b := w.bucket("fleet")
	w.waitPublished(b, files)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(files)), w.s3.Keys()); diff != "" {
		t.Errorf("downloads at first (-want +got):\n%s", diff)
	}

	steps := []struct {
		what   string
		change func()
		want   []string
	}{
		{"one changed", func() { files["b"] = "2" }, []string{"b"}},
		{"one changed, one new, one gone", func() { files["c/e"], files["g"] = "2", "1"; delete(files, "f") }, []string{"c/e", "g"}},
		{"one gone", func() { delete(files, "a") }, nil},
		{"the same again", func() {}, nil},
		{"one came back", func() { files["a"] = "1" }, []string{"a"}},
	}
	before := maps.Clone(files)
	for _, step := range steps {
		step.change()
		for key := range before {
			if _, ok := files[key]; !ok {
				w.s3.Delete(key)
			}
		}
		w.put(files)
		before = maps.Clone(files)
		w.s3.Reset()
		w.Again(b)
		w.waitPublished(b, files)
		if diff := cmp.Diff(step.want, w.s3.Keys()); diff != "" {
			t.Errorf("%s: downloads (-want +got):\n%s", step.what, diff)
		}
		if n := w.s3.Count()["list"]; n != 1 {
			t.Errorf("%s: %d listings; want one", step.what, n)
		}
	}
	if n := len(w.kept(b)); n > len(files)+1 {
		t.Errorf("%d objects are kept for %d files", n, len(files))
	}
	w.expectLatest(b)
}

// TestRestartDownloadsNothing: also if the artifact is lost, it is made of what is here.
func TestRestartDownloadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--storage-adv-addr=artifacts.example.com")
	files := map[string]string{"a.yaml": "kind: App\n", "b/c.yaml": "kind: Other\n"}
	w.put(files)
	b := w.bucket("fleet")
	w.WaitReady(b)
	w.WaitEvent(b, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()
	w.Get(b)
	before := b.DeepCopy()
	w.Stop()

	w.s3.Reset()
	w.Traffic.Forbid(testplane.Writes())
	w.Start("--storage-adv-addr=artifacts.example.com")
	w.Eventually("the storage is asked", func() bool { return w.s3.Count()["list"] > 0 })
	w.Settle()
	w.Get(b)
	if diff := cmp.Diff(before, b); diff != "" {
		t.Errorf("the object changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"list": 1}, w.s3.Count()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	w.Stop()

	w.Traffic.Forbid(func(testplane.Request) bool { return false })
	if err := os.Remove(w.File(b)); err != nil {
		t.Fatal(err)
	}
	w.s3.Reset()
	w.Start()
	w.Wait("another URL", b, func() bool { return b.Status.Artifact != nil && b.Status.Artifact.URL != before.Status.Artifact.URL })
	w.waitPublished(b, files)
	if b.Status.Artifact.Digest != before.Status.Artifact.Digest {
		t.Errorf("the digest is %s; want %s again", b.Status.Artifact.Digest, before.Status.Artifact.Digest)
	}
	if keys := w.s3.Keys(); len(keys) > 0 {
		t.Errorf("%q were downloaded again", keys)
	}
	w.expectLatest(b)
}

func TestRulesDecideWhatIsDownloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"a.yaml": "1", "a.jpg": "1", "docs/a.md": "1", ".sourceignore": "docs/\n", "app/.sourceignore": "*\n", "app/b.yaml": "1"})
	b := w.bucket("fleet")
	want := map[string]string{"a.yaml": "1", "a.jpg": "1", "app/.sourceignore": "*\n", "app/b.yaml": "1"}
	w.waitPublished(b, want) // rules of folders are files like others
	if slices.Contains(w.s3.Keys(), "docs/a.md") {
		t.Error("what is left out is downloaded")
	}

	w.s3.Reset()
	w.Patch(b, "test", `spec: {ignore: "*.jpg\n!docs/a.md"}`)
	delete(want, "a.jpg")
	want["docs/a.md"] = "1"
	w.waitPublished(b, want)
	if diff := cmp.Diff([]string{"docs/a.md"}, w.s3.Keys()); diff != "" {
		t.Errorf("downloads for other rules (-want +got):\n%s", diff)
	}
	if b.Status.ObservedIgnore == nil || *b.Status.ObservedIgnore != *b.Spec.Ignore {
		t.Errorf("observedIgnore is %v; want what the spec has", b.Status.ObservedIgnore)
	}
	digest, at := b.Status.Artifact.Digest, b.Status.Artifact.LastUpdateTime

	w.Patch(b, "test", `spec: {ignore: "*.jpg\n!docs/a.md\n*.none"}`)
	w.waitPublished(b, want)
	if b.Status.ObservedIgnore == nil || *b.Status.ObservedIgnore != *b.Spec.Ignore || b.Status.Artifact.Digest != digest || !b.Status.Artifact.LastUpdateTime.Equal(&at) {
		t.Errorf("rules with the same result give the artifact %+v, observedIgnore %v; want the old one, and the new rules", b.Status.Artifact, b.Status.ObservedIgnore)
	}

	w.s3.Put(".sourceignore", "docs/\napp/\n")
	w.Again(b)
	delete(want, "app/.sourceignore")
	delete(want, "app/b.yaml")
	w.waitPublished(b, want)
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"app/a.yaml": "1", "app/a.md": "1", "application": "1", "other/a": "1", ".sourceignore": "*.md\n"})
	b := w.bucket("fleet", func(s *sourcev1.BucketSpec) { s.Prefix = "app/" })
	w.waitPublished(b, map[string]string{"app/a.yaml": "1"})
	if diff := cmp.Diff([]string{".sourceignore", "app/a.yaml"}, w.s3.Keys()); diff != "" {
		t.Errorf("downloads (-want +got):\n%s", diff)
	}
}

// TestVanishingObject: what was listed and is gone when it is asked for counts as if it
// had not been listed.
func TestVanishingObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"a": "1", "b": "1"})
	w.s3.Break(func(r buckettest.Request, _ http.ResponseWriter, _ *http.Request) bool {
		if r.Kind == "get" && r.Key == "b" {
			w.s3.Delete("b")
		}
		return false
	})
	b := w.bucket("fleet")
	w.waitPublished(b, map[string]string{"a": "1"})
	w.s3.Reset()
	w.Again(b)
	w.waitPublished(b, map[string]string{"a": "1"})
	if keys := w.s3.Keys(); len(keys) > 0 {
		t.Errorf("%q were downloaded again", keys)
	}
}

// TestObjectThatChangesMeanwhile: the artifact is of the state that came.
func TestObjectThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"a": "1", "b": "1"})
	w.s3.Break(func(r buckettest.Request, _ http.ResponseWriter, _ *http.Request) bool {
		if r.Kind == "get" && r.Key == "b" {
			w.s3.Put("b", "another state")
		}
		return false
	})
	b := w.bucket("fleet")
	w.waitPublished(b, map[string]string{"a": "1", "b": "another state"})
	w.s3.Reset()
	w.Again(b)
	w.waitPublished(b, map[string]string{"a": "1", "b": "another state"})
	if keys := w.s3.Keys(); len(keys) > 0 {
		t.Errorf("%q were downloaded again", keys)
	}
}

func TestDeletionRemovesAll(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	orphan := filepath.Join(w.Dir, ".bucket-objects", w.Namespace, "gone-meanwhile")
	if err := os.MkdirAll(orphan, 0o750); err != nil {
		t.Fatal(err)
	}
	w.Start()
	w.put(map[string]string{"a": "1"})
	b := w.bucket("fleet")
	w.waitPublished(b, map[string]string{"a": "1"})
	if len(w.kept(b)) != 1 {
		t.Errorf("%q are kept; want the object", w.kept(b))
	}
	w.Eventually("what belongs to no bucket is removed", func() bool {
		_, err := os.Stat(orphan)
		return errors.Is(err, fs.ErrNotExist)
	})
	if err := w.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(b)
	if left := append(w.kept(b), w.Stored(sourcev1.BucketKind, b)...); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	res, err := w.Fetch(b.Status.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("the artifact is served still: %s", res.Status)
	}
}

// TestDownloadedObjectsAreNotServed: artifacts are all that consumers get.
func TestDownloadedObjectsAreNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"a": "1"})
	b := w.bucket("fleet")
	w.waitPublished(b, map[string]string{"a": "1"})
	host := b.Status.URL[:len(b.Status.URL)-len("/bucket/"+b.Namespace+"/fleet/latest.tar.gz")]
	for _, path := range []string{"/.bucket-objects/", "/.bucket-objects/" + b.Namespace + "/fleet/" + w.kept(b)[0]} {
		res, err := w.Fetch(host + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s is served: %s", path, res.Status)
		}
	}
}

func TestSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"a": "1"})
	b := w.bucket("fleet")
	w.waitPublished(b, map[string]string{"a": "1"})
	w.s3.Reset()
	w.Patch(b, "test", "spec: {suspend: true}")
	w.Wait("the generation to be seen", b, func() bool { return b.Status.ObservedGeneration == b.Generation })
	w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionTrue, sourcev1.ReasonSucceeded)
	w.Download(b)
	if n := len(w.s3.Requests()); n > 0 {
		t.Errorf("the storage was asked %d times", n)
	}
}
