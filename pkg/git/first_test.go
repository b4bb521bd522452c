package git_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// beginning is the first commit of a repository.
func beginning(t testing.TB, content string) *git.Draft {
	t.Helper()
	d, err := git.FirstDraft([]git.Edit{{Path: "clusters/prod/a.yaml", Content: []byte(content)}, {Path: "b.yaml", Content: []byte("b")}},
		git.CommitOptions{Message: "begin", Author: object.Signature{Name: "Ann", Email: "ann@example.com", When: time.Unix(1, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFirstCommit: a repository without a commit is one that can be pushed to.
func TestFirstCommit(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		opts.Push = true
		s := gitservertest.Start(t, opts)
		r := s.Repo("fleet")
		f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
		if _, err := f.dial(); !errors.Is(err, git.ErrEmpty) {
			t.Fatalf("asking for refs: %v, want ErrEmpty", err)
		}
		d := beginning(t, "a")
		if err := f.client.Push(soon(t), f.remote, d, []git.RefUpdate{{Name: ref("main"), New: d.Hash}}, git.PushOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := r.Head("main"); got != d.Hash.String() {
			t.Errorf("the branch ends with %s, want %s", got, d.Hash)
		}
		snapshot := f.fetch(branch("main"))
		want := map[string]string{"clusters": "/", "clusters/prod": "/", "clusters/prod/a.yaml": "a", "b.yaml": "b"}
		if diff := cmp.Diff(want, content(t, snapshot)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if n := len(snapshot.Commit.ParentHashes); n != 0 {
			t.Errorf("the commit has %d parents", n)
		}
		other := beginning(t, "other")
		err := f.client.Push(soon(t), f.remote, other, []git.RefUpdate{{Name: ref("main"), New: other.Hash}}, git.PushOptions{})
		if !errors.Is(err, git.ErrMoved) || r.Head("main") != d.Hash.String() {
			t.Errorf("another first commit: %v, want ErrMoved", err)
		}
	})
}

func TestFirstCommitOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := git.FirstDraft(nil, git.CommitOptions{Message: "begin"}); !errors.Is(err, git.ErrNoChange) {
		t.Errorf("error %v, want ErrNoChange", err)
	}
	if _, err := git.FirstDraft([]git.Edit{{Path: "../a"}}, git.CommitOptions{Message: "begin"}); !errors.Is(err, git.ErrBadName) {
		t.Errorf("error %v, want ErrBadName", err)
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s := gitservertest.Start(t, opts)
		r := s.Repo("fleet")
		at := r.Commit("trunk", "one", gitserver.File("a", "1"))
		r.Reset("dev", at)
		r.Tag("v1.0.0", at)
		f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
		for _, head := range []string{"trunk", "dev"} {
			r.SetDefault(head)
			conn, err := f.dial()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"dev", "trunk"}, conn.Refs.Branches()); diff != "" {
				t.Errorf("branches (-want +got):\n%s", diff)
			}
			if got := conn.Refs.DefaultBranch(); got != head {
				t.Errorf("default branch %q, want %q", got, head)
			}
		}
		if got := (git.Refs{}).DefaultBranch(); got != "" {
			t.Errorf("no refs have the default branch %q", got)
		}
		if _, ok := (git.Refs{}).Tip(plumbing.HEAD); ok {
			t.Error("no refs have a HEAD")
		}
	})
}
