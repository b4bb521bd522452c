package git_test

import (
	"testing"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// TestCommitOnItsBranch: a server that hands out any commit does not say where it is.
func TestCommitOnItsBranch(t *testing.T) {
	t.Parallel()
	closed := map[string]string{"uploadpack.allowReachableSHA1InWant": "false", "uploadpack.allowTipSHA1InWant": "false"}
	servers := map[string]gitserver.Options{
		"reachable":  {Backend: gitserver.GitCommand},
		"tips alone": {Backend: gitserver.GitCommand, Config: closed},
	}
	for name, opts := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs(t, opts.Backend)
			s, r, f := serve(t, opts)
			r.Commit("main", "big", gitserver.File("big", noise(1, 100_000)))
			base := r.Commit("main", "base", gitserver.File("a", "1"))
			r.Reset("other", base)
			r.Commit("other", "sibling", gitserver.File("a", "other"))
			sibling := r.Head("other")
			r.Commit("other", "tip", gitserver.File("a", "tip"))
			below := r.Commit("main", "below", gitserver.File("a", "2"))
			r.Commit("main", "tip", gitserver.File("a", "3"))
			tests := map[string]struct {
				why    string
				commit string
				branch string
				is     error
			}{
				"below the tip":          {commit: below, branch: "main"},
				"of both":                {commit: base, branch: "other"},
				"on a branch beside it":  {why: "it has a parent on the branch", commit: sibling, branch: "main", is: git.ErrNoRef},
				"on the branch after it": {why: "history has a direction", commit: below, branch: "other", is: git.ErrNoRef},
				"nowhere":                {commit: "1111111111111111111111111111111111111111", branch: "main", is: git.ErrNoRef},
			}
			check := func(name string) {
				t.Helper()
				tc := tests[name]
				snapshot, err := f.try(git.Reference{Commit: tc.commit, Branch: tc.branch})
				if tc.is != nil {
					silent(t, err, tc.is, "is not in the history of branch \""+tc.branch+"\"")
					return
				}
				if err != nil || snapshot.Commit.Hash != hash(tc.commit) {
					t.Errorf("%s: %v (%s)", name, err, tc.why)
				}
			}
			for name := range tests {
				check(name)
			}
			// Somebody else may want these commits, and follow no branch.
			for _, rev := range []string{sibling, below} {
				f.fetch(git.Reference{Commit: rev})
			}
			for name := range tests {
				check(name)
			}
			s.Counter.Reset()
			check("on a branch beside it")
			if got := s.Counter.Counts(); got.UploadPacks != 1 || got.Bytes > 3000 {
				t.Errorf("%+v, want one question and a short answer", got)
			}
		})
	}
}

// TestCommitOnItsBranchOverSSH: a connection is good for one request, so that it takes
// another.
func TestCommitOnItsBranchOverSSH(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, needs(t, gitserver.GitCommand))
	r := s.Repo("fleet")
	below := r.Commit("main", "below", gitserver.File("a", "1"))
	r.Commit("main", "tip", gitserver.File("a", "2"))
	side := r.Commit("side", "one", gitserver.File("b", "1"))
	r.Commit("side", "tip", gitserver.File("b", "2"))
	f := follow(t, remoteAt(t, s.SSHURL("fleet"), identity(s)))
	if got := content(t, f.fetch(git.Reference{Commit: below, Branch: "main"}))["a"]; got != "1" {
		t.Errorf("content %q", got)
	}
	_, err := f.try(git.Reference{Commit: side, Branch: "main"})
	silent(t, err, git.ErrNoRef, "is not in the history of branch \"main\"")
}
