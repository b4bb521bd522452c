package source

import (
	"strings"
	"testing"
)

func TestIgnored(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	tests := map[string]struct {
		why    string
		files  map[string]string // by folder
		ignore *string
		left   []string // left out; a folder ends with a slash
		kept   []string
	}{
		"defaults": {
			left: []string{
				".git/", ".git/config", ".gitignore", "sub/.gitmodules", ".gitattributes", "a.jpg", "sub/a.zip", "a.tar.gz",
				".github/", ".github/x", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "sub/.goreleaser.yml", ".sops.yaml", "sub/.flux.yaml",
			},
			kept: []string{"a.yaml", "sub/", "a.tgz", "github/x", ".sourceignore"},
		},
		"any pattern": {
			why: "replaces the defaults, but for what Git itself has", ignore: text("*.md"),
			left: []string{".git/", ".gitignore", "sub/.gitmodules", "README.md"},
			kept: []string{"a.jpg", ".github/x", ".sops.yaml"},
		},
		"an empty list": {
			why: "has no pattern", ignore: text(""), files: map[string]string{"": "# none\n\n"},
			left: []string{"a.jpg"}, kept: []string{"a.yaml"},
		},
		"a pattern in some folder": {
			why: "replaces the defaults everywhere", files: map[string]string{"sub/": "x"},
			left: []string{"sub/x"}, kept: []string{"x", "a.jpg"},
		},
		"anchored": {
			why: "a slash binds a pattern to its folder", files: map[string]string{"sub/": "/x\ny/z"},
			left: []string{"sub/x", "sub/y/z"}, kept: []string{"x", "sub/a/x", "sub/a/y/z"},
		},
		"folders only": {files: map[string]string{"": "build/"}, left: []string{"build/", "build/a", "sub/build/a"}, kept: []string{"build", "sub/build"}},
		"deeper over higher": {
			why:   "whatever comes first in the alphabet",
			files: map[string]string{"": "*.txt", "+/": "!a.txt", "+/+/": "a.txt", "z/": "!a.txt"},
			left:  []string{"a.txt", "+/b.txt", "+/+/a.txt", "y/a.txt"}, kept: []string{"+/a.txt", "z/a.txt"},
		},
		"spec over files": {
			files: map[string]string{"": "!a.txt", "sub/": "!a.txt"}, ignore: text("a.txt"),
			left: []string{"a.txt", "sub/a.txt"},
		},
		"any depth": {ignore: text("**/test/**"), left: []string{"a/test/b", "test/a/b"}, kept: []string{"a/tests/b"}},
		"what is spared": {
			why: "a file below a folder that is left out can be kept", ignore: text("/*\n!/deploy/**"),
			left: []string{"a", "src/a"}, kept: []string{"deploy/a", "deploy/b/c"},
		},
	}
	for name, tc := range tests {
		var files []IgnoreFile
		for folder, content := range tc.files {
			files = append(files, IgnoreFile{Folder: folder, Content: []byte(content)})
		}
		m := Ignored(files, tc.ignore)
		check := func(paths []string, want bool) {
			for _, path := range paths {
				bare, dir := strings.CutSuffix(path, "/")
				if got := m.Match(strings.Split(bare, "/"), dir); got != want {
					t.Errorf("%s: %q is left out: %t; want %t (%s)", name, path, got, want, tc.why)
				}
			}
		}
		check(tc.left, true)
		check(tc.kept, false)
	}
}
