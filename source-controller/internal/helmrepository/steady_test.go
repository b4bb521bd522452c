package helmrepository_test

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/helm/helmtest"
)

// TestPollCostsAConditionalRequest: nothing is transferred, and the API server is not
// asked at all.
func TestPollCostsAConditionalRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.2.3", nil)
	repo := w.repo("charts", often)
	w.WaitPublished(repo, w.revision())
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()

	allow := w.Traffic.Forbid(testplane.Any)
	w.server.Reset()
	w.Eventually("four polls", func() bool { return w.server.Count("") >= 4 })
	allow()
	for _, r := range w.server.Requests() {
		if r.Path != "/charts/index.yaml" || r.Status != http.StatusNotModified || r.Bytes != 0 {
			t.Errorf("a poll made the request %+v; want one that is answered with 304", r)
		}
	}
}

// TestPollWithoutValidators: a server that gives nothing to recognise an index by sends
// it each time, and that is all.
func TestPollWithoutValidators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{NoValidators: true})
	w.server.AddChart("demo", "1.2.3", nil)
	repo := w.repo("charts", often)
	w.WaitPublished(repo, w.revision())
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()

	allow := w.Traffic.Forbid(testplane.Any)
	w.server.Reset()
	w.Eventually("four polls", func() bool { return w.server.Count("") >= 4 })
	allow()
	if got := w.Stored(sourcev1.HelmRepositoryKind, repo); len(got) != 2 {
		t.Errorf("the storage has %q; want one index and its link", got)
	}
}

func TestRestartDownloadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.2.3", nil)
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	digest := repo.Status.Artifact.Digest
	w.Settle()

	w.server.Reset()
	w.Restart()
	w.Eventually("a look at the index", func() bool { return w.server.Count("index.yaml") == 1 })
	w.Settle()
	for _, r := range w.server.Requests() {
		if r.Status != http.StatusNotModified {
			t.Errorf("after a restart: %+v; want no index to be sent", r)
		}
	}
	w.Get(repo)
	if got := repo.Status.Artifact.Digest; got != digest {
		t.Errorf("the digest is %s; want %s, as before", got, digest)
	}
	w.Download(repo)
}

// TestAsksAnewAtAnotherURL: what one server gave to recognise an index by says nothing
// about that of another.
func TestAsksAnewAtAnotherURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.server.AddChart("demo", "1.2.3", nil)
	other := helmtest.Start(t, helmtest.Options{})
	other.AddChart("other", "1.0.0", nil)
	repo := w.repo("charts")
	w.WaitPublished(repo, w.revision())

	other.Break("index.yaml", func(rw http.ResponseWriter, req *http.Request) {
		if req.Header.Get("If-None-Match") != "" {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = rw.Write(other.Index())
	})
	w.Patch(repo, "test", "spec: {url: "+other.Repo()+"}")
	w.Wait("the other index", repo, func() bool {
		return repo.Status.ObservedGeneration == repo.Generation && len(w.published(repo).Entries["other"]) == 1
	})
}
