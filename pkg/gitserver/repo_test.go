package gitserver_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/gitserver"
)

func TestRefs(t *testing.T) {
	repo := newRepo(t)
	first := repo.Commit("main", "first", gitserver.File("a", "1"))
	second := repo.Commit("main", "second", gitserver.File("a", "2"))
	repo.Tag("v1", first)
	repo.Tag("v1", second) // moved
	tag := repo.TagAnnotated("v2", first, "release")
	repo.SetRef("refs/pull/1/head", first)
	repo.Reset("feature/x", first)
	repo.Reset("main", first) // as a forced push
	third := repo.Commit("main", "other second", gitserver.File("a", "3"))

	want := []string{
		"refs/heads/feature/x " + first, "refs/heads/main " + third, "refs/pull/1/head " + first,
		"refs/tags/v1 " + second, "refs/tags/v2 " + tag,
	}
	show := func() []string {
		return strings.Split(strings.TrimSpace(repo.Git("for-each-ref", "--format=%(refname) %(objectname)")), "\n")
	}
	if diff := cmp.Diff(want, show()); diff != "" {
		t.Errorf("refs (-want +got):\n%s", diff)
	}
	if got := repo.Git("rev-parse", "v2^{commit}"); got != first+"\n" {
		t.Errorf("v2 tags %q, want %q", got, first)
	}
	if got, err := repo.Ref("refs/tags/v2"); got != tag || err != nil {
		t.Errorf("Ref = %q, %v; want %q", got, err, tag)
	}

	repo.DeleteRef("refs/heads/feature/x")
	repo.Reset("feature", first) // where a folder was
	repo.Git("pack-refs", "--all", "--prune")
	repo.DeleteRef("refs/tags/v1")
	repo.SetRef("refs/pull/1/head", second)
	want = []string{"refs/heads/feature " + first, "refs/heads/main " + third, "refs/pull/1/head " + second, "refs/tags/v2 " + tag}
	if diff := cmp.Diff(want, show()); diff != "" {
		t.Errorf("refs after packing and deleting (-want +got):\n%s", diff)
	}
	repo.Git("fsck", "--strict")
}

func TestRefsThatCannotBe(t *testing.T) {
	repo := newRepo(t)
	rev := repo.Commit("main", "first")
	blob := repo.WriteObject("blob", []byte("no commit"))
	ignore := func(_ string, err error) error { return err }
	tests := map[string]struct {
		why string
		got error
		err error
	}{
		"head of no branch":      {why: "there is none", got: ignore(repo.Repo.Head("feature")), err: gitserver.ErrNoRef},
		"delete no ref":          {why: "there is none", got: repo.Repo.DeleteRef("refs/heads/feature"), err: gitserver.ErrNoRef},
		"delete HEAD":            {why: "it is no ref of its own", got: repo.Repo.DeleteRef("HEAD"), err: gitserver.ErrInvalidRef},
		"set a way out":          {why: "it is a path too", got: repo.Repo.SetRef("refs/../config", rev), err: gitserver.ErrInvalidRef},
		"set no full name":       {why: "it would be beside HEAD", got: repo.Repo.SetRef("main", rev), err: gitserver.ErrInvalidRef},
		"set to a missing one":   {why: "git calls that damage", got: repo.Repo.SetRef("refs/heads/x", someCommit), err: gitserver.ErrNoRevision},
		"set to a name":          {why: "revisions are hashes", got: repo.Repo.SetRef("refs/heads/x", "main"), err: gitserver.ErrNoRevision},
		"reset to a blob":        {why: "branches are commits", got: repo.Repo.Reset("main", blob), err: gitserver.ErrNoRevision},
		"tag by a wrong name":    {why: "git has rules", got: repo.Repo.Tag("-v1", rev), err: gitserver.ErrInvalidRef},
		"tag nothing":            {why: "there is no such commit", got: ignore(repo.Repo.TagAnnotated("v1", someCommit, "m")), err: gitserver.ErrNoRevision},
		"default of a bad name":  {why: "HEAD would be broken", got: repo.Repo.SetDefault("a b"), err: gitserver.ErrInvalidRef},
		"a tag of a blob is one": {why: "the Linux kernel has one", got: repo.Repo.Tag("blob", blob)},
	}
	for name, tc := range tests {
		if !errors.Is(tc.got, tc.err) {
			t.Errorf("%s: %v, want %v (%s)", name, tc.got, tc.err, tc.why)
		}
	}
}

