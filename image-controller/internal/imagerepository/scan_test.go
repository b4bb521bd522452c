package imagerepository_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

func TestScan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0", "1.1.0", "latest", "1.1.0.sig")
	repo := w.image("app")
	w.waitTags(repo, "latest", "1.1.0", "1.0.0")
	revision := repo.Status.LastScanResult.Revision
	want := imagev1.ImageRepositoryStatus{
		ObservedGeneration: 1, CanonicalImageName: w.reg.Host() + "/" + app, ObservedExclusionList: []string{`^.*\.sig$`},
		LastScanResult: &imagev1.ScanResult{Revision: revision, TagCount: 3, LatestTags: []string{"latest", "1.1.0", "1.0.0"}},
		Conditions: []metav1.Condition{{
			Type: meta.ReadyCondition, Status: metav1.ConditionTrue, ObservedGeneration: 1, Reason: imagev1.ReasonSucceeded,
			Message: "successful scan: found 3 tags with checksum " + revision,
		}},
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime"), cmpopts.IgnoreFields(imagev1.ScanResult{}, "ScanTime")}
	if diff := cmp.Diff(want, repo.Status, ignore); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if repo.Status.LastScanResult.ScanTime.IsZero() {
		t.Error("the time of the scan is not told")
	}
	w.waitEvent(repo, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "successful scan: found 3 tags with checksum "+revision)

	w.push("1.2.0")
	w.again(repo)
	w.waitTags(repo, "latest", "1.2.0", "1.1.0", "1.0.0")
	if repo.Status.LastScanResult.Revision == revision {
		t.Error("another list has the same revision")
	}
	w.waitEvent(repo, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "found 4 tags")

	w.again(repo)
	w.waitEvent(repo, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "tags did not change, next scan in 1h0m0s")
}

// TestServedVersion: what is written in the older version is the same object.
func TestServedVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	old := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "image.toolkit.fluxcd.io/v1beta2", "kind": imagev1.ImageRepositoryKind, "metadata": map[string]any{"name": "app"},
		"spec": map[string]any{"image": w.reg.Host() + "/" + app, "interval": "1h"},
	}}
	w.Create(old)
	w.waitTags(&imagev1.ImageRepository{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app"}}, "1.0.0")
}

// TestScanThatFindsNothingNew costs one list, with the login and the Secret of before.
func TestScanThatFindsNothingNew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts ocitest.Options
		tags int
		each int // requests a scan
	}{
		"an open registry": {tags: 3, each: 1},
		"a token":          {opts: ocitest.Options{Username: user, Password: password, Bearer: true}, tags: 3, each: 1},
		"a password":       {opts: ocitest.Options{Username: user, Password: password}, tags: 3, each: 1},
		"pages":            {tags: 1001, each: 2},
		"no tags":          {tags: 0, each: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.opts)
			w.push("1.0.0")
			for i := range tc.tags {
				w.reg.Push(app, fmt.Sprintf("1.1.%d", i), ocitest.Files(nil))
			}
			repo := w.image("app", often, func(s *imagev1.ImageRepositorySpec) {
				if tc.opts.Username != "" {
					s.SecretRef = w.dockerSecret("login", w.reg, user, password)
				}
				if tc.tags == 0 {
					s.ExclusionList = []string{"."}
				}
			})
			w.WaitReady(repo)
			w.waitEvent(repo, corev1.EventTypeNormal, imagev1.ReasonSucceeded)
			w.settle()
			before, version := modified(t, w.file(repo)), repo.ResourceVersion

			allow := w.Traffic.Forbid(testplane.Any)
			scans, asked := w.fourScans(repo)
			allow()
			if !about(asked.Tags, scans, tc.each) || asked.Sum() != asked.Tags {
				t.Errorf("%d scans cost the registry %+v; want %d lists each, and no other", scans, asked, tc.each)
			}
			w.Get(repo)
			if repo.ResourceVersion != version {
				t.Errorf("the object has changed from version %s to %s", version, repo.ResourceVersion)
			}
			if !modified(t, w.file(repo)).After(before) {
				t.Error("that the list is still the same was not noted")
			}
		})
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// TestRestart: what is on disk is known at once, and not asked for again before its time.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	repo, lost, damaged := w.image("app"), w.image("lost"), w.image("damaged")
	for _, r := range []*imagev1.ImageRepository{repo, lost, damaged} {
		w.waitTags(r, "1.0.0")
	}
	w.settle()
	w.stop()
	if err := os.Remove(w.file(lost)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.file(damaged), []byte("weir tags 1\nhalf"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, version := w.reg.Counts(), repo.ResourceVersion
	ofLost := func(r testplane.Request) bool {
		return r.Write() && r.Sub == "status" && strings.Contains(r.Path, "/imagerepositories/lost/")
	}
	writes := w.Traffic.Count(ofLost)
	w.start()
	for _, r := range []*imagev1.ImageRepository{lost, damaged} {
		w.Eventually("the list of "+r.Name, func() bool { return len(w.stored(r).Tags) == 1 })
	}
	w.settle()
	if asked := w.reg.Counts().Minus(before); asked.Tags != 2 || asked.Sum()-asked.Tags > 2 {
		t.Errorf("after a restart, the registry was asked %+v; want a list for each that was lost, and at most a ping each", asked)
	}
	w.Get(repo)
	if repo.ResourceVersion != version {
		t.Errorf("after a restart, the object has changed from version %s to %s", version, repo.ResourceVersion)
	}
	// Whoever has found no list is told when it is there again, also if it is the same.
	if n := w.Traffic.Count(ofLost) - writes; n != 2 {
		t.Errorf("the status of what was lost was written %d times, want twice: before the scan, and after", n)
	}
}

// TestRestartAfterTheInterval scans at once.
func TestRestartAfterTheInterval(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	repo := w.image("app")
	w.waitTags(repo, "1.0.0")
	w.stop()
	w.push("1.1.0")
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(w.file(repo), long, long); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.waitTags(repo, "1.1.0", "1.0.0")
}

func TestSpecIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0", "1.0.0-rc.1", "nightly")
	repo := w.image("app")
	w.waitTags(repo, "nightly", "1.0.0-rc.1", "1.0.0")
	w.Patch(repo, "test", "spec: {exclusionList: ['-rc', '^night']}")
	w.waitTags(repo, "1.0.0")
	if diff := cmp.Diff([]string{"-rc", "^night"}, repo.Status.ObservedExclusionList); diff != "" {
		t.Errorf("observed exclusions (-want +got):\n%s", diff)
	}
	w.Patch(repo, "test", "spec: {exclusionList: []}")
	w.waitTags(repo, "nightly", "1.0.0-rc.1", "1.0.0")
	w.reg.Push("org/other", "2.0.0", ocitest.Files(nil))
	w.Patch(repo, "test", "spec: {image: "+w.reg.Host()+"/org/other}")
	w.waitTags(repo, "2.0.0")
	if want := w.reg.Host() + "/org/other"; repo.Status.CanonicalImageName != want {
		t.Errorf("the canonical name is %s, want %s", repo.Status.CanonicalImageName, want)
	}
	w.settle()
	before := w.reg.Counts()
	w.Patch(repo, "test", "spec: {interval: 2h}")
	w.waitTags(repo, "2.0.0")
	if asked := w.reg.Counts().Minus(before); asked.Tags != 1 {
		t.Errorf("an edit of the spec made the registry be asked %+v, want one list", asked)
	}
}

