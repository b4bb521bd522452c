package git_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// TestIn: a folder tells what is in it and not what is below, and its Content whether that
// is the same as elsewhere.
func TestIn(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{})
	s.Repo("fleet").Commit("main", "first",
		gitserver.File("top.yaml", "a"), gitserver.File("one/app.yaml", "b"), gitserver.File("one/deep/app.yaml", "c"),
		gitserver.File("two/app.yaml", "b"), gitserver.File("two/deep/app.yaml", "c"), gitserver.File("three/app.yaml", "d"),
		gitserver.Symlink("link", "top.yaml"))
	snapshot := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{})).fetch(branch("main"))
	defer snapshot.Close()
	at := map[string]git.Entry{".": snapshot.Root()}
	got := make(map[string]bool)
	for _, folder := range []string{".", "one", "two", "three"} {
		entries, err := snapshot.In(at[folder])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			at[e.Path], got[e.Path] = e, e.Dir
		}
	}
	want := map[string]bool{
		"top.yaml": false, "one": true, "one/app.yaml": false, "one/deep": true, "two": true, "two/app.yaml": false,
		"two/deep": true, "three": true, "three/app.yaml": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries, and whether they are folders (-want +got):\n%s", diff)
	}
	if at["one"].Content() != at["two"].Content() || at["one"].Content() == at["three"].Content() {
		t.Error("the content of folders does not tell which are the same")
	}
	if entries, err := snapshot.In(at["top.yaml"]); len(entries) > 0 || err != nil {
		t.Errorf("in a file are %v, %v; want nothing", entries, err)
	}
}
