package gitrepository_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-git/go-git/v5/plumbing"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/sourcetest"
)

// badRemote is something that goes wrong with a remote.
type badRemote struct {
	why    string
	spoil  func(*world, *sourcev1.GitRepository)
	reason string
	failed string   // the condition that is True then; FetchFailed unless it is set
	says   []string // parts of the message
}

// badAnswers are remotes that do not give what they have.
func badAnswers() map[string]badRemote {
	fault := func(f gitserver.Middleware) func(*world, *sourcev1.GitRepository) {
		return func(w *world, _ *sourcev1.GitRepository) { w.git.Faults.Set(f) }
	}
	hang := func(f gitserver.Middleware) func(*world, *sourcev1.GitRepository) {
		return func(w *world, repo *sourcev1.GitRepository) {
			w.git.Faults.Set(f)
			w.Patch(repo, "test", "spec: {timeout: 500ms}")
		}
	}
	return map[string]badRemote{
		"nobody listens": {
			why: "the address is named",
			spoil: func(w *world, repo *sourcev1.GitRepository) {
				w.Patch(repo, "test", "spec: {url: 'http://127.0.0.1:1/fleet'}")
			},
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"asking http://127.0.0.1:1", "connection refused"},
		},
		"the server hangs": {
			why: "spec.timeout ends it", spoil: hang(gitserver.Hang(nil)),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"spec.timeout of 500ms is over"},
		},
		"the server hangs with the pack": {
			why: "spec.timeout ends that too", spoil: hang(gitserver.Only(gitserver.UploadPack, gitserver.Hang(nil))),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"spec.timeout of 500ms is over"},
		},
		"the server is very slow": {
			why: "bytes that trickle are no excuse", spoil: hang(gitserver.Slow(10)),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"spec.timeout of 500ms is over"},
		},
		"the pack is cut off": {
			why: "what is half here is not published", spoil: fault(gitserver.Truncate(150)),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"unexpected answer of the remote"},
		},
		"the answer is garbage": {
			why: "it is called what Git calls it", spoil: fault(gitserver.Garbage("")),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"unexpected answer of the remote"},
		},
		"the pack is garbage": {
			why: "the refs were good", spoil: fault(gitserver.Only(gitserver.UploadPack, gitserver.Garbage(""))),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"unexpected answer of the remote"},
		},
		"the answer is a login page": {
			why: "users must see that this is no repository", spoil: fault(gitserver.Garbage("text/html")),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{`served as "text/html"`, "no smart-HTTP Git repository"},
		},
		"the server fails": {
			why: "the status tells", spoil: fault(gitserver.Status(http.StatusInternalServerError)),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"HTTP status 500"},
		},
		"the server fails with the pack": {
			why: "the status tells", spoil: fault(gitserver.Only(gitserver.UploadPack, gitserver.Status(http.StatusServiceUnavailable))),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"HTTP status 503"},
		},
		"the repository is gone": {
			why: "404 says so", spoil: fault(gitserver.Status(http.StatusNotFound)),
			reason: sourcev1.ReasonGitOperationFailed, says: []string{"repository not found"},
		},
		"the server wants credentials": {
			why: "it was made private", spoil: fault(gitserver.Status(http.StatusUnauthorized)),
			reason: sourcev1.ReasonAuthenticationFailed, says: []string{"it wants credentials, and none are given"},
		},
	}
}

// badContents are remotes that give what cannot be published.
func badContents() map[string]badRemote {
	commit := func(changes ...gitserver.Change) func(*world, *sourcev1.GitRepository) {
		return func(w *world, _ *sourcev1.GitRepository) { w.repo.Commit("main", "something bad", changes...) }
	}
	return map[string]badRemote{
		"the branch is gone": {
			why: "it was renamed",
			spoil: func(w *world, _ *sourcev1.GitRepository) {
				w.repo.Reset("other", w.repo.Head("main"))
				w.repo.DeleteRef("refs/heads/main")
			},
			reason: sourcev1.ReasonGitOperationFailed, says: []string{`branch "main"`, "not found"},
		},
		"the repository is emptied": {
			why: "there is a reason of its own for it", spoil: func(w *world, _ *sourcev1.GitRepository) { w.repo.DeleteRef("refs/heads/main") },
			reason: sourcev1.ReasonEmptyGitRepository, says: []string{"git repository is empty"},
		},
		"the archive is too large": {
			why: "the limit is named", spoil: commit(gitserver.File("large", noise(64<<10))),
			reason: sourcev1.ReasonArchiveOperationFailed, failed: sourcev1.ConditionStorageOperationFailed,
			says: []string{"unable to archive artifact to storage: ", "exceeds the limit of 16384 bytes"},
		},
		"a path climbs out": {
			why: "no such archive is ever written",
			spoil: func(w *world, _ *sourcev1.GitRepository) {
				w.repo.Reset("main", evilCommit(w))
			},
			reason: sourcev1.ReasonGitOperationFailed, says: []string{`an entry named ".."`},
		},
		"an ignore file is too large": {
			why: "it is named", spoil: commit(gitserver.File("app/.sourceignore", strings.Repeat("#\n", 1<<20))),
			reason: sourcev1.ReasonSourceIgnoreError, failed: sourcev1.ConditionStorageOperationFailed,
			says: []string{"failed to load source ignore patterns from repository: ", `"app/.sourceignore" has 2097152 bytes`},
		},
	}
}

