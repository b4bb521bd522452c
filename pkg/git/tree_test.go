package git_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

func TestEntries(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		r.Commit("main", "all kinds",
			gitserver.File("plain.txt", "plain"),
			gitserver.File("empty.txt", ""),
			gitserver.File("deep/er/file", "deep"),
			gitserver.File("name with spaces/ü.txt", "odd"),
			gitserver.File("-rf", "odd"),
			gitserver.File("a:b", "odd"),
			gitserver.File(".gitmodules", "modules"),
			gitserver.Executable("run.sh", "#!/bin/sh\n"),
			gitserver.Symlink("link", "/etc/passwd"),
			gitserver.Symlink("deep/up", "../plain.txt"),
			gitserver.Submodule("vendor/other", "1111111111111111111111111111111111111111"),
		)
		want := map[string]string{
			"plain.txt": "plain", "empty.txt": "", "deep": "/", "deep/er": "/", "deep/er/file": "deep",
			"name with spaces": "/", "name with spaces/ü.txt": "odd", "-rf": "odd", "a:b": "odd", ".gitmodules": "modules",
			"run.sh": "*#!/bin/sh\n", "vendor": "/", "vendor/other": "/",
		}
		if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
	})
}

func TestEmptyTree(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		r.Commit("main", "nothing")
		if diff := cmp.Diff(map[string]string{}, content(t, f.fetch(branch("main")))); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
	})
}

// treeEntry is an entry of a tree as git stores it.
func treeEntry(t *testing.T, mode, name, rev string) string {
	t.Helper()
	raw, err := hex.DecodeString(rev)
	if err != nil {
		t.Fatal(err)
	}
	return mode + " " + name + "\x00" + string(raw)
}

// publish makes a tree with whatever content the branch main, and returns its revision.
func publish(r *gitservertest.Repo, tree string) string {
	rev := r.WriteObject("tree", []byte(tree))
	const who = "me <me@example.com> 1704067200 +0000"
	r.SetRef("refs/heads/main", r.WriteObject("commit", []byte(fmt.Sprintf("tree %s\nauthor %s\ncommitter %s\n\ncrafted\n", rev, who, who))))
	return rev
}

// TestModes: old versions of git, and other programs, wrote modes that are none today.
func TestModes(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	blob := r.WriteObject("blob", []byte("text"))
	sub := r.WriteObject("tree", []byte(treeEntry(t, "100644", "x", blob)))
	publish(r, treeEntry(t, "100664", "a", blob)+treeEntry(t, "100775", "b", blob)+treeEntry(t, "040000", "c", sub)+treeEntry(t, "160000", "d", sub)+treeEntry(t, "120000", "e", blob))
	want := map[string]string{"a": "text", "b": "*text", "c": "/", "c/x": "text", "d": "/"}
	if diff := cmp.Diff(want, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

// TestNames: an entry has the name of a file in its folder, and no other. Where git
// itself refuses a name, so do we.
func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why string
		ok  bool
	}{
		".":                      {},
		"..":                     {why: "the way out"},
		"a/b":                    {why: "a path; git takes it for one"},
		"../a":                   {},
		"/a":                     {},
		"a/":                     {},
		".git":                   {why: "what is in there is run by git"},
		".GIT":                   {why: "the same on some file systems"},
		".git ":                  {why: "the same on some file systems"},
		".git.":                  {why: "the same on some file systems"},
		"git~1":                  {why: "the same on some file systems"},
		"GIT~1":                  {why: "the same on some file systems"},
		".git::$INDEX":           {why: "the same on some file systems"},
		`.git\config`:            {why: "a path on some systems"},
		"a":                      {ok: true},
		"...":                    {ok: true},
		" ":                      {ok: true},
		"a\nb":                   {ok: true},
		"\xff":                   {ok: true, why: "names are bytes"},
		".gitignore":             {ok: true},
		"git~2":                  {ok: true},
		"x.git":                  {ok: true},
		`a\b`:                    {ok: true},
		"a:b":                    {ok: true},
		strings.Repeat("n", 300): {ok: true, why: "whether it can be written is for others to know"},
	}
	s, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	blob := r.WriteObject("blob", []byte("text"))
	for name, tc := range tests {
		tree := publish(r, treeEntry(t, "100644", name, blob))
		got, err := f.fetch(branch("main")).Entries()
		if !tc.ok {
			silent(t, err, git.ErrBadName, fmt.Sprintf("%q", name))
			continue
		}
		if err != nil || len(got) != 1 || got[0].Path != name {
			t.Errorf("%q: %+v, %v (%s)", name, got, err, tc.why)
		}
		if _, err := s.TryGit(r.Path(), "--git-dir", r.Path(), "read-tree", tree); err != nil {
			t.Errorf("git refuses %q, and we do not", name)
		}
	}
	// A folder of that name, and a link: that one is left out is no reason.
	sub := r.WriteObject("tree", []byte(treeEntry(t, "100644", "x", blob)))
	for mode, rev := range map[string]string{"40000": sub, "120000": blob, "160000": blob} {
		publish(r, treeEntry(t, mode, "..", rev))
		if _, err := f.fetch(branch("main")).Entries(); !errors.Is(err, git.ErrBadName) {
			t.Errorf("mode %s: %v, want ErrBadName", mode, err)
		}
	}
	if marked := f.onDisk(func(name string) bool { return name == "damaged" }); len(marked) > 0 {
		t.Error("a bad name is taken for damage")
	}
}

