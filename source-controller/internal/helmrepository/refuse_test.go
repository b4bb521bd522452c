package helmrepository_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/helm/helmtest"
	"weir.dev/source-controller/internal/sourcetest"
)

// TestKeepsTheArtifactWhileTheServerFails breaks a server in many ways.
func TestKeepsTheArtifactWhileTheServerFails(t *testing.T) {
	t.Parallel()
	const entry = "apiVersion: v1\nentries:\n  demo:\n  - name: demo\n    version: 9.9.9\n"
	tests := map[string]struct {
		why     string
		fault   http.HandlerFunc
		timeout *metav1.Duration // of the spec, if that is to end it
		reason  string
		says    []string
	}{
		"says nothing":       {why: "spec.timeout ends it", fault: helmtest.Hang(), timeout: &metav1.Duration{Duration: time.Second}, reason: sourcev1.ReasonFailed, says: []string{"failed to fetch Helm repository index: ", "spec.timeout of 1s is over"}},
		"ends in the middle": {why: "half an index may be a valid one", fault: helmtest.Cut(entry), reason: sourcev1.ReasonFailed, says: []string{"failed to fetch Helm repository index: ", "reading the index"}},
		"is broken":          {fault: helmtest.Status(http.StatusInternalServerError), reason: sourcev1.ReasonFailed, says: []string{"failed to fetch Helm repository index: ", "500 Internal Server Error"}},
		"has no index":       {fault: helmtest.Status(http.StatusNotFound), reason: sourcev1.ReasonFailed, says: []string{"404 Not Found"}},
		"refuses":            {fault: helmtest.Status(http.StatusUnauthorized), reason: sourcev1.ReasonAuthenticationFailed, says: []string{"failed to fetch Helm repository index: ", "401 Unauthorized"}},
		"sends a page":       {fault: helmtest.Garbage("<html><body>hello</body></html>"), reason: sourcev1.ReasonIndexationFailed, says: []string{"failed to load Helm repository from index YAML: "}},
		"sends another file": {fault: helmtest.Garbage("a: b\n"), reason: sourcev1.ReasonIndexationFailed, says: []string{"failed to load Helm repository from index YAML: "}},
		"sends no version": {
			why: "most often it is no index", fault: helmtest.Garbage("entries: {}\n"), reason: sourcev1.ReasonIndexationFailed,
			says: []string{"failed to load Helm repository from index YAML: no API version specified"},
		},
		"sends nothing":  {fault: helmtest.Garbage(""), reason: sourcev1.ReasonIndexationFailed, says: []string{"failed to load Helm repository from index YAML: empty index.yaml file"}},
		"sends too much": {why: "memory has an end", fault: helmtest.Endless(), reason: sourcev1.ReasonFailed, says: []string{"too large", "100000 bytes"}},
		"sends around in circles": {
			fault:  func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, req.URL.Path, http.StatusFound) },
			reason: sourcev1.ReasonFailed, says: []string{"more than 5 redirects"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, helmtest.Options{}, "--helm-index-max-size=100000")
			w.server.AddChart("demo", "1.2.3", nil)
			repo := w.repo("charts", func(s *sourcev1.HelmRepositorySpec) { s.Timeout = tc.timeout })
			rev := w.revision()
			w.WaitPublished(repo, rev)
			w.server.Break("index.yaml", tc.fault)
			w.Poke(repo)
			c := w.WaitCondition(repo, meta.ReadyCondition, metav1.ConditionFalse, tc.reason)
			if !sourcetest.Says(c.Message, tc.says...) {
				t.Errorf("Ready says %q; want %q (%s)", c.Message, tc.says, tc.why)
			}
			if f := conditions.Get(repo, sourcev1.ConditionFetchFailed); f == nil || f.Reason != tc.reason {
				t.Errorf("FetchFailed is %v; want the reason %s", f, tc.reason)
			}
			if got := repo.Status.Artifact; got == nil || got.Revision != rev {
				t.Errorf("the artifact is %v; want the one before", got)
			}
			w.Download(repo)
			w.WaitEvent(repo, corev1.EventTypeWarning, tc.reason, tc.says...)

			w.server.Break("", nil)
			w.WaitReady(repo)
			w.WaitPublished(repo, rev)
			w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonSucceeded, "stored artifact: revision '"+rev+"'")
		})
	}
}

func TestStallsWithAnOCIURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	repo := w.repo("charts", func(s *sourcev1.HelmRepositorySpec) { s.URL = "oci://registry.example.com/charts" })
	c := w.WaitCondition(repo, meta.StalledCondition, metav1.ConditionTrue, sourcev1.ReasonURLInvalid)
	if want := "invalid Helm repository URL: 'oci' URL scheme cannot be used with 'default' HelmRepository type"; c.Message != want {
		t.Errorf("Stalled says %q; want %q", c.Message, want)
	}
	if repo.Status.ObservedGeneration != repo.Generation {
		t.Errorf("observedGeneration is %d; want %d: only a new spec can help", repo.Status.ObservedGeneration, repo.Generation)
	}
}

// TestLeavesOCIAlone switches a repository to the type "oci" and back.
func TestLeavesOCIAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())

	w.Patch(repo, "test", "spec: {type: oci, url: 'oci://registry.example.com/charts'}")
	w.Wait("an empty object", repo, func() bool {
		return len(repo.Finalizers) == 0 && len(repo.Status.Conditions) == 0 && repo.Status.Artifact == nil &&
			repo.Status.ObservedGeneration == 0 && repo.Status.URL == ""
	})
	if left := w.Stored(sourcev1.HelmRepositoryKind, repo); len(left) != 0 {
		t.Errorf("the storage has %q; want nothing", left)
	}
	fresh := w.repo("fresh", func(s *sourcev1.HelmRepositorySpec) {
		s.URL, s.Type = "oci://registry.example.com/charts", sourcev1.HelmRepositoryTypeOCI
	})
	w.Wait("an empty status", fresh, func() bool { return fresh.Status.ObservedGeneration == 0 })
	w.Settle()
	w.Traffic.Reset()
	w.Poke(repo)
	w.Settle()
	w.Get(repo)
	if n := w.Traffic.Count(func(r testplane.Request) bool { return r.Write() }); n != 0 || repo.Status.LastHandledReconcileAt != "" {
		t.Errorf("a request for a run made %d writes; want none: there is nothing to reconcile", n)
	}

	w.Patch(repo, "test", "spec: {type: default, url: '"+w.server.Repo()+"'}")
	w.WaitPublished(repo, w.revision())
	if len(repo.Finalizers) != 1 {
		t.Errorf("finalizers %q; want one again", repo.Finalizers)
	}
	if err := w.Client.Delete(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(fresh)
}

func TestSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	repo := w.repo("charts")
	rev := w.revision()
	w.WaitPublished(repo, rev)
	w.Patch(repo, "test", "spec: {suspend: true}")
	w.server.AddChart("demo", "1.0.0", nil)
	w.Again(repo)
	if !strings.Contains(repo.Status.Artifact.Revision, rev) || !conditions.IsReady(repo) {
		t.Errorf("the revision is %s, and Ready %v; want what was published", repo.Status.Artifact.Revision, conditions.IsReady(repo))
	}
	w.Download(repo)
}
