package gitrepository_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

func TestSparseCheckout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first",
		gitserver.File("README", "root"), gitserver.File(".sourceignore", "*.yaml"),
		gitserver.File("apps/a/app.yaml", "kind: A\n"), gitserver.File("apps/b/app.yaml", "kind: B\n"),
		gitserver.File("apps/b/.sourceignore", "/left-out"), gitserver.File("apps/b/left-out", "x"),
		gitserver.File("apps-more/app.yaml", "kind: More\n"), gitserver.File("infra/deep/x.yaml", "kind: X\n"),
	)
	repo := w.source("fleet", func(s *sourcev1.GitRepositorySpec) { s.SparseCheckout = []string{"./apps/b", "infra/"} })
	expect := func(want ...string) {
		t.Helper()
		w.WaitPublished(repo, "main@sha1:"+rev)
		got := slices.Sorted(maps.Keys(w.Content(repo)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(repo.Spec.SparseCheckout, repo.Status.ObservedSparseCheckout); diff != "" {
			t.Errorf("observed directories (-want +got):\n%s", diff)
		}
	}
	// The rules at the root are outside of the directories, and do not count.
	expect("apps/b/.sourceignore", "apps/b/app.yaml", "infra/deep/x.yaml")
	whole := repo.Status.Artifact.Digest

	w.git.Counter.Reset()
	w.Patch(repo, "test", "spec: {sparseCheckout: [apps/a]}")
	expect("apps/a/app.yaml")
	if repo.Status.Artifact.Digest == whole {
		t.Error("the digest is that of other directories")
	}
	w.Patch(repo, "test", "spec: {sparseCheckout: [apps, nope]}")
	c := w.WaitCondition(repo, sourcev1.ConditionFetchFailed, metav1.ConditionTrue, sourcev1.ReasonGitOperationFailed)
	if !strings.HasPrefix(c.Message, "failed to sparse checkout directories : ") || !strings.Contains(c.Message, `"nope"`) {
		t.Errorf("the condition says %q; want it to name the directory", c.Message)
	}
	w.Download(repo) // it stays
	w.Patch(repo, "test", "spec: {sparseCheckout: null}")
	expect(".sourceignore", "README", "apps/b/.sourceignore")
	w.expectHealed(repo)
	if n := w.git.Counter.Counts().UploadPacks; n != 0 {
		t.Errorf("%d packs were asked for, in order to publish other directories of a commit that is here", n)
	}
}
