package git_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// TestTwoOfOneRemote: who follows the same remote with the same credentials finds there
// what the other one fetched.
func TestTwoOfOneRemote(t *testing.T) {
	t.Parallel()
	s, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("big", noise(1, 100_000)))
	second := &follower{t: t, dir: f.dir, stores: f.stores, client: f.client, remote: remoteAt(t, s.URL("fleet"), creds.Git{})}
	f.fetch(branch("main"))
	first := s.Counter.Counts()
	s.Counter.Reset()
	if diff := cmp.Diff(map[string]string{"big": noise(1, 100_000)}, content(t, second.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if got := s.Counter.Counts(); got.UploadPacks != 0 || got.Advertisements != 1 || got.Bytes > first.Bytes/20 {
		t.Errorf("%+v after %+v, want the refs and nothing else", got, first)
	}
	r.Commit("main", "two", gitserver.File("small", "2"))
	second.fetch(branch("main"))
	s.Counter.Reset()
	f.fetch(branch("main"))
	if got := s.Counter.Counts(); got.UploadPacks != 0 {
		t.Errorf("%+v for what the second fetched, want the refs and nothing else", got)
	}
}

// TestSnapshotKeepsNoFiles: a process may have only so many files open.
func TestSnapshotKeepsNoFiles(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		t.Skip("this system does not tell which files are open")
	}
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	for i := range 5 {
		r.Commit("main", "next", gitserver.File(fmt.Sprint("file-", i), noise(i+1, 30_000)))
		snapshot := f.fetch(branch("main"))
		content(t, snapshot)
		if n := f.open(); n == 0 || n > i+1 {
			t.Errorf("%d files are open, want one for each of the %d packs at most", n, i+1)
		}
		if err := snapshot.Close(); err != nil {
			t.Error(err)
		}
		if n := f.open(); n != 0 {
			t.Errorf("%d files are open, want none of who has closed everything", n)
		}
		if _, err := f.try(git.Reference{Tag: "none"}); err == nil {
			t.Error("there is a tag")
		}
	}
	if n := f.open(); n != 0 {
		t.Errorf("%d files are open after what failed", n)
	}
}

// open returns how many files of the stores are open.
func (f *follower) open() int {
	f.t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if path, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(path, f.dir) {
			n++
		}
	}
	return n
}

// restart opens the stores as a new process does.
func (f *follower) restart() {
	f.t.Helper()
	stores, err := git.OpenStores(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	f.stores = stores
}

func TestRestart(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"), gitserver.File("big", noise(1, 50_000)))
		f.fetch(branch("main"))
		f.restart()
		s.Counter.Reset()
		f.fetch(branch("main"))
		r.Commit("main", "two", gitserver.File("a", "2"))
		if got := content(t, f.fetch(branch("main")))["a"]; got != "2" {
			t.Errorf("content %q", got)
		}
		if got := s.Counter.Counts(); got.UploadPacks != 1 || got.Bytes > 4000 {
			t.Errorf("%+v, want what is new alone", got)
		}
	})
}

