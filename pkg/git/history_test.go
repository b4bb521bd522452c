package git_test

import (
	"errors"
	"testing"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// TestHistory: all commits are there, in a store that had nothing and in one that had the
// last commit without those before it.
func TestHistory(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s := gitservertest.Start(t, opts)
		repo := s.Repo("fleet")
		for _, content := range []string{"one", "two", "three"} {
			repo.Commit("main", "write "+content, gitserver.File("a", content))
		}
		for name, before := range map[string]bool{"nothing before": false, "a snapshot before": true} {
			t.Run(name, func(t *testing.T) {
				f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
				if before {
					f.fetch(branch("main")).Close()
				}
				conn, target, err := f.resolve(branch("main"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				snapshot, err := f.store().History(soon(t), conn, target)
				if err != nil {
					t.Fatal(err)
				}
				defer snapshot.Close()
				commits := 1
				for c := snapshot.Commit; c.NumParents() > 0; commits++ {
					if c, err = c.Parent(0); err != nil {
						t.Fatalf("after %d commits: %v", commits, err)
					}
				}
				if commits != 3 {
					t.Errorf("the history has %d commits, want 3", commits)
				}
			})
		}
	})
}

// TestHistoryHasALimit: what does not fit is refused.
func TestHistoryHasALimit(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{})
	s.Repo("fleet").Commit("main", "first", gitserver.File("a", noise(1, 1<<10)))
	f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
	f.client = git.NewClient(git.Limits{Pack: 64})
	conn, target, err := f.resolve(branch("main"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	snapshot, err := f.store().History(soon(t), conn, target)
	if err == nil {
		snapshot.Close()
	}
	if !errors.Is(err, git.ErrTooLarge) {
		t.Errorf("the error is %v, want %v", err, git.ErrTooLarge)
	}
}