// TestBadRemoteLeavesTheLastArtifact publishes something good, then lets something go
// wrong with the next commit, then ends that.
func TestBadRemoteLeavesTheLastArtifact(t *testing.T) {
	t.Parallel()
	tests := badAnswers()
	maps.Copy(tests, badContents())
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "--artifact-max-size=16384")
			first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: First\n"))
			repo := w.source("fleet")
			w.WaitPublished(repo, "main@sha1:"+first)
			last := repo.Status.Artifact.DeepCopy()

			second := w.repo.Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n"))
			tc.spoil(w, repo)
			w.Poke(repo)
			c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, tc.reason)
			if !sourcetest.Says(c.Message, tc.says...) {
				t.Errorf("the condition says\n%s\nwant it to say %q (%s)", c.Message, tc.says, tc.why)
			}
			if tc.failed == "" {
				tc.failed = sourcev1.ConditionFetchFailed
			}
			w.expectRefused(repo, false, tc.failed, c)
			w.WaitHandled(repo)
			if repo.Status.Artifact == nil || *repo.Status.Artifact.Size != *last.Size || repo.Status.Artifact.Revision != last.Revision {
				t.Fatalf("the artifact is %+v; want that of the first commit kept", repo.Status.Artifact)
			}
			if got := w.Content(repo)["app.yaml"]; got != "kind: First\n" {
				t.Errorf("the artifact has %q; want that of the first commit", got)
			}
			if !conditions.IsTrue(repo, sourcev1.ConditionArtifactInStorage) {
				t.Error("ArtifactInStorage is not True; want it to say that the first commit can be had")
			}
			w.WaitEvent(repo, corev1.EventTypeWarning, tc.reason, c.Message)

			w.git.Faults.Set(nil)
			w.repo.Reset("main", second)
			w.Patch(repo, "test", fmt.Sprintf("spec: {url: %q, timeout: 60s}", w.git.URL("fleet")))
			w.WaitPublished(repo, "main@sha1:"+second)
			w.expectHealed(repo)
		})
	}
}

// expectRefused checks what every refusal has in common, whatever the reason. The
// condition is Ready.
func (w *world) expectRefused(repo *sourcev1.GitRepository, stalled bool, failed string, ready *metav1.Condition) {
	w.t.Helper()
	f := conditions.Get(repo, failed)
	if f == nil || f.Status != metav1.ConditionTrue || f.Reason != ready.Reason || f.Message != ready.Message {
		w.t.Errorf("%s: %s is %v; want what Ready says, %s: %s", repo.Name, failed, f, ready.Reason, ready.Message)
	}
	if conditions.Has(repo, sourcev1.ConditionArtifactOutdated) {
		w.t.Errorf("%s: ArtifactOutdated is left over", repo.Name)
	}
	if stalled {
		if got := conditions.GetReason(repo, sourcev1.ConditionStalled); got != ready.Reason || conditions.Has(repo, sourcev1.ConditionReconciling) {
			w.t.Errorf("%s: Stalled has the reason %q, Reconciling %q; want %q, and no Reconciling", repo.Name, got, conditions.GetReason(repo, sourcev1.ConditionReconciling), ready.Reason)
		}
		if repo.Status.ObservedGeneration != repo.Generation {
			w.t.Errorf("%s: observedGeneration is %d; want %d, since it is given up", repo.Name, repo.Status.ObservedGeneration, repo.Generation)
		}
		return
	}
	if got := conditions.GetReason(repo, sourcev1.ConditionReconciling); got != sourcev1.ReasonProgressingWithRetry || conditions.Has(repo, sourcev1.ConditionStalled) {
		w.t.Errorf("%s: Reconciling has the reason %q, Stalled %q; want ProgressingWithRetry, and no Stalled", repo.Name, got, conditions.GetReason(repo, sourcev1.ConditionStalled))
	}
}

// expectHealed checks that nothing of a failure is left on what is Ready again. It may
// have other conditions that say something good.
func (w *world) expectHealed(repo *sourcev1.GitRepository, others ...string) {
	w.t.Helper()
	want := append([]string{sourcev1.ConditionReady, sourcev1.ConditionArtifactInStorage}, others...)
	var got []string
	for _, c := range repo.Status.Conditions {
		got = append(got, c.Type)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		w.t.Errorf("%s: the conditions are %v; want %v", repo.Name, got, want)
	}
	if repo.Status.ObservedGeneration != repo.Generation {
		w.t.Errorf("%s: observedGeneration is %d; want %d", repo.Name, repo.Status.ObservedGeneration, repo.Generation)
	}
}