func TestNesting(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	const most = 256
	r.Commit("main", "deep", gitserver.File(strings.Repeat("d/", most)+"file", "bottom"))
	got := content(t, f.fetch(branch("main")))
	if len(got) != most+1 || got[strings.Repeat("d/", most)+"file"] != "bottom" {
		t.Errorf("%d entries, want %d folders and a file", len(got), most)
	}
	r.Commit("main", "deeper", gitserver.File(strings.Repeat("d/", most+1)+"file", "bottom"))
	if _, err := f.fetch(branch("main")).Entries(); !errors.Is(err, git.ErrTooDeep) {
		t.Errorf("%v, want ErrTooDeep", err)
	}
}

// TestManyEntries: a tree that has one folder many times over is small until it is
// listed.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	rev, mode := r.WriteObject("blob", []byte("text")), "100644"
	for range 3 {
		var tree strings.Builder
		for i := range 10 {
			tree.WriteString(treeEntry(t, mode, fmt.Sprint("n", i), rev))
		}
		rev, mode = r.WriteObject("tree", []byte(tree.String())), "40000"
	}
	publish(r, treeEntry(t, mode, "top", rev))
	snapshot := f.fetch(branch("main"))
	const all = 1 + 10 + 100 + 1000
	got, err := snapshot.EntriesUpTo(all)
	if err != nil || len(got) != all {
		t.Errorf("%d entries, %v; want %d", len(got), err, all)
	}
	got, err = snapshot.EntriesUpTo(all - 1)
	if !errors.Is(err, git.ErrTooLarge) || len(got) != all-1 {
		t.Errorf("%d entries, %v; want ErrTooLarge after %d", len(got), err, all-1)
	}
}

// TestMissingObjects: a repository may lack what its trees name; it is fetched anew once
// at a time, and never taken for whole.
func TestMissingObjects(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	blob := r.WriteObject("blob", []byte("text"))
	publish(r, treeEntry(t, "40000", "folder", blob)) // a file, by the name of a folder
	for range 2 {
		snapshot, err := f.try(branch("main"))
		if err != nil {
			continue // the server may notice
		}
		if _, err := snapshot.Entries(); !errors.Is(err, git.ErrDamaged) {
			t.Errorf("%v, want ErrDamaged", err)
		}
	}
	publish(r, treeEntry(t, "100644", "file", blob))
	if diff := cmp.Diff(map[string]string{"file": "text"}, content(t, f.fetch(branch("main")))); diff != "" {
		t.Errorf("content afterwards (-want +got):\n%s", diff)
	}
}
