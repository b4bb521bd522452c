package depcheck_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/depcheck"
)

// module writes a module whose packages import each other: main to a to b to
// strings. Its tests import more.
func module(t *testing.T) *depcheck.Graph {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":          "module example.com/m\n\ngo 1.26\n",
		"main.go":         "package main\n\nimport _ \"example.com/m/a\"\n\nfunc main() {}\n",
		"a/a.go":          "package a\n\nimport _ \"example.com/m/a/b\"\n",
		"a/a_test.go":     "package a\n\nimport _ \"net/http\"\n",
		"a/b/b.go":        "package b\n\nimport _ \"strings\"\n",
		"ab/ab.go":        "package ab\n",
		"tests/a_test.go": "package tests\n\nimport _ \"net/http\"\n",
		"a/testdata/t.go": "package t\n\nimport _ \"net/http\"\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return depcheck.Module(t, dir)
}

func TestPackages(t *testing.T) {
	t.Parallel()
	got := module(t).Packages()
	slices.Sort(got)
	if diff := cmp.Diff([]string{"example.com/m", "example.com/m/a", "example.com/m/a/b", "example.com/m/ab"}, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	g := module(t)
	const m = "example.com/m"
	tests := map[string]struct {
		why  string
		rule depcheck.Rule
		want []string
	}{
		"a direct import": {
			why: "the plain case", rule: depcheck.Rule{Of: []string{m + "/a/b"}, Not: []string{"strings"}},
			want: []string{m + "/a/b imports strings"},
		},
		"an import by others": {
			why: "what is linked counts, and the reader must find it", rule: depcheck.Rule{Of: []string{m}, Not: []string{"strings"}},
			want: []string{m + " imports " + m + "/a imports " + m + "/a/b imports strings"},
		},
		"all of the module": {
			why: "the shortest rule", rule: depcheck.Rule{Not: []string{m + "/a/b"}},
			want: []string{m + " imports " + m + "/a imports " + m + "/a/b", m + "/a imports " + m + "/a/b"},
		},
		"all below a folder": {
			why: "but not what only begins alike", rule: depcheck.Rule{Of: []string{m + "/a/..."}, Not: []string{"strings"}},
			want: []string{m + "/a imports " + m + "/a/b imports strings", m + "/a/b imports strings"},
		},
		"the folder alone": {
			why: "no dots, nothing below", rule: depcheck.Rule{Of: []string{m}, Not: []string{m + "/a"}, But: nil},
			want: []string{m + " imports " + m + "/a"},
		},
		"an exception":        {why: "a package may link its own", rule: depcheck.Rule{Of: []string{m}, Not: []string{m + "/..."}, But: []string{m + "/a/..."}}},
		"what tests import":   {why: "tests may link what they like", rule: depcheck.Rule{Not: []string{"net/http/..."}}},
		"a package of no one": {why: "a rule must not outlive a rename in silence", rule: depcheck.Rule{Of: []string{m + "/gone"}, Not: []string{"strings"}}, want: []string{"the module has no package " + m + "/gone"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.Broken(tc.rule)
			slices.Sort(got)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("broken (-want +got):\n%s(%s)", diff, tc.why)
			}
		})
	}
}
