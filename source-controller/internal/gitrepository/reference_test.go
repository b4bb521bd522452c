package gitrepository_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/source-controller/internal/sourcetest"
)

// TestRevisionOfEachReference publishes one repository by every way to name a commit
// of it. Each commit has a file that says which one it is.
func TestRevisionOfEachReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := func(branch, name string) string {
		return w.repo.Commit(branch, name, gitserver.File("commit", name))
	}
	first := commit("main", "first")
	w.repo.Tag("v1.0.0", first)
	w.repo.Tag("v1.9.0", first)
	second := commit("main", "second")
	w.repo.TagAnnotated("v1.10.0", second, "a release")
	w.repo.Tag("v2.0.0-rc.1", first)
	w.repo.Tag("v9", first)
	w.repo.Tag("release-9.0.0", first)
	third := commit("main", "third")
	master := commit("master", "master")
	w.repo.Reset("build", first)
	older := w.repo.CommitBy(gitserver.Author{When: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}, "build", "older", gitserver.File("commit", "older"))
	newer := w.repo.CommitBy(gitserver.Author{When: time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)}, "build", "newer", gitserver.File("commit", "newer"))
	w.repo.Tag("0.5.0+a", newer)
	w.repo.Tag("0.5.0+b", older)
	w.repo.Tag("0.6.0+a", older)
	w.repo.Tag("0.6.0+b", newer)
	w.repo.Reset("pull", second)
	pulled := commit("pull", "pulled")
	w.repo.SetRef("refs/pull/1/head", pulled)
	w.repo.DeleteRef("refs/heads/pull")

	type ref = sourcev1.GitRepositoryRef
	tests := map[string]struct {
		why      string
		ref      *ref
		revision string
		commit   string // the content of the file "commit"
	}{
		"no-reference":       {why: "the default is master", revision: "master@sha1:" + master, commit: "master"},
		"an-empty-reference": {why: "the default is master", ref: &ref{}, revision: "master@sha1:" + master, commit: "master"},
		"a-branch":           {ref: &ref{Branch: "main"}, revision: "main@sha1:" + third, commit: "third"},
		"a-tag":              {ref: &ref{Tag: "v1.0.0"}, revision: "v1.0.0@sha1:" + first, commit: "first"},
		"an-annotated-tag":   {why: "the hash is that of the commit", ref: &ref{Tag: "v1.10.0"}, revision: "v1.10.0@sha1:" + second, commit: "second"},
		"a-range": {
			why: "numbers are compared as such, and neither a version before a release nor one of fewer than three numbers counts",
			ref: &ref{SemVer: ">=1.0.0"}, revision: "v1.10.0@sha1:" + second, commit: "second",
		},
		"a-range-with-prereleases": {ref: &ref{SemVer: ">=2.0.0-0"}, revision: "v2.0.0-rc.1@sha1:" + first, commit: "first"},
		"equal-versions": {
			why: "build metadata has no order, so the newest commit is meant",
			ref: &ref{SemVer: "0.5.x"}, revision: "0.5.0+a@sha1:" + newer, commit: "newer",
		},
		"equal-versions-of-another-order": {
			why: "build metadata has no order, so the newest commit is meant",
			ref: &ref{SemVer: "0.6.x"}, revision: "0.6.0+b@sha1:" + newer, commit: "newer",
		},
		"the-name-of-a-branch":       {why: "it stays whole", ref: &ref{Name: "refs/heads/main"}, revision: "refs/heads/main@sha1:" + third, commit: "third"},
		"the-name-of-a-tag":          {ref: &ref{Name: "refs/tags/v1.10.0"}, revision: "refs/tags/v1.10.0@sha1:" + second, commit: "second"},
		"the-name-of-a-pull-request": {why: "it is on no branch", ref: &ref{Name: "refs/pull/1/head"}, revision: "refs/pull/1/head@sha1:" + pulled, commit: "pulled"},
		"a-commit":                   {why: "nothing else was named", ref: &ref{Commit: second}, revision: "sha1:" + second, commit: "second"},
		"a-commit-on-a-branch":       {ref: &ref{Commit: first, Branch: "main"}, revision: "main@sha1:" + first, commit: "first"},
		"a-commit-over-a-name":       {ref: &ref{Commit: first, Name: "refs/heads/main"}, revision: "sha1:" + first, commit: "first"},
		"a-name-over-a-tag":          {ref: &ref{Name: "refs/heads/main", Tag: "v1.0.0"}, revision: "refs/heads/main@sha1:" + third, commit: "third"},
		"a-tag-over-a-range":         {ref: &ref{Tag: "v1.0.0", SemVer: ">=1.0.0"}, revision: "v1.0.0@sha1:" + first, commit: "first"},
		"a-range-over-a-branch":      {ref: &ref{SemVer: ">=1.0.0", Branch: "main"}, revision: "v1.10.0@sha1:" + second, commit: "second"},
	}
	repos := make(map[string]*sourcev1.GitRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.source(name, func(s *sourcev1.GitRepositorySpec) { s.Reference = tc.ref })
	}
	for name, tc := range tests {
		repo := repos[name]
		w.WaitReady(repo)
		a := repo.Status.Artifact
		if a.Revision != tc.revision {
			t.Errorf("%s: the revision is %q; want %q (%s)", name, a.Revision, tc.revision, tc.why)
		}
		_, hash, _ := strings.Cut(tc.revision, "sha1:")
		if want := "gitrepository/" + w.Namespace + "/" + name + "/" + hash + ".tar.gz"; a.Path != want {
			t.Errorf("%s: the path is %q; want %q", name, a.Path, want)
		}
		if got := w.Content(repo)["commit"]; got != tc.commit {
			t.Errorf("%s: the commit %q is published; want %q (%s)", name, got, tc.commit, tc.why)
		}
	}
}

