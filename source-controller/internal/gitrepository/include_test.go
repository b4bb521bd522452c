package gitrepository_test

import (
	"io"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/sourcetest"
)

// including includes a repository in another.
func including(name, from, to string) func(*sourcev1.GitRepositorySpec) {
	return func(s *sourcev1.GitRepositorySpec) {
		s.Include = append(s.Include, sourcev1.GitRepositoryInclude{
			Repository: meta.LocalObjectReference{Name: name}, FromPath: from, ToPath: to,
		})
	}
}

// of lets an object follow another repository of the server.
func (w *world) of(name string) func(*sourcev1.GitRepositorySpec) {
	return func(s *sourcev1.GitRepositorySpec) { s.URL = w.git.URL(name) }
}

// waitContent waits until the artifact of repo has certain files. An artifact that changes
// under the same revision is replaced before the status tells of it, so that consumers
// may meet another digest once.
func (w *world) waitContent(repo *sourcev1.GitRepository, want map[string]string) {
	w.t.Helper()
	w.Wait("the files", repo, func() bool {
		if !conditions.IsReady(repo) || repo.Status.Artifact == nil || repo.Status.ObservedGeneration != repo.Generation {
			return false
		}
		res, err := w.Fetch(repo.Status.Artifact.URL)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil || sourcetest.Digest(data) != repo.Status.Artifact.Digest {
			return false
		}
		got := make(map[string]string)
		for path, e := range w.Unpack(data) {
			if e.Mode.IsRegular() {
				got[path] = e.Content
			}
		}
		return cmp.Equal(want, got)
	})
}

func TestInclude(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"), gitserver.File("over/ride.yaml", "kind: Mine\n"))
	base := w.git.Repo("base")
	base.Commit("main", "base", gitserver.File("base.yaml", "kind: Base\n"), gitserver.Executable("deploy/prod/run.sh", "#!/bin/sh\n"), gitserver.File("deploy/ride.yaml", "kind: Base\n"))
	repo := w.source("fleet", including("base", "", ""), including("base", "./deploy", "../over"))

	c := w.WaitCondition(repo, sourcev1.ConditionIncludeUnavailable, metav1.ConditionTrue, sourcev1.ReasonNotFound)
	if !strings.HasPrefix(c.Message, "could not get resource for include 'base': ") {
		t.Errorf("the condition says %q", c.Message)
	}
	if ready := conditions.Get(repo, sourcev1.ConditionReady); ready.Reason != c.Reason || ready.Message != c.Message {
		t.Errorf("Ready says %s: %s; want what IncludeUnavailable says", ready.Reason, ready.Message)
	}
	// It comes, and nobody waits for an interval.
	included := w.source("base", w.of("base"))
	want := map[string]string{
		"app.yaml": "kind: App\n", "base/base.yaml": "kind: Base\n", "base/deploy/prod/run.sh": "#!/bin/sh\n", "base/deploy/ride.yaml": "kind: Base\n",
		"over/prod/run.sh": "#!/bin/sh\n", "over/ride.yaml": "kind: Base\n",
	}
	w.waitContent(repo, want)
	w.expectHealed(repo)
	if got := repo.Status.Artifact.Revision; got != "main@sha1:"+first {
		t.Errorf("the revision is %s; want that of the repository itself", got)
	}
	if e := w.Unpack(w.Download(repo))["over/prod/run.sh"]; e.Mode&0o100 == 0 {
		t.Errorf("a program has the mode %s", e.Mode)
	}
	w.Get(included)
	if diff := cmp.Diff([]meta.Artifact{*included.Status.Artifact, *included.Status.Artifact}, repo.Status.IncludedArtifacts); diff != "" {
		t.Errorf("included artifacts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(repo.Spec.Include, repo.Status.ObservedInclude); diff != "" {
		t.Errorf("observed includes (-want +got):\n%s", diff)
	}

	// A new artifact of what is included makes a new one here at once: of the same revision,
	// under the same name.
	was := repo.Status.Artifact.DeepCopy()
	base.Commit("main", "next", gitserver.File("base.yaml", "kind: Next\n"))
	w.git.Counter.Reset()
	w.Again(included)
	want["base/base.yaml"] = "kind: Next\n"
	w.waitContent(repo, want)
	now := repo.Status.Artifact
	if now.Revision != was.Revision || now.Path != was.Path || now.Digest == was.Digest {
		t.Errorf("the artifact is %+v; want the revision and the path of %+v, and another digest", now, was)
	}
	if got := w.git.Counter.Counts(); got.UploadPacks != 1 {
		t.Errorf("%+v; want a pack for what is included, and none for what includes it", got)
	}
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact, "stored artifact for commit 'first'")
	w.Get(included)
	if diff := cmp.Diff([]meta.Artifact{*included.Status.Artifact, *included.Status.Artifact}, repo.Status.IncludedArtifacts); diff != "" {
		t.Errorf("included artifacts (-want +got):\n%s", diff)
	}

	w.Patch(repo, "test", "spec: {include: [{repository: {name: base}, fromPath: deploy/ride.yaml, toPath: one.yaml}]}")
	w.waitContent(repo, map[string]string{"app.yaml": "kind: App\n", "over/ride.yaml": "kind: Mine\n", "one.yaml": "kind: Base\n"})
	w.Patch(repo, "test", "spec: {include: null}")
	w.waitContent(repo, map[string]string{"app.yaml": "kind: App\n", "over/ride.yaml": "kind: Mine\n"})
	if len(repo.Status.IncludedArtifacts)+len(repo.Status.ObservedInclude) != 0 {
		t.Errorf("nothing is included, and the status says %v of %v", repo.Status.IncludedArtifacts, repo.Status.ObservedInclude)
	}
}