func TestRefWaitsForALock(t *testing.T) {
	repo := newRepo(t)
	first := repo.Commit("main", "first")
	lock := filepath.Join(repo.Path(), "refs", "heads", "main.lock")
	if err := os.WriteFile(lock, []byte(someCommit+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := repo.Repo.Commit("main", "second")
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("the commit did not wait for the lock: %v", err)
	default:
	}
	if got := repo.Head("main"); got != first {
		t.Errorf("main is %s under a lock, want %s", got, first)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDefaultBranch(t *testing.T) {
	repo := newRepo(t)
	rev := repo.Commit("trunk", "first")
	repo.SetDefault("trunk")
	if got := repo.Git("rev-parse", "HEAD"); got != rev+"\n" {
		t.Errorf("HEAD is %q, want %q", got, rev)
	}
}

func TestInitAndOpen(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := gitserver.Init(dir, "team/fleet"); err != nil {
		t.Fatal(err)
	}
	init := func(name string) error { _, err := gitserver.Init(dir, name); return err }
	open := func(name string) error { _, err := gitserver.Open(dir, name); return err }
	tests := map[string]struct {
		why string
		got error
		err error
	}{
		"open":             {why: "it is there", got: open("team/fleet")},
		"open by .git":     {why: "as servers find it", got: open("team/fleet.git")},
		"open nothing":     {why: "it is not there", got: open("fleet"), err: gitserver.ErrNotFound},
		"open a way out":   {why: "it is a path too", got: open("team/../team/fleet"), err: gitserver.ErrInvalidName},
		"init again":       {why: "it would lose commits", got: init("team/fleet"), err: fs.ErrExist},
		"init its twin":    {why: "servers could not tell them apart", got: init("team/fleet.git"), err: fs.ErrExist},
		"init upwards":     {why: "it is a path too", got: init("../fleet"), err: gitserver.ErrInvalidName},
		"init at root":     {why: "it is a path too", got: init("/fleet"), err: gitserver.ErrInvalidName},
		"init by a link":   {why: "it leads out of the directory", got: init("link/fleet"), err: gitserver.ErrInvalidName},
		"init without a d": {why: "the directory is the caller's", got: func() error { _, err := gitserver.Init(filepath.Join(dir, "no"), "x"); return err }(), err: fs.ErrNotExist},
	}
	for name, tc := range tests {
		if !errors.Is(tc.got, tc.err) {
			t.Errorf("%s: %v, want %v (%s)", name, tc.got, tc.err, tc.why)
		}
	}
}

func TestWriteObject(t *testing.T) {
	repo := newRepo(t)
	blob := repo.WriteObject("blob", []byte("x"))
	raw, err := repo.Ref("refs/heads/main")
	if err == nil {
		t.Errorf("main is %s before the first commit", raw)
	}
	// A tree that no client may check out, and a commit of it.
	tree := repo.WriteObject("tree", append([]byte("100644 ../../escape\x00"), hexBytes(t, blob)...))
	commit := repo.WriteObject("commit", []byte("tree "+tree+"\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nevil\n"))
	repo.SetRef("refs/heads/main", commit)
	if got := repo.Git("ls-tree", "--name-only", "main"); got != "../../escape\n" {
		t.Errorf("tree holds %q", got)
	}
	if _, err := repo.Repo.WriteObject("folder", nil); err == nil {
		t.Error("an unknown kind of object is accepted")
	}
}
