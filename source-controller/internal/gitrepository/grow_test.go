package gitrepository

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"

	sourcev1 "weir.dev/api/source/v1"
)

func TestGrowing(t *testing.T) {
	t.Parallel()
	in := func(name, from, to string) sourcev1.GitRepositoryInclude {
		return sourcev1.GitRepositoryInclude{Repository: meta.LocalObjectReference{Name: name}, FromPath: from, ToPath: to}
	}
	type includes = map[string][]sourcev1.GitRepositoryInclude
	tests := map[string]struct {
		why  string
		all  includes // of "a" the growth is asked
		want string
	}{
		"one that includes nothing":   {why: "most do"},
		"one that includes another":   {why: "nothing comes back", all: includes{"a": {in("b", "", "")}}},
		"one that is missing":         {why: "it brings nothing", all: includes{"a": {in("b", "", "")}, "b": {in("c", "", "")}}},
		"two ways to the same":        {why: "it comes twice, and no more", all: includes{"a": {in("b", "", ""), in("c", "", "")}, "b": {in("d", "", "")}, "c": {in("d", "", "")}}},
		"itself":                      {why: "a/a/a/...", all: includes{"a": {in("a", "", "")}}, want: "a a"},
		"itself over itself":          {why: "it is the same again", all: includes{"a": {in("a", "", ".")}}},
		"a folder beside itself":      {why: "nothing is copied from there", all: includes{"a": {in("a", "x", "y")}}},
		"a folder into itself":        {why: "x/x/x/...", all: includes{"a": {in("a", "x", "x/x")}}, want: "a a"},
		"a folder up":                 {why: "it comes to an end", all: includes{"a": {in("a", "x", ".")}}},
		"each other":                  {why: "a/b/a/b/...", all: includes{"a": {in("b", "", "")}, "b": {in("a", "", "")}}, want: "a b a"},
		"each other's own files":      {why: "what comes in is beside what goes out", all: includes{"a": {in("b", "own", "")}, "b": {in("a", "own", "")}}},
		"what the other got":          {why: "a/b/a/b/...", all: includes{"a": {in("b", "x", "y")}, "b": {in("a", ".", "x/z")}}, want: "a b a"},
		"what the other got, stopped": {why: "only a part of it comes back, and goes nowhere", all: includes{"a": {in("b", "x", "y")}, "b": {in("a", "own", "x/z")}}},
		"in a round":                  {why: "it takes three runs", all: includes{"a": {in("b", "", "")}, "b": {in("c", "", "")}, "c": {in("a", "", "")}}, want: "a b c a"},
		"others that include each other": {
			why: "they stop, and what they have can be had", all: includes{"a": {in("b", "", "")}, "b": {in("c", "", "")}, "c": {in("b", "", "")}},
		},
		"another that includes itself": {why: "it stops, and what it has can be had", all: includes{"a": {in("b", "", "")}, "b": {in("b", "", "")}}},
		"over a way without growth": {
			why: "there is one with growth, too",
			all: includes{"a": {in("c", "", "."), in("b", "", "")}, "b": {in("c", "", ".")}, "c": {in("a", "", ".")}}, want: "a b c a",
		},
	}
	for name, tc := range tests {
		got := strings.Join(growing("a", func(name string) []sourcev1.GitRepositoryInclude { return tc.all[name] }), " ")
		if got != tc.want {
			t.Errorf("%s: it grows by the way %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

// However much is included, the search ends.
func TestGrowingEnds(t *testing.T) {
	t.Parallel()
	asked := 0
	growing("r0", func(string) []sourcev1.GitRepositoryInclude {
		asked++
		var all []sourcev1.GitRepositoryInclude
		for i := range 30 {
			all = append(all, sourcev1.GitRepositoryInclude{
				Repository: meta.LocalObjectReference{Name: fmt.Sprintf("r%d", i)}, FromPath: "x", ToPath: ".",
			})
		}
		return all
	})
	if asked > maxPlaces {
		t.Errorf("%d places were looked at; want no more than %d", asked, maxPlaces)
	}
}
