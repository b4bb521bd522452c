package git_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

// TestManyFetches: each fetch leaves a pack, so that a store is compacted from time to
// time, under the eyes of who reads it. The remote has nothing to do with that.
func TestManyFetches(t *testing.T) {
	t.Parallel()
	s, r, f := serve(t, needs(t, gitserver.GitCommand)) // GoGit sends history
	const (
		fetches  = 50
		each     = 4                        // commits
		packs    = 16                       // after which it is compacted
		mostSent = fetches * 3000           // bytes; the big file alone has more than half of that
		mostKept = 2*200_000 + fetches*4000 // bytes of two generations
	)
	f.stores.LimitPacks(packs)
	big := noise(1, 200_000)
	r.Commit("main", "first", gitserver.File("kept/big", big), gitserver.File("kept/old", "the same"))
	early := f.fetch(branch("main"))
	s.Counter.Reset()
	var late *git.Snapshot
	for i := range fetches {
		for range each {
			r.Commit("main", "next", gitserver.File("a", fmt.Sprint(i)), gitserver.File(fmt.Sprint("new/", i%7), fmt.Sprint(i)))
		}
		snapshot := f.fetch(branch("main"))
		switch i {
		case packs - 2:
			late = snapshot
		case packs + 2: // The store was compacted in between.
			if got := content(t, late); got["a"] != fmt.Sprint(packs-2) || got["kept/big"] != big {
				t.Errorf("what is being read has %q", got["a"])
			}
			if got := content(t, early)["kept/old"]; got != "the same" {
				t.Errorf("what is being read has %q", got)
			}
		}
		if n := len(f.packs()); n > 2*packs+2 {
			t.Fatalf("%d packs after %d fetches, want no more than those of two generations", n, i+1)
		}
	}
	if got := s.Counter.Counts(); got.UploadPacks != fetches || got.Bytes > mostSent {
		t.Errorf("%+v, want a pack for each fetch, and no more than %d bytes", got, mostSent)
	}
	if got := f.size(); got > mostKept {
		t.Errorf("%d bytes on disk, want no more than %d", got, mostKept)
	}
	want := map[string]string{"kept": "/", "kept/big": big, "kept/old": "the same", "a": fmt.Sprint(fetches - 1), "new": "/"}
	for i := fetches - 7; i < fetches; i++ {
		want[fmt.Sprint("new/", i%7)] = fmt.Sprint(i)
	}
	if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	// A process that starts has no readers, and clears away what was for them.
	f.restart()
	r.Commit("main", "last", gitserver.File("a", "last"))
	f.fetch(branch("main"))
	if got := len(f.packs()); got > packs {
		t.Errorf("%d packs after the restart, want those of one generation", got)
	}
}

// size returns the bytes that the files on disk have. What has several names is one file.
func (f *follower) size() int64 {
	f.t.Helper()
	var total int64
	seen := make(map[string]bool)
	for _, path := range f.onDisk(func(string) bool { return true }) {
		info, err := os.Stat(path)
		if err != nil {
			f.t.Fatal(err)
		}
		if name := fmt.Sprint(info.Name(), info.Size()); !seen[name] || !strings.HasSuffix(name, ".pack") {
			total += info.Size()
			seen[name] = true
		}
	}
	return total
}

// TestCompactedHistory: what a store is told of afterwards may build on any commit that
// it has, go back to one that it forgot, or have nothing to do with it.
func TestCompactedHistory(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, needs(t, gitserver.GitCommand)) // GoGit sends history
	f.stores.LimitPacks(10)
	first := r.Commit("main", "first", gitserver.File("big", noise(1, 20_000)), gitserver.File("gone", noise(2, 5000)))
	release := r.Commit("release", "other", gitserver.File("r", noise(3, 5000)))
	f.fetch(branch("release"))
	f.fetch(branch("main"))
	r.Commit("main", "less", gitserver.Delete("gone"))
	for i := range 14 {
		r.Commit("main", "next", gitserver.File("a", fmt.Sprint(i)))
		f.fetch(branch("main"))
	}
	if n := f.generations(); n != 2 {
		t.Fatalf("%d generations, want 2: the store was to be compacted", n)
	}
	if _, ok := f.store().Has(hash(first)); ok {
		t.Error("the store has every commit, which a remote has to be told of each time")
	}
	check := func(what string, ref git.Reference, want map[string]string) {
		t.Helper()
		got := content(t, f.fetch(ref))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: content (-want +got):\n%s", what, diff)
		}
	}
	r.Commit("main", "back", gitserver.File("gone", noise(2, 5000)))
	check("a file that came back", branch("main"), map[string]string{"big": noise(1, 20_000), "gone": noise(2, 5000), "a": "13"})
	r.Reset("main", first)
	check("a commit that was forgotten", branch("main"), map[string]string{"big": noise(1, 20_000), "gone": noise(2, 5000)})
	check("another branch", branch("release"), map[string]string{"r": noise(3, 5000)})
	r.Reset("main", release)
	r.Commit("main", "on release", gitserver.File("r2", "2"))
	check("a branch of the other", branch("main"), map[string]string{"r": noise(3, 5000), "r2": "2"})
	if marked := f.onDisk(func(name string) bool { return name == "damaged" }); len(marked) > 0 {
		t.Errorf("%v: something was missing", marked)
	}
}

// TestNothingToCompact: what cannot be compacted is begun anew.
func TestNothingToCompact(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	f.stores.LimitPacks(10)
	for i := range 10 {
		r.Commit("main", "next", gitserver.File("a", noise(i+1, 2000)))
		f.fetch(branch("main"))
	}
	for _, pack := range f.packs()[:5] {
		overwrite(t, pack)
	}
	r.Commit("main", "last", gitserver.File("a", "last"))
	if diff := cmp.Diff(map[string]string{"a": "last"}, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if left := f.onDisk(func(name string) bool { return name == "unfinished" || strings.HasPrefix(name, "tmp_") }); len(left) > 0 {
		t.Errorf("left on disk: %v", left)
	}
}

// generations returns how many there are of the store, ever.
func (f *follower) generations() int {
	f.t.Helper()
	entries, err := os.ReadDir(filepath.Join(f.dir, f.remote.Key()))
	if err != nil {
		f.t.Fatal(err)
	}
	newest := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}