func TestLatestTagsAreTen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	for i := range 30 {
		w.push(fmt.Sprintf("1.%02d", i))
	}
	repo := w.image("app")
	w.WaitReady(repo)
	result := repo.Status.LastScanResult
	if len(result.LatestTags) != 10 || result.LatestTags[0] != "1.29" || result.LatestTags[9] != "1.20" || result.TagCount != 30 {
		t.Errorf("the status tells of %d tags, and shows %v", result.TagCount, result.LatestTags)
	}
	if n := len(w.stored(repo).Tags); n != 30 {
		t.Errorf("%d tags are stored", n)
	}
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	repo := w.image("app")
	w.waitTags(repo, "1.0.0")
	w.Patch(repo, "test", "spec: {suspend: true}")
	w.push("1.1.0")
	before := w.reg.Counts()
	w.again(repo)
	w.Wait("that the generation was seen", repo, func() bool { return repo.Status.ObservedGeneration == repo.Generation })
	if asked := w.reg.Counts().Minus(before).Sum(); asked > 0 || len(w.stored(repo).Tags) != 1 {
		t.Errorf("while suspended, the registry was asked %d times, and %v is stored", asked, w.stored(repo))
	}
	w.Patch(repo, "test", "spec: {suspend: false}")
	w.waitTags(repo, "1.1.0", "1.0.0")
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ocitest.Options{})
	w.push("1.0.0")
	repo, kept := w.image("app"), w.image("kept")
	w.waitTags(repo, "1.0.0")
	w.waitTags(kept, "1.0.0")
	if err := w.Client.Delete(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(repo)
	if exists(w.file(repo)) || !exists(w.file(kept)) {
		t.Errorf("the list of what is gone exists: %t; of what is kept: %t", exists(w.file(repo)), exists(w.file(kept)))
	}
}
