package bucket_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/bucket/buckettest"
	"weir.dev/source-controller/internal/program"
	"weir.dev/source-controller/internal/sourcetest"
)

// world is a plane with an object storage and a source-controller.
type world struct {
	*sourcetest.World
	t  *testing.T
	s3 *buckettest.S3 // has the bucket "fleet", which sources follow
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := prepareWorld(t)
	w.Start(flags...)
	return w
}

// prepareWorld is newWorld without a controller.
func prepareWorld(t *testing.T) *world {
	t.Helper()
	return &world{World: sourcetest.Prepare(t, program.Run), t: t, s3: buckettest.StartS3(t, "fleet")}
}

// bucket creates a Bucket that follows the bucket of s3, which adjust may change.
func (w *world) bucket(name string, adjust ...func(*sourcev1.BucketSpec)) *sourcev1.Bucket {
	w.t.Helper()
	b := &sourcev1.Bucket{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: sourcev1.BucketSpec{
			Provider: sourcev1.BucketProviderGeneric, BucketName: "fleet", Endpoint: w.s3.Host, Region: "us-east-1", Insecure: true,
			Interval: metav1.Duration{Duration: time.Hour},
		},
	}
	for _, f := range adjust {
		f(&b.Spec)
	}
	w.Create(b)
	return b
}

// put puts objects.
func (w *world) put(files map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(files)) {
		w.s3.Put(key, files[key])
	}
}

// often is an interval that lets a test see several polls.
func often(s *sourcev1.BucketSpec) { s.Interval = metav1.Duration{Duration: 300 * time.Millisecond} }

func login(ref *meta.LocalObjectReference) func(*sourcev1.BucketSpec) {
	return func(s *sourcev1.BucketSpec) { s.SecretRef = ref }
}

// revisionOf is the revision of a bucket of S3 with these objects.
func revisionOf(files map[string]string) string {
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&lines, "%s %x\n", key, md5.Sum([]byte(files[key])))
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(lines.String())))
}

// waitPublished waits until b is Ready with these files, and checks that they can be
// had.
func (w *world) waitPublished(b *sourcev1.Bucket, files map[string]string) {
	w.t.Helper()
	w.WaitPublished(b, revisionOf(files))
	if diff := cmp.Diff(files, w.Content(b)); diff != "" {
		w.t.Errorf("files of the artifact (-want +got):\n%s", diff)
	}
}

// kept lists the downloaded objects that are kept for b.
func (w *world) kept(b *sourcev1.Bucket) []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.Dir, ".bucket-objects", b.Namespace, b.Name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// runs counts the runs of an object so far, by the metric that every run ends with.
func (w *world) runs(b *sourcev1.Bucket) int {
	w.t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "gotk_reconcile_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] == w.Namespace && labels["name"] == b.Name && labels["kind"] == sourcev1.BucketKind {
				return int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// counted is what happened up to a moment.
type counted struct {
	runs    int
	storage map[string]int // requests by their kind
}

// moment counts at a moment in which b does not run, as far as can be seen.
func (w *world) moment(b *sourcev1.Bucket) counted {
	w.t.Helper()
	var c counted
	w.Eventually("a moment in which nothing happens", func() bool {
		c = counted{runs: w.runs(b), storage: w.s3.Count()}
		return w.s3.Open() == 0 && w.runs(b) == c.runs
	})
	return c
}

// polls waits for four runs or more, and returns how many there were and what they asked
// of the storage.
func (w *world) polls(b *sourcev1.Bucket) (n int, storage map[string]int) {
	w.t.Helper()
	began := w.moment(b)
	w.Eventually("four polls", func() bool { return w.runs(b) >= began.runs+4 })
	ended := w.moment(b)
	for kind, count := range began.storage {
		if ended.storage[kind] -= count; ended.storage[kind] == 0 {
			delete(ended.storage, kind)
		}
	}
	return ended.runs - began.runs, ended.storage
}

// about reports whether so many polls cost n requests, each as many as given. At both
// ends there may be one that is not over.
func about(n, polls, each int) bool { return n >= (polls-1)*each && n <= (polls+1)*each }

// patchSecret changes values of a Secret.
func (w *world) patchSecret(name string, data map[string]string) {
	w.t.Helper()
	text, err := json.Marshal(map[string]any{"stringData": data})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Patch(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}, "test", string(text))
}

// deleteSecret deletes a Secret.
func (w *world) deleteSecret(name string) {
	w.t.Helper()
	if err := w.Client.Delete(w.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}); err != nil {
		w.t.Fatal(err)
	}
}

// readAll returns what is left of a small body.
func readAll(res *http.Response) string {
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
