package dependency

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestCycleFrom(t *testing.T) {
	t.Parallel()
	name := func(n string) types.NamespacedName { return types.NamespacedName{Namespace: "x", Name: n} }
	tests := map[string]struct {
		why   string
		edges map[string][]string
		want  []string
	}{
		"itself":            {edges: map[string][]string{"a": {"a"}}, want: []string{"a", "a"}},
		"two":               {edges: map[string][]string{"a": {"b"}, "b": {"a"}}, want: []string{"a", "b", "a"}},
		"behind a dead end": {edges: map[string][]string{"a": {"d", "b"}, "d": {"e"}, "b": {"c"}, "c": {"a"}}, want: []string{"a", "b", "c", "a"}},
		"none":              {edges: map[string][]string{"a": {"b", "c"}, "b": {"c"}}},
		"one beside it":     {why: "a is not part of it", edges: map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}},
	}
	for title, tc := range tests {
		got := cycleFrom(name("a"), func(at types.NamespacedName) []types.NamespacedName {
			var next []types.NamespacedName
			for _, n := range tc.edges[at.Name] {
				next = append(next, name(n))
			}
			return next
		})
		var names []string
		for _, key := range got {
			names = append(names, key.Name)
		}
		if diff := cmp.Diff(tc.want, names); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", title, tc.why, diff)
		}
	}
}
