package gitrepository_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

// often is an interval that lets a test see several polls.
func often(s *sourcev1.GitRepositorySpec) {
	s.Interval = metav1.Duration{Duration: 300 * time.Millisecond}
}

// runs counts the runs of an object so far, by the metric that every run ends with.
func (w *world) runs(repo *sourcev1.GitRepository) int {
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
			if labels["namespace"] == w.Namespace && labels["name"] == repo.Name {
				return int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// sample is what was counted up to one moment.
type sample struct {
	runs   int // of the object
	remote gitserver.Counts
	api    int // requests to the API server
}

// sample counts at a moment in which the object does not run, as far as can be seen:
// a run may have made its requests without being over.
func (w *world) sample(repo *sourcev1.GitRepository) sample {
	w.t.Helper()
	var s sample
	w.Eventually("a moment in which nothing happens", func() bool {
		s = sample{runs: w.runs(repo), remote: w.git.Counter.Counts(), api: w.Traffic.Count(testplane.Any)}
		return s.remote.Open == 0 && w.runs(repo) == s.runs
	})
	return s
}

// fourPolls returns what was counted in the time of four runs or more.
func (w *world) fourPolls(repo *sourcev1.GitRepository) (polls int, remote requests, api int) {
	w.t.Helper()
	began := w.sample(repo)
	w.Eventually("four polls", func() bool { return w.runs(repo) >= began.runs+4 })
	ended := w.sample(repo)
	a, b := requestsOf(began.remote), requestsOf(ended.remote)
	return ended.runs - began.runs, requests{b.Advertisements - a.Advertisements, b.UploadPacks - a.UploadPacks, b.Others - a.Others}, ended.api - began.api
}

// about reports whether so many polls cost n requests, each as many as given. At both
// ends there may be one that is not over.
func about(n, polls, each int) bool { return n >= (polls-1)*each && n <= (polls+1)*each }

func TestPollCostsOneRequest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		ref    *sourcev1.GitRepositoryRef
		remote int // requests to the remote a poll
	}{
		"a branch": {why: "the refs tell", ref: &sourcev1.GitRepositoryRef{Branch: "main"}, remote: 1},
		"a range":  {why: "the refs tell", ref: &sourcev1.GitRepositoryRef{SemVer: "1.x"}, remote: 1},
		"a range with equal versions": {
			why: "the commits that have to be compared are here", ref: &sourcev1.GitRepositoryRef{SemVer: "2.x"}, remote: 1,
		},
		"a commit": {why: "it cannot mean another", remote: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
			w.repo.Tag("v1.0.0", first)
			w.repo.Tag("v2.0.0+a", first)
			w.repo.Tag("v2.0.0+b", w.repo.Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n")))
			if tc.ref == nil {
				tc.ref = &sourcev1.GitRepositoryRef{Commit: first}
			}
			repo := w.source("fleet", often, func(s *sourcev1.GitRepositorySpec) { s.Reference = tc.ref })
			w.WaitReady(repo)
			w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
			w.Settle()

			allow := w.Traffic.Forbid(testplane.Any)
			polls, remote, _ := w.fourPolls(repo)
			allow()
			if !about(remote.Advertisements, polls, tc.remote) || remote.UploadPacks != 0 || remote.Others != 0 {
				t.Errorf("%d polls cost the remote %+v; want %d requests for refs each, and no other (%s)", polls, remote, tc.remote, tc.why)
			}
		})
	}
}

// TestPollWithASecretAsksNobody: it is followed, so that a new password works at once.
func TestPollWithASecretAsksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet", often, func(s *sourcev1.GitRepositorySpec) {
		s.SecretRef = w.Secret("basic", map[string]string{"username": user, "password": password})
	})
	w.WaitReady(repo)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()

	allow := w.Traffic.Forbid(testplane.Any)
	w.fourPolls(repo)
	allow()
}

func TestCommitCostsWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var changes []gitserver.Change
	for i := range 200 {
		changes = append(changes, gitserver.File(fmt.Sprintf("apps/%d/app.yaml", i), fmt.Sprint(i)+noise(4<<10)))
	}
	first := w.repo.Commit("main", "add many", changes...)
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+first)
	whole := w.git.Counter.Counts()
	if diff := cmp.Diff(requests{Advertisements: 1, UploadPacks: 1}, requestsOf(whole)); diff != "" {
		t.Errorf("the first fetch cost (-want +got):\n%s", diff)
	}

	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact, "add many")
	w.Settle()
	for i := range 3 {
		w.git.Counter.Reset()
		w.Traffic.Reset()
		subject := fmt.Sprint("change one, ", i)
		next := w.repo.Commit("main", subject, gitserver.File("apps/7/app.yaml", fmt.Sprint("changed ", i)))
		w.Poke(repo)
		w.WaitPublished(repo, "main@sha1:"+next)
		w.WaitHandled(repo)
		w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact, subject)
		counts := w.git.Counter.Counts()
		if diff := cmp.Diff(requests{Advertisements: 1, UploadPacks: 1}, requestsOf(counts)); diff != "" {
			t.Errorf("a commit costs (-want +got):\n%s", diff)
		}
		// The second event is that of older artifacts which were removed.
		if patches, all := w.Traffic.Count(testplane.Writes("gitrepositories")), w.Traffic.Requests(); patches != 1 || len(all) < 2 || len(all) > 3 {
			t.Errorf("a commit costs the API server %v; want a patch of the status and an event, or two", all)
		}
		// A commit, the tree of 200 folders and two smaller ones, a file, the refs.
		if most := int64(16 << 10); counts.Bytes > most || counts.Bytes > whole.Bytes/20 {
			t.Errorf("a commit of one file transfers %d bytes, the whole repository %d; want at most %d", counts.Bytes, whole.Bytes, most)
		}
	}
	if got := w.Content(repo)["apps/7/app.yaml"]; got != "changed 2" {
		t.Errorf("the file that was changed is %q", got)
	}
	if got := len(w.Content(repo)); got != 200 {
		t.Errorf("the artifact has %d files; want all 200, although one was fetched", got)
	}
}

// requests are those that git clients make.
type requests struct{ Advertisements, UploadPacks, Others int }

func requestsOf(c gitserver.Counts) requests {
	return requests{c.Advertisements, c.UploadPacks, c.Others + c.ReceivePacks}
}

func TestSourcesOfOneRemoteShareItsObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: First\n"))
	one := w.source("one")
	w.WaitPublished(one, "main@sha1:"+first)

	w.git.Counter.Reset()
	two := w.source("two")
	w.WaitPublished(two, "main@sha1:"+first)
	ignoring := w.source("ignoring", func(s *sourcev1.GitRepositorySpec) { s.Ignore = new(string); *s.Ignore = "*.md" })
	w.WaitPublished(ignoring, "main@sha1:"+first)
	if diff := cmp.Diff(requests{Advertisements: 2}, requestsOf(w.git.Counter.Counts())); diff != "" {
		t.Errorf("two more sources cost (-want +got):\n%s", diff)
	}

	second := w.repo.Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n"))
	w.git.Counter.Reset()
	for _, repo := range []*sourcev1.GitRepository{one, two, ignoring} {
		w.Poke(repo)
	}
	for _, repo := range []*sourcev1.GitRepository{one, two, ignoring} {
		w.WaitPublished(repo, "main@sha1:"+second)
	}
	if diff := cmp.Diff(requests{Advertisements: 3, UploadPacks: 1}, requestsOf(w.git.Counter.Counts())); diff != "" {
		t.Errorf("a commit that three sources follow costs (-want +got):\n%s", diff)
	}
}

func TestOtherIgnoreNeedsNoPack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"), gitserver.File("README.md", "# App\n"))
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+rev)
	whole := repo.Status.Artifact.Digest

	w.git.Counter.Reset()
	w.Patch(repo, "test", `spec: {ignore: "*.md"}`)
	w.WaitPublished(repo, "main@sha1:"+rev)
	if repo.Status.Artifact.Digest == whole {
		t.Error("the digest is that of the artifact with README.md; want another")
	}
	if diff := cmp.Diff(map[string]string{"app.yaml": "kind: App\n"}, w.Content(repo)); diff != "" {
		t.Errorf("the artifact has (-want +got):\n%s", diff)
	}
	w.Patch(repo, "test", `spec: {ignore: null}`)
	w.WaitPublished(repo, "main@sha1:"+rev)
	if got := repo.Status.Artifact.Digest; got != whole {
		t.Errorf("without the pattern, the digest is %s; want %s again", got, whole)
	}
	if repo.Status.ObservedIgnore != nil {
		t.Errorf("observedIgnore is %q; want none", *repo.Status.ObservedIgnore)
	}
	if diff := cmp.Diff(requests{Advertisements: 2}, requestsOf(w.git.Counter.Counts())); diff != "" {
		t.Errorf("two other lists cost (-want +got):\n%s", diff)
	}
}
