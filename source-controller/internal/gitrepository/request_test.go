package gitrepository_test

import (
	"net/http"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// TestRequestIsHandled: whoever asked waits for the token in the status.
func TestRequestIsHandled(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		spoil  func(w *world, repo *sourcev1.GitRepository)
		ready  metav1.ConditionStatus
		reason string
	}{
		"on success": {spoil: func(*world, *sourcev1.GitRepository) {}, ready: metav1.ConditionTrue, reason: sourcev1.ReasonSucceeded},
		"on failure": {
			why: "the answer is that it fails",
			spoil: func(w *world, _ *sourcev1.GitRepository) {
				w.git.Faults.Set(gitserver.Status(http.StatusInternalServerError))
			},
			ready: metav1.ConditionFalse, reason: sourcev1.ReasonGitOperationFailed,
		},
		"while stalled": {
			why:   "it is tried once more, at the wish of a user",
			spoil: func(w *world, repo *sourcev1.GitRepository) { w.Patch(repo, "test", "spec: {url: 'http://'}") },
			ready: metav1.ConditionFalse, reason: sourcev1.ReasonURLInvalid,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
			repo := w.source("fleet")
			w.WaitPublished(repo, "main@sha1:"+rev)
			tc.spoil(w, repo)
			for range 2 {
				token := w.Poke(repo)
				w.WaitHandled(repo)
				if got := repo.Status.LastHandledReconcileAt; got != token {
					t.Errorf("lastHandledReconcileAt is %q; want %q (%s)", got, token, tc.why)
				}
				w.WaitCondition(repo, sourcev1.ConditionReady, tc.ready, tc.reason)
			}
		})
	}
}

// TestRequestWakesWhatWaits: the next poll would be in an hour.
func TestRequestWakesWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: First\n"))
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+first)
	second := w.repo.Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n"))
	w.git.Counter.Reset()
	w.Poke(repo)
	w.WaitPublished(repo, "main@sha1:"+second)
	w.WaitHandled(repo)

	// A label is no request. What comes after it has been seen after it.
	w.Settle()
	before := w.runs(repo)
	w.Patch(repo, "test", "metadata: {labels: {a: b}, annotations: {note: b}}")
	w.WaitPublished(w.source("another"), "main@sha1:"+second)
	w.Settle()
	if got := w.runs(repo); got != before {
		t.Errorf("a label made it run %d times; want never", got-before)
	}
}

func TestSuspendedSourceKeepsItsArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: First\n"))
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+first)
	artifact := repo.Status.Artifact.DeepCopy()

	w.Patch(repo, "test", "spec: {suspend: true}")
	second := w.repo.Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n"))
	w.git.Counter.Reset()
	token := w.Poke(repo)
	w.Wait("the suspension is seen", repo, func() bool {
		return repo.Status.LastHandledReconcileAt == token && repo.Status.ObservedGeneration == repo.Generation
	})
	if diff := cmp.Diff(artifact, repo.Status.Artifact); diff != "" {
		t.Errorf("the artifact changed (-before +after):\n%s", diff)
	}
	w.WaitReady(repo)
	w.Download(repo)
	if n := w.git.Counter.Counts().Requests(); n != 0 {
		t.Errorf("the remote was asked %d times; want never", n)
	}

	w.Patch(repo, "test", "spec: {suspend: false}")
	w.WaitPublished(repo, "main@sha1:"+second)
	w.expectHealed(repo)
}

// TestSuspensionOfWhatFails keeps telling what went wrong, but for the promise to try
// again.
func TestSuspensionOfWhatFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ spec, reason string }{
		"failing": {spec: "spec: {ref: {branch: gone}}", reason: sourcev1.ReasonGitOperationFailed},
		"stalled": {spec: "spec: {url: 'http://'}", reason: sourcev1.ReasonURLInvalid},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: First\n"))
			repo := w.source("fleet")
			w.WaitPublished(repo, "main@sha1:"+first)
			w.Patch(repo, "test", tc.spec)
			w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, tc.reason)
			w.Patch(repo, "test", "spec: {suspend: true}")
			w.Wait("the suspension is seen", repo, func() bool {
				return repo.Status.ObservedGeneration == repo.Generation && !conditions.Has(repo, meta.StalledCondition) && !conditions.Has(repo, meta.ReconcilingCondition)
			})
			if got := conditions.GetReason(repo, meta.ReadyCondition); got != tc.reason || !conditions.IsFalse(repo, meta.ReadyCondition) {
				t.Errorf("Ready has the reason %q; want it False as before, %q", got, tc.reason)
			}
			w.Download(repo)
		})
	}
}

// TestSuspendedFromTheBeginning is never asked about.
func TestSuspendedFromTheBeginning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet", func(s *sourcev1.GitRepositorySpec) { s.Suspend = true })
	token := w.Poke(repo)
	w.Wait("the request is seen", repo, func() bool { return repo.Status.LastHandledReconcileAt == token })
	if repo.Status.Artifact != nil || len(repo.Status.Conditions) != 0 {
		t.Errorf("the status is %+v; want neither artifact nor conditions", repo.Status)
	}
	if n := w.git.Counter.Counts().Requests(); n != 0 {
		t.Errorf("the remote was asked %d times; want never", n)
	}
	w.Patch(repo, "test", "spec: {suspend: null}")
	w.WaitPublished(repo, "main@sha1:"+rev)
}
