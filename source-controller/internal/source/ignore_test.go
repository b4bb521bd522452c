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

// FuzzIgnored: whatever the rules are, what says nothing changes nothing, and what Git
// keeps stays out unless a rule brings something back.
func FuzzIgnored(f *testing.F) {
	for _, rules := range []string{"", "*.md", "/*\n!/deploy/**", "**/test/**", "a/\n!a/b", "\\#x\n \n", "[", "[a-", "*" + strings.Repeat("/*", 50), "!", "!!x", "a\r\nb", "\xff\xfe", "**", "a/**/b\\ "} {
		f.Add(rules, "a/b/c.md")
		f.Add(rules, ".git/config")
	}
	f.Fuzz(func(t *testing.T, rules, path string) {
		if len(rules) > 1<<12 || len(path) > 1<<10 || path == "" {
			return // no more is learnt
		}
		parts := strings.Split(path, "/")
		m := Ignored([]IgnoreFile{{Content: []byte(rules)}}, nil)
		ignored := m.Match(parts, false)
		if again := Ignored([]IgnoreFile{{Content: []byte(rules + "\n# nothing\n\n")}}, nil).Match(parts, false); again != ignored {
			t.Errorf("%q is ignored: %t; with a comment after %q: %t", path, ignored, rules, again)
		}
		if !strings.Contains(rules, "!") && !m.Match([]string{".git", "config"}, false) {
			t.Errorf("%q publishes what Git keeps", rules)
		}
	})
}
