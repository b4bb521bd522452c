package show_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/cli/internal/show"
)

func table() show.Table {
	return show.Table{
		Columns: []show.Column{{Name: "Name"}, {Name: "Ready"}, {Name: "Message"}, {Name: "URL", Wide: true}},
		Rows: [][]string{
			{"apps", "True", "applied", "a"},
			{"infrastructure", "False", "failed\nbecause", "b"},
			{"é", "Unknown", "", "c"},
		},
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		options show.Options
		want    string
	}{
		"plain": {why: "lines have no spaces at their ends", want: "NAME             READY     MESSAGE\napps             True      applied\ninfrastructure   False     failed...\né                Unknown\n"},
		"scripts": {
			why: "scripts want no header", options: show.Options{NoHeader: true},
			want: "apps             True      applied\ninfrastructure   False     failed...\né                Unknown\n",
		},
		"coloured": {
			why: "the word is coloured, not the spaces", options: show.Options{Colour: true},
			want: "NAME             READY     MESSAGE\napps             \x1b[32mTrue\x1b[0m      applied\ninfrastructure   \x1b[31mFalse\x1b[0m     failed...\né                \x1b[33mUnknown\x1b[0m\n",
		},
		"coloured scripts": {
			why: "a state is found without a header, too", options: show.Options{Colour: true, NoHeader: true},
			want: "apps             \x1b[32mTrue\x1b[0m      applied\ninfrastructure   \x1b[31mFalse\x1b[0m     failed...\né                \x1b[33mUnknown\x1b[0m\n",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := table().Print(&out, tc.options); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("%s (%s)", diff, tc.why)
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		in, want string
	}{
		"one line":       {in: "  applied, it is  ", want: "  applied, it is  "},
		"several":        {in: "first\nsecond\r\nthird", want: "first; second; third"},
		"empty lines":    {why: "there is nothing between them", in: "\nfirst\n\n  second\n", want: "first; second"},
		"a list":         {why: "the colon says that something follows", in: "2 failed:\n  first,\n  second;\nagain", want: "2 failed: first, second; again"},
		"nothing at all": {in: "\n \n", want: ""},
	}
	for name, tc := range tests {
		if got := show.OneLine(tc.in); got != tc.want {
			t.Errorf("%s: OneLine(%q) = %q, want %q (%s)", name, tc.in, got, tc.want, tc.why)
		}
	}
}

func TestStreamKeepsItsColumns(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := show.NewStream(&out, table().Columns[:2], show.Options{})
	for _, row := range [][]string{{"infrastructure", "True"}, {"apps", "False"}} {
		if err := s.Print([][]string{row}); err != nil {
			t.Fatal(err)
		}
	}
	want := "NAME             READY\ninfrastructure   True\napps             False\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	one := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": map[string]any{"name": "apps"}}}
	tests := map[string]struct {
		format string
		single bool
		want   string
	}{
		"name":   {format: show.Name, want: "kustomization.kustomize.toolkit.fluxcd.io/apps\n"},
		"single": {format: show.YAML, single: true, want: "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: apps\n"},
		"list":   {format: show.YAML, want: "apiVersion: v1\nitems:\n- apiVersion: kustomize.toolkit.fluxcd.io/v1\n  kind: Kustomization\n  metadata:\n    name: apps\nkind: List\nmetadata: {}\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := show.Objects(&out, tc.format, []*unstructured.Unstructured{one}, tc.single); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if err := show.CheckFormat("xml"); err == nil {
		t.Error("a format that there is not is accepted")
	}
}
