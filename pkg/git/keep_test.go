package git_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

// keep tells the store of a draft that was pushed.
func (f *follower) keep(d *git.Draft) {
	f.t.Helper()
	if err := f.store().Keep(d); err != nil {
		f.t.Fatal(err)
	}
}

// TestKeep: what was pushed from here need not be fetched, and is as good as if it was.
func TestKeep(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := takesPushes(t, opts)
		big := noise(1, 50_000)
		r.Commit("main", "zero", gitserver.File("a", "0"), gitserver.File("big", big))
		r.Commit("main", "one", gitserver.File("a", "1"))
		d := draft(t, f.fetch(branch("main")), edit("a", "2"), edit("new/b", "1"))
		f.mustPush("main", d)
		f.keep(d)
		f.keep(d) // changes nothing
		s.Counter.Reset()
		want := map[string]string{"a": "2", "big": big, "new": "/", "new/b": "1"}
		if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		if got := s.Counter.Counts(); got.UploadPacks != 0 {
			t.Errorf("%+v, want no pack for what was pushed from here", got)
		}
		// A person goes on from there, and then we do.
		r.Commit("main", "a person", gitserver.File("c", "1"))
		s.Counter.Reset()
		next := draft(t, f.fetch(branch("main")), edit("a", "3"))
		if got := s.Counter.Counts(); got.UploadPacks != 1 || got.Bytes > 5000 {
			t.Errorf("%+v for one file on top of what is kept, want few bytes", got)
		}
		f.mustPush("main", next)
		f.restart()
		f.keep(next)
		want["a"], want["c"] = "3", "1"
		if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		r.Git("fsck", "--strict", "main")
		for _, pack := range f.packs() {
			if out, err := s.TryGit(t.TempDir(), "verify-pack", pack); err != nil {
				t.Errorf("%s: %v\n%s", pack, err, out)
			}
		}
	})
}

// TestKeepWithoutTheParent: a store that was begun anew does without.
func TestKeepWithoutTheParent(t *testing.T) {
	t.Parallel()
	s, r, f := takesPushes(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	d := draft(t, f.fetch(branch("main")), edit("a", "2"))
	f.mustPush("main", d)
	if err := f.store().Discard(); err != nil {
		t.Fatal(err)
	}
	f.keep(d)
	if _, ok := f.store().Has(d.Hash); ok {
		t.Error("the store has a commit without its files")
	}
	s.Counter.Reset()
	if diff := cmp.Diff(map[string]string{"a": "2"}, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if got := s.Counter.Counts(); got.UploadPacks != 1 {
		t.Errorf("%+v, want one pack", got)
	}
}

// TestManyKept: a store that is told of its own commits for years is compacted like one
// that fetches them.
func TestManyKept(t *testing.T) {
	t.Parallel()
	s, r, f := takesPushes(t, needs(t, gitserver.GitCommand))
	const packs, rounds = 10, 25
	f.stores.LimitPacks(packs)
	big := noise(1, 100_000)
	r.Commit("main", "zero", gitserver.File("big", big))
	r.Commit("main", "one", gitserver.File("a", "0"))
	f.fetch(branch("main"))
	s.Counter.Reset()
	for i := range rounds {
		d := draft(t, f.fetch(branch("main")), edit("a", fmt.Sprint("round ", i)))
		f.mustPush("main", d)
		f.keep(d)
	}
	if got := s.Counter.Counts(); got.UploadPacks != 0 || got.ReceivePacks != rounds {
		t.Errorf("%+v, want no pack to be fetched", got)
	}
	if n := f.generations(); n < 2 {
		t.Errorf("%d generations, want the store to be compacted", n)
	}
	r.Commit("main", "a person", gitserver.File("b", "1"))
	s.Counter.Reset()
	want := map[string]string{"big": big, "a": fmt.Sprint("round ", rounds-1), "b": "1"}
	if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if got := s.Counter.Counts(); got.Bytes > 5000 {
		t.Errorf("%+v for one file, want few bytes", got)
	}
	if marked := f.onDisk(func(name string) bool { return name == "damaged" }); len(marked) > 0 {
		t.Errorf("%v: something was missing", marked)
	}
}
