package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/manifest"
)

const shelf = `
spec:
  replicas: 2
  empty: {}
  tags: [a, b]
  containers:
  - {name: x, image: x1}
  - {name: z, image: y1}
`

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAt(t *testing.T) {
	t.Parallel()
	containers := []any{"spec", "containers"}
	tests := map[string]struct {
		path []any
		want any
		ok   bool
	}{
		"a field":               {path: []any{"spec", "replicas"}, want: 2.0, ok: true},
		"an item by its key":    {path: append(containers, fieldpath.KeyByFields("name", "z"), "image"), want: "y1", ok: true},
		"an item by its index":  {path: append(containers, 0, "image"), want: "x1", ok: true},
		"an item of a set":      {path: []any{"spec", "tags", value.NewValueInterface("b")}, want: "b", ok: true},
		"a field that is not":   {path: []any{"spec", "other"}},
		"a key that is not":     {path: append(containers, fieldpath.KeyByFields("name", "gone"))},
		"an index that is not":  {path: append(containers, 7)},
		"a value that is not":   {path: []any{"spec", "tags", value.NewValueInterface("c")}},
		"below a scalar":        {path: []any{"spec", "replicas", "x"}},
		"an item of no list":    {path: []any{"spec", fieldpath.KeyByFields("name", "x")}},
		"the object as a whole": {path: nil, want: decode(t, shelf), ok: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := manifest.At(decode(t, shelf), path(t, tc.path))
			if ok != tc.ok || tc.ok && !cmp.Equal(got, tc.want) {
				t.Errorf("At(%v) = %v, %t; want %v, %t", tc.path, got, ok, tc.want, tc.ok)
			}
		})
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		paths [][]any
		want  string
	}{
		"nothing": {why: "nothing is asked for", want: shelf},
		"a field, an item's field and an item of a set": {
			why:   "parents stay",
			paths: [][]any{{"spec", "replicas"}, {"spec", "containers", fieldpath.KeyByFields("name", "x"), "image"}, {"spec", "tags", value.NewValueInterface("a")}},
			want:  "spec: {empty: {}, tags: [b], containers: [{name: x}, {name: z, image: y1}]}",
		},
		"what is not there":          {why: "it is gone already", paths: [][]any{{"spec", "other", "x"}, {"spec", "containers", fieldpath.KeyByFields("name", "gone"), "image"}}, want: shelf},
		"two items by their indexes": {why: "the second is what it was before the first is gone", paths: [][]any{{"spec", "tags", 0}, {"spec", "tags", 1}}, want: "spec: {replicas: 2, empty: {}, tags: [], containers: [{name: x, image: x1}, {name: z, image: y1}]}"},
		"a whole item":               {why: "its key goes with it", paths: [][]any{{"spec", "containers", fieldpath.KeyByFields("name", "x")}}, want: "spec: {replicas: 2, empty: {}, tags: [a, b], containers: [{name: z, image: y1}]}"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := fieldpath.NewSet()
			for _, p := range tc.paths {
				set.Insert(path(t, p))
			}
			obj := &unstructured.Unstructured{Object: decode(t, shelf)}
			got := manifest.Without(obj, set)
			if diff := cmp.Diff(decode(t, tc.want), got.Object); diff != "" {
				t.Errorf("what is left differs (%s) (-want +got):\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(decode(t, shelf), obj.Object); diff != "" {
				t.Errorf("the object itself was changed (-want +got):\n%s", diff)
			}
		})
	}
}

func path(t *testing.T, parts []any) fieldpath.Path {
	t.Helper()
	p, err := fieldpath.MakePath(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPut(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, content, want string
		path               fieldpath.Path
	}{
		"a field":         {why: "it is replaced", content: "{a: {b: 1}}", path: fieldpath.MakePathOrDie("a", "b"), want: "{a: {b: new}}"},
		"a new field":     {why: "it is made", content: "{a: {}}", path: fieldpath.MakePathOrDie("a", "b"), want: "{a: {b: new}}"},
		"new parents":     {why: "they are made", content: "{}", path: fieldpath.MakePathOrDie("a", "b", "c"), want: "{a: {b: {c: new}}}"},
		"an item":         {why: "it is found by its key", content: "{a: [{name: x, v: 1}, {name: z, v: 1}]}", path: fieldpath.MakePathOrDie("a", fieldpath.KeyByFields("name", "z"), "v"), want: "{a: [{name: x, v: 1}, {name: z, v: new}]}"},
		"an item's index": {why: "it is found by that", content: "{a: [1, 2]}", path: fieldpath.MakePathOrDie("a", 1), want: "{a: [1, new]}"},
		"no such item":    {why: "nobody knows what else it has", content: "{a: [{name: x}]}", path: fieldpath.MakePathOrDie("a", fieldpath.KeyByFields("name", "z"), "v"), want: "{a: [{name: x}]}"},
		"below a value":   {why: "the value is in the way", content: "{a: 1}", path: fieldpath.MakePathOrDie("a", "b"), want: "{a: 1}"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(parsed(t, tc.want), manifest.Put(parsed(t, tc.content), tc.path, "new")); diff != "" {
				t.Errorf("content differs (%s) (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestStepTo(t *testing.T) {
	t.Parallel()
	list := []any{map[string]any{"name": "x"}, map[string]any{"name": "z"}, "v"}
	guide := fieldpath.NewSet(fieldpath.MakePathOrDie(fieldpath.KeyByFields("name", "x")), fieldpath.MakePathOrDie(fieldpath.KeyByFields("name", "z"), "image"), fieldpath.MakePathOrDie(value.NewValueInterface("v")))
	for i, want := range []string{`[name="x"]`, `[name="z"]`, `[="v"]`} {
		if got := manifest.StepTo(list, i, guide).String(); got != want {
			t.Errorf("item %d is %s, want %s", i, got, want)
		}
	}
	if got := manifest.StepTo(list, 1, fieldpath.NewSet()).String(); got != "[1]" {
		t.Errorf("an item that nobody owns is %s, want [1]", got)
	}
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	var out any
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