func TestPollWithIncludes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	w.WaitReady(w.source("base"))
	repo := w.source("fleet", often, including("base", "", ""))
	w.WaitPublished(repo, "main@sha1:"+rev)
	w.WaitEvent(repo, corev1.EventTypeNormal, sourcev1.ReasonNewArtifact)
	w.Settle()
	allow := w.Traffic.Forbid(testplane.Any)
	polls, remote, _ := w.fourPolls(repo)
	allow()
	if !about(remote.Advertisements, polls, 1) || remote.UploadPacks != 0 || remote.Others != 0 {
		t.Errorf("%d polls cost the remote %+v; want a request for refs each", polls, remote)
	}
}

func TestIncludeThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"), gitserver.File("dir/x", "x"))
	w.WaitReady(w.source("base"))
	w.source("never", w.of("nowhere"))
	tests := map[string]struct {
		why, include, failed, reason, says string
	}{
		"missing":     {why: "it is waited for", include: "{repository: {name: nobody}}", failed: sourcev1.ConditionIncludeUnavailable, reason: sourcev1.ReasonNotFound, says: "could not get resource for include 'nobody': "},
		"unpublished": {why: "it is waited for", include: "{repository: {name: never}}", failed: sourcev1.ConditionIncludeUnavailable, reason: sourcev1.ReasonNoArtifact, says: "no artifact available for include 'never'"},
		"no-folder":   {why: "it is named", include: "{repository: {name: base}, fromPath: nope}", failed: sourcev1.ConditionStorageOperationFailed, reason: sourcev1.ReasonCopyFailure, says: "failed to copy include 'base' from 'nope' to 'base': "},
		"over-a-file": {why: "the file would be lost", include: "{repository: {name: base}, toPath: app.yaml}", failed: sourcev1.ConditionStorageOperationFailed, reason: sourcev1.ReasonCopyFailure, says: "failed to copy include 'base' to 'app.yaml': "},
	}
	for name, tc := range tests {
		repo := w.source(name)
		w.WaitPublished(repo, "main@sha1:"+rev)
		was := repo.Status.Artifact.DeepCopy()
		w.Patch(repo, "test", "spec: {include: ["+tc.include+"]}")
		c := w.WaitCondition(repo, tc.failed, metav1.ConditionTrue, tc.reason)
		if !strings.HasPrefix(c.Message, tc.says) {
			t.Errorf("%s: the condition says %q; want %q (%s)", name, c.Message, tc.says, tc.why)
		}
		if diff := cmp.Diff(was, repo.Status.Artifact); diff != "" {
			t.Errorf("%s: the artifact has changed (-was +is):\n%s", name, diff)
		}
		w.Download(repo)
		w.Patch(repo, "test", "spec: {include: null}")
		w.WaitPublished(repo, "main@sha1:"+rev)
		w.expectHealed(repo)
	}
}

// TestIncludeOfEachOther: what two have of each other comes to rest, and what would grow
// without end is refused.
func TestIncludeOfEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.git.Repo("a").Commit("main", "first", gitserver.File("own/a.yaml", "kind: A\n"))
	w.git.Repo("b").Commit("main", "first", gitserver.File("own/b.yaml", "kind: B\n"))
	a, b := w.source("a", w.of("a")), w.source("b", w.of("b"))
	w.WaitReady(a)
	w.WaitReady(b)
	w.Patch(a, "test", "spec: {include: [{repository: {name: b}, fromPath: own, toPath: theirs}]}")
	w.Patch(b, "test", "spec: {include: [{repository: {name: a}, fromPath: own, toPath: theirs}]}")
	w.waitContent(a, map[string]string{"own/a.yaml": "kind: A\n", "theirs/b.yaml": "kind: B\n"})
	w.waitContent(b, map[string]string{"own/b.yaml": "kind: B\n", "theirs/a.yaml": "kind: A\n"})
	w.Settle()

	w.Patch(a, "test", "spec: {include: [{repository: {name: b}}]}")
	w.Patch(b, "test", "spec: {include: [{repository: {name: a}}]}")
	for _, repo := range []*sourcev1.GitRepository{a, b} {
		c := w.WaitCondition(repo, sourcev1.ConditionStorageOperationFailed, metav1.ConditionTrue, sourcev1.ReasonIllegalPath)
		if !strings.Contains(c.Message, "a includes b includes a") && !strings.Contains(c.Message, "b includes a includes b") {
			t.Errorf("the condition of %s says %q; want it to name the way", repo.Name, c.Message)
		}
		w.Download(repo)
	}
	// One of them gives in, and the other is told.
	w.Patch(b, "test", "spec: {include: null}")
	w.waitContent(b, map[string]string{"own/b.yaml": "kind: B\n"})
	w.waitContent(a, map[string]string{"own/a.yaml": "kind: A\n", "b/own/b.yaml": "kind: B\n"})
}