// TestFollowsWhatMoves: history need not go forward.
func TestFollowsWhatMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "first", gitserver.File("commit", "first"))
	second := w.repo.Commit("main", "second", gitserver.File("commit", "second"))
	w.repo.Tag("v1.0.0", first)
	branch := w.source("branch")
	tag := w.source("tag", func(s *sourcev1.GitRepositorySpec) { s.Reference = &sourcev1.GitRepositoryRef{Tag: "v1.0.0"} })
	semver := w.source("semver", func(s *sourcev1.GitRepositorySpec) { s.Reference = &sourcev1.GitRepositoryRef{SemVer: "1.x"} })
	w.WaitPublished(branch, "main@sha1:"+second)
	w.WaitPublished(tag, "v1.0.0@sha1:"+first)
	w.WaitPublished(semver, "v1.0.0@sha1:"+first)

	w.repo.Reset("main", first)
	forced := w.repo.Commit("main", "forced", gitserver.File("commit", "forced"))
	w.repo.Tag("v1.0.0", second)
	w.repo.Tag("v1.0.1", forced)
	for _, repo := range []*sourcev1.GitRepository{branch, tag, semver} {
		w.Poke(repo)
	}
	w.WaitPublished(branch, "main@sha1:"+forced)
	w.WaitPublished(tag, "v1.0.0@sha1:"+second)
	w.WaitPublished(semver, "v1.0.1@sha1:"+forced)
	for repo, want := range map[*sourcev1.GitRepository]string{branch: "forced", tag: "second", semver: "forced"} {
		if got := w.Content(repo)["commit"]; got != want {
			t.Errorf("%s: the commit %q is published; want %q", repo.Name, got, want)
		}
	}
}

func TestSpecThatNamesAnotherReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "first", gitserver.File("commit", "first"))
	second := w.repo.Commit("main", "second", gitserver.File("commit", "second"))
	repo := w.source("fleet")
	w.WaitPublished(repo, "main@sha1:"+second)
	w.Patch(repo, "test", "spec: {ref: {commit: "+first+"}}")
	w.WaitPublished(repo, "main@sha1:"+first)
	if got := w.Content(repo)["commit"]; got != "first" {
		t.Errorf("the commit %q is published; want the first", got)
	}
	w.Patch(repo, "test", "spec: {ref: {branch: null}}")
	w.WaitPublished(repo, "sha1:"+first)
}

// TestReferenceThatIsNotThere: the message has to say which one is missing.
func TestReferenceThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("commit", "first"))
	w.repo.Tag("v1.0.0", rev)
	w.repo.SetRef("refs/tags/a-file", w.repo.WriteObject("blob", []byte("no commit")))
	const unknown = "0123456789abcdef0123456789abcdef01234567"
	type ref = sourcev1.GitRepositoryRef
	tests := map[string]struct {
		ref   ref
		says  []string
		stall bool // only another spec can help
	}{
		"no-such-branch":             {ref: ref{Branch: "gone"}, says: []string{`branch "gone"`, "not found"}},
		"no-such-tag":                {ref: ref{Tag: "v7"}, says: []string{`tag "v7"`, "not found"}},
		"no-such-name":               {ref: ref{Name: "refs/pull/7/head"}, says: []string{"unable to resolve ref 'refs/pull/7/head' to a specific commit"}},
		"no-match":                   {ref: ref{SemVer: ">=9.0.0"}, says: []string{"no match found for semver: >=9.0.0"}},
		"no-such-commit":             {ref: ref{Commit: unknown}, says: []string{unknown}},
		"no-branch-of-a-commit":      {ref: ref{Commit: rev, Branch: "gone"}, says: []string{`branch "gone"`, "not found"}},
		"a-tag-of-no-commit":         {ref: ref{Tag: "a-file"}, says: []string{"blob"}},
		"a-range-that-is-none":       {ref: ref{SemVer: "one or two"}, says: []string{`semver range "one or two"`}, stall: true},
		"a-commit-that-is-none":      {ref: ref{Commit: "HEAD"}, says: []string{`commit "HEAD" is not 40 hexadecimal digits`}, stall: true},
		"a-commit-that-is-shortened": {ref: ref{Commit: rev[:7]}, says: []string{"is not 40 hexadecimal digits"}, stall: true},
	}
	repos := make(map[string]*sourcev1.GitRepository, len(tests))
	for name, tc := range tests {
		repos[name] = w.source(name, func(s *sourcev1.GitRepositorySpec) { s.Reference = &tc.ref })
	}
	for name, tc := range tests {
		repo := repos[name]
		c := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, sourcev1.ReasonGitOperationFailed)
		if !sourcetest.Says(c.Message, append(tc.says, "failed to checkout and determine revision: ")...) {
			t.Errorf("%s: the condition says\n%s\nwant it to say %q", name, c.Message, tc.says)
		}
		w.expectRefused(repo, tc.stall, sourcev1.ConditionFetchFailed, c)
		w.Patch(repo, "test", "spec: {ref: {commit: null, name: null, tag: null, semver: null, branch: main}}")
	}
	for _, repo := range repos {
		w.WaitPublished(repo, "main@sha1:"+rev)
		w.expectHealed(repo)
	}
}
