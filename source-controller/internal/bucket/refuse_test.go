package bucket_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/bucket/buckettest"
	"weir.dev/source-controller/internal/sourcetest"
)

// badStorage is something that goes wrong with a bucket that was published.
type badStorage struct {
	why       string
	spoil     func(w *world, b *sourcev1.Bucket)
	reason    string
	condition string // FetchFailed unless it is another
	says      []string
	heal      func(w *world, b *sourcev1.Bucket)
}

// answer makes the requests of a kind, and about a key if there is one, get an answer.
func answer(kind, key string, answer func(http.ResponseWriter, *http.Request)) func(*world, *sourcev1.Bucket) {
	return func(w *world, _ *sourcev1.Bucket) {
		w.s3.Put("new", "new")
		w.s3.Break(func(r buckettest.Request, rw http.ResponseWriter, req *http.Request) bool {
			if r.Kind != kind || key != "" && r.Key != key {
				return false
			}
			answer(rw, req)
			return true
		})
	}
}

func object(key string) func(*world, *sourcev1.Bucket) {
	return func(w *world, _ *sourcev1.Bucket) { w.s3.Put(key, "bad") }
}

func remove(key string) func(*world, *sourcev1.Bucket) {
	return func(w *world, _ *sourcev1.Bucket) { w.s3.Delete(key) }
}

func badStorages() map[string]badStorage {
	failed := sourcev1.ReasonBucketOperationFailed
	return map[string]badStorage{
		"the listing is refused": {
			reason: failed, says: []string{"indexation of objects from bucket 'fleet' failed", "AccessDenied"},
			spoil: answer("list", "", func(w http.ResponseWriter, _ *http.Request) { buckettest.Refuse(w, 403, "AccessDenied") }),
		},
		"the bucket is gone": {
			reason: failed, says: []string{"bucket 'fleet' not found"},
			spoil: answer("list", "", func(w http.ResponseWriter, _ *http.Request) { buckettest.Refuse(w, 404, "NoSuchBucket") }),
		},
		"the listing is garbage": {
			why: "an empty artifact would delete all that was applied of the old", reason: failed, says: []string{"something else"},
			spoil: answer("list", "", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html></html>") }),
		},
		"an object is refused": {
			why: "an artifact without it is none", reason: failed, says: []string{"fetching files from bucket 'fleet' failed", "'new'"},
			spoil: answer("get", "new", func(w http.ResponseWriter, _ *http.Request) { buckettest.Refuse(w, 403, "AccessDenied") }),
		},
		"an object is cut": {
			reason: failed, says: []string{"failed to get 'new' object"},
			spoil: answer("get", "new", func(w http.ResponseWriter, _ *http.Request) { buckettest.Cut(w) }),
		},
		"an object does not come": {
			reason: failed, says: []string{"'new'", "spec.timeout of 1s is over"},
			spoil: func(w *world, b *sourcev1.Bucket) {
				answer("get", "new", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })(w, b)
				w.Patch(b, "test", "spec: {timeout: 1s}")
			},
		},
		"the listing does not come": {
			reason: failed, says: []string{"indexation", "spec.timeout of 1s is over"},
			spoil: func(w *world, b *sourcev1.Bucket) {
				answer("list", "", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })(w, b)
				w.Patch(b, "test", "spec: {timeout: 1s}")
			},
		},
		"an unsafe name": {
			reason: failed, says: []string{`"../evil"`, `".."`, "spec.ignore"}, spoil: object("../evil"), heal: remove("../evil"),
		},
		"a file and a folder": {
			reason: failed, says: []string{`"app/a.yaml"`, "folder"}, spoil: object("app/a.yaml/b"), heal: remove("app/a.yaml/b"),
		},
		"large rules": {
			reason: failed, says: []string{"failed to get '.sourceignore' object", "1048576 bytes"},
			spoil: func(w *world, _ *sourcev1.Bucket) { w.s3.Put(".sourceignore", strings.Repeat("#\n", 1<<19)+"#") },
			heal:  remove(".sourceignore"),
		},
		"the archive is too large": {
			reason: sourcev1.ReasonArchiveOperationFailed, condition: sourcev1.ConditionStorageOperationFailed, says: []string{"the limit of 1000 bytes"},
			spoil: func(w *world, _ *sourcev1.Bucket) {
				var noise strings.Builder
				for i := range 1000 {
					fmt.Fprintf(&noise, "%x", i*i*7919)
				}
				w.s3.Put("large", noise.String())
			},
			heal: remove("large"),
		},
		"the disk refuses objects": {
			reason: sourcev1.ReasonCacheOperationFailed, condition: sourcev1.ConditionStorageOperationFailed, says: []string{"'app/a.yaml'", "keeping an object"},
			spoil: func(w *world, b *sourcev1.Bucket) {
				w.s3.Put("new", "new")
				dir := filepath.Join(w.Dir, ".bucket-objects", b.Namespace)
				if err := os.RemoveAll(dir); err != nil {
					w.t.Fatal(err)
				}
				if err := os.WriteFile(dir, nil, 0o600); err != nil {
					w.t.Fatal(err)
				}
			},
			heal: func(w *world, b *sourcev1.Bucket) {
				w.s3.Delete("new")
				if err := os.Remove(filepath.Join(w.Dir, ".bucket-objects", b.Namespace)); err != nil {
					w.t.Fatal(err)
				}
			},
		},
	}
}