// TestURLThatIsNone has what the definition of the kind lets pass.
func TestURLThatIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	tests := map[string]struct {
		url  string
		says []string
	}{
		"nothing":        {url: "http://", says: []string{"it has no host"}},
		"no-host":        {url: "https:///fleet", says: []string{"it has no host"}},
		"no-path":        {url: "http://git.example.com", says: []string{"it names no repository"}},
		"root":           {url: "ssh://git@git.example.com/", says: []string{"it names no repository"}},
		"a-space":        {url: "http://git example com/fleet", says: []string{"invalid URL"}},
		"a-port":         {url: "http://git.example.com:many/fleet", says: []string{"invalid URL"}},
		"scp-like":       {url: "ssh://git@git.example.com:team/fleet", says: []string{"invalid URL"}},
		"a-query":        {url: "http://git.example.com/fleet?ref=main", says: []string{"it has a query"}},
		"with-a-secret":  {url: "https://user:hunter2@git example com/fleet", says: []string{"invalid URL"}},
		"an-odd-escape":  {url: "https://git.example.com/%zz", says: []string{"invalid URL"}},
		"a-slash-in-it":  {url: "https://user:hunter2/x@git.example.com/fleet", says: []string{"invalid URL"}},
		"a-control-char": {url: "http://git.example.com/\x7f", says: []string{"invalid URL"}},
	}
	repos := make(map[string]*sourcev1.GitRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.source(name, func(s *sourcev1.GitRepositorySpec) { s.URL = tc.url })
	}
	for name, tc := range tests {
		repo := repos[name]
		c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonURLInvalid)
		if !sourcetest.Says(c.Message, tc.says...) {
			t.Errorf("%s: the condition says %q; want it to say %q", name, c.Message, tc.says)
		}
		w.expectRefused(repo, true, sourcev1.ConditionFetchFailed, c)
		w.WaitEvent(repo, corev1.EventTypeWarning, sourcev1.ReasonURLInvalid, c.Message)
		w.Patch(repo, "test", fmt.Sprintf("spec: {url: %q}", w.git.URL("fleet")))
	}
	for _, repo := range repos {
		w.WaitPublished(repo, "main@sha1:"+rev)
		w.expectHealed(repo)
		w.expectHidden(repo, "hunter2")
	}
}

// TestFailureThatRepeatsWritesNothing: users see it from the first time until it ends,
// and the API server is left alone.
func TestFailureThatRepeatsWritesNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  gitserver.Middleware
		reason string
	}{
		"the refs": {fault: gitserver.Status(http.StatusInternalServerError), reason: sourcev1.ReasonGitOperationFailed},
		"the pack": {fault: gitserver.Truncate(150), reason: sourcev1.ReasonGitOperationFailed},
		"too large": {
			fault:  func(next http.Handler) http.Handler { return next }, // what it has is enough
			reason: sourcev1.ReasonArchiveOperationFailed,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "--artifact-max-size=16384")
			rev := w.repo.Commit("main", "first", gitserver.File("large", noise(64<<10)))
			w.git.Faults.Set(tc.fault)
			repo := w.source("fleet")
			c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, tc.reason)
			if repo.Status.Artifact != nil {
				t.Errorf("the artifact is %+v; want none", repo.Status.Artifact)
			}
			if repo.Status.ObservedGeneration != -1 {
				t.Errorf("observedGeneration is %d; want -1 as long as it fails", repo.Status.ObservedGeneration)
			}
			w.WaitEvent(repo, corev1.EventTypeWarning, tc.reason, c.Message)
			w.Settle()

			w.git.Counter.Reset()
			allow := w.Traffic.Forbid(testplane.Any)
			w.Eventually("three more attempts", func() bool { return w.git.Counter.Counts().Advertisements >= 3 })
			allow()
			if name == "too large" && w.git.Counter.Counts().UploadPacks != 0 {
				t.Error("the pack is fetched again; want it kept, since the remote is not to blame")
			}

			w.git.Faults.Set(nil)
			w.Patch(repo, "test", "spec: {ignore: large}")
			w.WaitPublished(repo, "main@sha1:"+rev)
			w.expectHealed(repo)
		})
	}
}

// noise is text that cannot be compressed to less than half.
func noise(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	out := make([]byte, n)
	for i := range out {
		out[i] = "0123456789abcdef"[random.IntN(16)]
	}
	return string(out)
}

// evilCommit makes a commit whose tree has a folder "..".
func evilCommit(w *world) string {
	blob := w.repo.WriteObject("blob", []byte("x"))
	inner := w.repo.WriteObject("tree", treeEntry("100644", "passwd", blob))
	root := w.repo.WriteObject("tree", treeEntry("40000", "..", inner))
	return w.repo.WriteObject("commit", fmt.Appendf(nil,
		"tree %s\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n\nevil\n", root))
}

func treeEntry(mode, name, hash string) []byte {
	id := plumbing.NewHash(hash)
	return append(fmt.Appendf(nil, "%s %s\x00", mode, name), id[:]...)
}
