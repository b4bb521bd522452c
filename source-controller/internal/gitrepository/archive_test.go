package gitrepository_test

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// archived is a tree, and what of it is published.
type archived struct {
	why     string
	changes []gitserver.Change
	ignore  *string
	want    map[string]fs.FileMode
}

func trees() map[string]archived {
	const (
		dir        = fs.ModeDir | 0o750
		file       = fs.FileMode(0o600)
		executable = fs.FileMode(0o700)
	)
	someFiles := []gitserver.Change{
		gitserver.File("app.yaml", "x"), gitserver.File("logo.png", "x"), gitserver.File(".github/ci.yaml", "x"),
		gitserver.File(".gitignore", "x"), gitserver.File("sub/.sops.yaml", "x"), gitserver.File("sub/.gitattributes", "x"),
	}
	text := func(s string) *string { return &s }
	return map[string]archived{
		"modes": {
			why: "there are two for files, and links are left out",
			changes: []gitserver.Change{
				gitserver.File("a/b/plain", "x"), gitserver.Executable("a/run", "x"), gitserver.Symlink("a/link", "run"), gitserver.Symlink("out", "/etc"),
				gitserver.Submodule("module", "0123456789abcdef0123456789abcdef01234567"),
			},
			want: map[string]fs.FileMode{"a": dir, "a/b": dir, "a/b/plain": file, "a/run": executable, "module": dir},
		},
		"defaults": {
			why: "nothing says what to leave out", changes: someFiles,
			want: map[string]fs.FileMode{"app.yaml": file, "sub": dir},
		},
		"no-pattern": {
			why: "comments are no patterns", changes: someFiles, ignore: text("# nothing\n\n"),
			want: map[string]fs.FileMode{"app.yaml": file, "sub": dir},
		},
		"spec-ignore": {
			why: "any pattern replaces the defaults, but for what Git itself has", changes: someFiles, ignore: text("/app.yaml"),
			want: map[string]fs.FileMode{"logo.png": file, ".github": dir, ".github/ci.yaml": file, "sub": dir, "sub/.sops.yaml": file},
		},
		"source-ignore": {
			why: "so does a pattern in a file, which is published itself", changes: append(someFiles, gitserver.File("sub/.sourceignore", "none")),
			want: map[string]fs.FileMode{
				"app.yaml": file, "logo.png": file, ".github": dir, ".github/ci.yaml": file,
				"sub": dir, "sub/.sops.yaml": file, "sub/.sourceignore": file,
			},
		},
		"git-files": {
			why: "a pattern may bring them back", changes: someFiles, ignore: text("/*\n!.gitignore"),
			want: map[string]fs.FileMode{".gitignore": file},
		},
		"folders": {
			why: "a file counts below its own folder, over those above it, wherever its name stands in the alphabet",
			changes: []gitserver.Change{
				gitserver.File(".sourceignore", "*.txt\n"), gitserver.File("a.txt", "x"),
				gitserver.File(".a/.sourceignore", "!keep.txt\n"), gitserver.File(".a/keep.txt", "x"), gitserver.File(".a/drop.txt", "x"),
				gitserver.File("z/.sourceignore", "!keep.txt\n"), gitserver.File("z/keep.txt", "x"),
				gitserver.File("y/keep.txt", "x"), gitserver.File("y/keep", "x"),
			},
			want: map[string]fs.FileMode{
				".sourceignore": file, ".a": dir, ".a/.sourceignore": file, ".a/keep.txt": file,
				"z": dir, "z/.sourceignore": file, "z/keep.txt": file, "y": dir, "y/keep": file,
			},
		},
		"spec-over-file": {
			why: "the spec has the last word",
			changes: []gitserver.Change{
				gitserver.File(".sourceignore", "*.txt\n!b.txt\n"), gitserver.File("a.txt", "x"), gitserver.File("b.txt", "x"), gitserver.File("c.txt", "x"),
			},
			ignore: text("!a.txt\nb.txt"),
			want:   map[string]fs.FileMode{".sourceignore": file, "a.txt": file},
		},
		"back-again": {
			why: "what is below a folder that is left out can be kept, which Git cannot", ignore: text("/docs/\n!/docs/api/*.yaml"),
			changes: []gitserver.Change{gitserver.File("docs/api/a.yaml", "x"), gitserver.File("docs/readme", "x"), gitserver.File("b", "x")},
			want:    map[string]fs.FileMode{"b": file, "docs": dir, "docs/api": dir, "docs/api/a.yaml": file},
		},
		"empty-folder": {
			why: "a folder stays when all of its files are left out", ignore: text("*.md"),
			changes: []gitserver.Change{gitserver.File("docs/a.md", "x"), gitserver.File("b", "x")},
			want:    map[string]fs.FileMode{"docs": dir, "b": file},
		},
		"nothing": {
			why: "an empty artifact is one", ignore: text("*"), changes: []gitserver.Change{gitserver.File("b", "x")},
			want: map[string]fs.FileMode{},
		},
	}
}

// TestArchiveContent publishes trees with files that are to be left out.
func TestArchiveContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := trees()
	repos, revisions := make(map[string]*sourcev1.GitRepository), make(map[string]string)
	for name, tc := range tests {
		revisions[name] = "main@sha1:" + w.git.Repo(name).Commit("main", name, tc.changes...)
		repos[name] = w.source(name, func(s *sourcev1.GitRepositorySpec) { s.URL, s.Ignore = w.git.URL(name), tc.ignore })
	}
	for name, tc := range tests {
		w.WaitPublished(repos[name], revisions[name])
		got := make(map[string]fs.FileMode)
		for path, e := range w.Unpack(w.Download(repos[name])) {
			if path != "." {
				got[path] = e.Mode
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: the archive has (-want +got):\n%s\n(%s)", name, diff, tc.why)
		}
		if diff := cmp.Diff(tc.ignore, repos[name].Status.ObservedIgnore); diff != "" {
			t.Errorf("%s: observedIgnore (-want +got):\n%s", name, diff)
		}
	}
}