func TestStoresAreNotShared(t *testing.T) {
	t.Parallel()
	opts := gitserver.Options{Backend: gitserver.GoGit, Username: "me", Password: "pw"}
	s := gitservertest.Start(t, opts)
	rev := s.Repo("fleet").Commit("main", "one", gitserver.File("a", "1"))
	member := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{Username: creds.Hide("me"), Password: creds.Hide("pw")}))
	member.fetch(branch("main"))
	again := remoteAt(t, s.URL("fleet")+"/", creds.Git{Username: creds.Hide("me"), Password: creds.Hide("pw")})
	if _, ok := member.stores.For(again).Has(hash(rev)); !ok {
		t.Error("a remote of the same URL and credentials does not share the store")
	}
	for name, c := range map[string]creds.Git{
		"nobody": {}, "another": {Username: creds.Hide("you"), Password: creds.Hide("pw")}, "an old password": {Username: creds.Hide("me"), Password: creds.Hide("px")},
	} {
		if _, ok := member.stores.For(remoteAt(t, s.URL("fleet"), c)).Has(hash(rev)); ok {
			t.Errorf("%s reads what the member fetched", name)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	used := follow(t, remoteAt(t, s.URL("used"), creds.Git{}))
	idle := follow(t, remoteAt(t, s.URL("idle"), creds.Git{}))
	idle.dir, idle.stores = used.dir, used.stores
	for _, name := range []string{"used", "idle"} {
		s.Repo(name).Commit("main", "one", gitserver.File("a", name))
	}
	idle.fetch(branch("main"))
	used.fetch(branch("main"))
	long, since := time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	age(t, filepath.Join(idle.dir, idle.remote.Key()), long)
	age(t, filepath.Join(used.dir, used.remote.Key()), long)
	used.store() // which is a use of it
	for i, want := range []int{1, 0} {
		if n, err := used.stores.Sweep(since); err != nil || n != want {
			t.Errorf("sweep %d: %d stores removed, %v; want %d", i, n, err, want)
		}
	}
	head := hash(s.Repo("idle").Head("main"))
	if _, ok := idle.store().Has(head); ok {
		t.Error("the unused store is still there")
	}
	if _, ok := used.store().Has(hash(s.Repo("used").Head("main"))); !ok {
		t.Error("the used store is gone")
	}
	if diff := cmp.Diff(map[string]string{"a": "idle"}, content(t, idle.fetch(branch("main")))); diff != "" {
		t.Errorf("content after it was swept (-want +got):\n%s", diff)
	}
	if n, err := used.stores.Sweep(time.Now().Add(time.Hour)); err != nil || n != 2 {
		t.Errorf("sweep of everything: %d, %v; want 2", n, err)
	}
	if left := used.onDisk(func(string) bool { return true }); len(left) > 0 {
		t.Errorf("left on disk: %v", left)
	}
}

// age makes a file or folder look as if nobody had used it since.
func age(t *testing.T, path string, since time.Time) {
	t.Helper()
	if err := os.Chtimes(path, since, since); err != nil {
		t.Fatal(err)
	}
}

// TestSweepReplaced: what a store was before it was begun anew goes when nobody can be
// reading it any more, and what it is stays.
func TestSweepReplaced(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	f.fetch(branch("main"))
	overwrite(t, f.packs()[0])
	r.Commit("main", "two", gitserver.File("a", "2"))
	f.fetch(branch("main"))
	if n := len(f.packs()); n != 2 {
		t.Fatalf("%d packs, want the damaged one and the new one", n)
	}
	root := filepath.Join(f.dir, f.remote.Key())
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	since := time.Now().Add(-time.Hour)
	age(t, filepath.Join(root, entries[0].Name()), since.Add(-time.Hour))
	used := time.Now().Add(-time.Minute).Truncate(time.Second)
	age(t, root, used)
	if n, err := f.stores.Sweep(since); err != nil || n != 0 {
		t.Errorf("%d stores removed, %v; want none", n, err)
	}
	if n := len(f.packs()); n != 1 {
		t.Errorf("%d packs, want the new one", n)
	}
	if info, err := os.Stat(root); err != nil || !info.ModTime().Equal(used) {
		t.Errorf("the sweep counts as a use: %v, %v", info.ModTime(), err)
	}
	if diff := cmp.Diff(map[string]string{"a": "2"}, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	s, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	rev := r.Commit("main", "one", gitserver.File("a", "1"))
	f.fetch(branch("main"))
	for range 2 { // the second finds nothing
		if err := f.store().Discard(); err != nil {
			t.Fatal(err)
		}
		if _, ok := f.store().Has(hash(rev)); ok {
			t.Error("the store still has the commit")
		}
	}
	s.Counter.Reset()
	if diff := cmp.Diff(map[string]string{"a": "1"}, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if got := s.Counter.Counts(); got.UploadPacks != 1 {
		t.Errorf("%+v, want the pack again", got)
	}
}

// TestManyAtOnce: several objects of the API follow one repository.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		const branches, rounds = 6, 3
		var all errgroup.Group
		for i := range branches {
			name := fmt.Sprint("team-", i)
			for round := range rounds {
				r.Commit(name, "next", gitserver.File("shared", noise(1, 5000)), gitserver.File("own", fmt.Sprint(i, round)))
				r.Tag(fmt.Sprint(name, "-", round), r.Head(name))
			}
		}
		ctx := soon(t)
		for i := range branches {
			all.Go(func() error {
				for round := range rounds {
					conn, err := f.client.Dial(ctx, f.remote)
					if err != nil {
						return err
					}
					targets, err := git.Reference{Tag: fmt.Sprint("team-", i, "-", round)}.Resolve(conn.Refs)
					if err != nil {
						return err
					}
					snapshot, err := f.stores.For(f.remote).Fetch(ctx, conn, targets[0])
					if err != nil {
						return err
					}
					got, err := read(snapshot)
					if err != nil {
						return err
					}
					want := map[string]string{"shared": noise(1, 5000), "own": fmt.Sprint(i, round)}
					if diff := cmp.Diff(want, got); diff != "" {
						return errors.New(diff)
					}
					if _, err := f.stores.Sweep(time.Now().Add(-time.Hour)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestStoresAreLetGo: some credentials live for an hour, and so does what is kept of
// their stores.
func TestStoresAreLetGo(t *testing.T) {
	t.Parallel()
	stores, err := git.OpenStores(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	token := func(i int) *git.Remote {
		return remoteAt(t, "https://example.com/fleet", creds.Git{BearerToken: creds.Hide(fmt.Sprint("token-", i))})
	}
	held := stores.For(token(0))
	for i := range 100 {
		stores.For(token(i))
	}
	for range 2 {
		runtime.GC()
		if _, err := stores.Sweep(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if n := stores.Open(); n > 10 {
		t.Errorf("%d stores are held, want that which is used and a few", n)
	}
	if stores.For(token(0)) != held {
		t.Error("a store that is used is there twice, with two locks")
	}
}

func TestOpenStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := git.OpenStores(filepath.Join(dir, "a", "b")); err != nil {
		t.Errorf("a folder that is not there yet: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := git.OpenStores(file); err == nil {
		t.Error("a file is taken for a folder")
	}
}