// TestBadStorage: whatever happens, the last artifact stays available, users are told
// once, and it heals by itself.
func TestBadStorage(t *testing.T) {
	t.Parallel()
	for name, tc := range badStorages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "--artifact-max-size=1000")
			files := map[string]string{"app/a.yaml": "kind: App\n"}
			w.put(files)
			b := w.bucket("fleet")
			w.waitPublished(b, files)
			before := b.DeepCopy()

			tc.spoil(w, b)
			w.Again(b)
			c := w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, tc.reason)
			if !sourcetest.Says(c.Message, tc.says...) || strings.Contains(c.Message, "?") && strings.Contains(c.Message, "=") {
				t.Errorf("the message is %q; want %q in it, and no query (%s)", c.Message, tc.says, tc.why)
			}
			condition := sourcev1.ConditionFetchFailed
			if tc.condition != "" {
				condition = tc.condition
			}
			w.WaitCondition(b, condition, metav1.ConditionTrue, tc.reason)
			if diff := cmp.Diff(before.Status.Artifact, b.Status.Artifact); diff != "" {
				t.Errorf("the artifact changed (-before +after):\n%s", diff)
			}
			w.Download(b)
			w.WaitEvent(b, corev1.EventTypeWarning, tc.reason, c.Message)
			w.Settle()

			began := w.runs(b)
			allow := w.Traffic.Forbid(testplane.Any)
			w.Eventually("two more attempts", func() bool { return w.runs(b) >= began+2 })
			allow()

			w.s3.Break(nil)
			if tc.heal != nil {
				tc.heal(w, b)
			} else {
				files["new"] = "new"
			}
			w.waitPublished(b, files)
			for _, gone := range []string{condition, sourcev1.ConditionReconciling, sourcev1.ConditionStalled} {
				for _, c := range b.Status.Conditions {
					if c.Type == gone {
						t.Errorf("%s is %s still: %s", c.Type, c.Status, c.Message)
					}
				}
			}
		})
	}
}

// TestFailedRunKeepsWhatCame: the next attempt downloads the rest.
func TestFailedRunKeepsWhatCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"a": "1", "b": "1", "c": "1"}
	w.put(files)
	w.s3.Break(func(r buckettest.Request, rw http.ResponseWriter, _ *http.Request) bool {
		if r.Kind == "get" && r.Key == "c" {
			buckettest.Refuse(rw, 403, "AccessDenied")
			return true
		}
		return false
	})
	b := w.bucket("fleet")
	w.WaitCondition(b, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonBucketOperationFailed)
	if b.Status.Artifact != nil || b.Status.ObservedGeneration != -1 {
		t.Errorf("the artifact is %+v, observedGeneration %d; want none, and -1", b.Status.Artifact, b.Status.ObservedGeneration)
	}
	w.Eventually("two more attempts", func() bool { return w.s3.Count()["list"] >= 3 })
	w.s3.Break(nil)
	w.waitPublished(b, files)
	n := make(map[string]int)
	for _, key := range w.s3.Keys() {
		n[key]++
	}
	if n["a"] != 1 || n["b"] != 1 || n["c"] < 3 {
		t.Errorf("downloads: %v; want a and b once", n)
	}
}

// TestTheFirstRunTells: while the first download goes on, users see what is coming.
func TestTheFirstRunTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"a": "1"}
	w.put(files)
	release := make(chan struct{})
	w.s3.Break(func(r buckettest.Request, _ http.ResponseWriter, req *http.Request) bool {
		if r.Kind == "get" {
			select {
			case <-release:
			case <-req.Context().Done():
			}
		}
		return false
	})
	b := w.bucket("fleet", func(s *sourcev1.BucketSpec) { s.Timeout = &metav1.Duration{Duration: 2 * time.Minute} })
	c := w.WaitCondition(b, sourcev1.ConditionReconciling, metav1.ConditionTrue, sourcev1.ReasonProgressing)
	if want := "building artifact: new upstream revision '" + revisionOf(files) + "'"; c.Message != want {
		t.Errorf("Reconciling says %q; want %q", c.Message, want)
	}
	close(release)
	w.waitPublished(b, files)
}
