package values_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"weir.dev/helm-controller/internal/values"
)

type (
	obj  = map[string]any
	list = []any
)

// objects has what ConfigMaps and Secrets have, by "Kind/name", and counts the reads.
type objects struct {
	data  map[string]map[string]string
	err   error // of every read
	reads int
}

func (o *objects) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	o.reads++
	if o.err != nil {
		return o.err
	}
	if key.Namespace != "apps" {
		return fmt.Errorf("read in namespace %q", key.Namespace)
	}
	switch into := into.(type) {
	case *corev1.ConfigMap:
		into.Data = o.data["ConfigMap/"+key.Name]
		if into.Data == nil {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, key.Name)
		}
	case *corev1.Secret:
		found := o.data["Secret/"+key.Name]
		if found == nil {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
		}
		into.Data = make(map[string][]byte)
		for name, value := range found {
			into.Data[name] = []byte(value)
		}
	}
	return nil
}

// inline returns values as the spec has them, written as YAML.
func inline(t *testing.T, document string) *apiextensionsv1.JSON {
	t.Helper()
	if document == "" {
		return nil
	}
	raw, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return &apiextensionsv1.JSON{Raw: raw}
}

// compose puts together values from objects that are written as "Kind/name" and keys.
func compose(t *testing.T, document string, data map[string]map[string]string, refs ...meta.ValuesReference) (map[string]any, error) {
	t.Helper()
	return values.Compose(t.Context(), values.Spec{Namespace: "apps", From: refs, Inline: inline(t, document)}, &objects{data: data})
}

func configMap(name string) meta.ValuesReference {
	return meta.ValuesReference{Kind: "ConfigMap", Name: name}
}

// at is an entry of one value of the ConfigMap "one" for a path.
func at(key, path string) meta.ValuesReference {
	return meta.ValuesReference{Kind: "ConfigMap", Name: "one", ValuesKey: key, TargetPath: path}
}

func TestComposeMerges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		data   map[string]string // of values.yaml of ConfigMaps, by name
		from   []string
		inline string
		want   obj
	}{
		"nothing": {why: "a chart has its own values", want: obj{}},
		"inline values": {
			inline: `{a: 1, b: {c: "1", d: [1, 2.5, null, true]}}`,
			want:   obj{"a": 1.0, "b": obj{"c": "1", "d": list{1.0, 2.5, nil, true}}},
		},
		"inline values that are null": {inline: "null", want: obj{}},
		"an empty document":           {data: map[string]string{"x": ""}, from: []string{"x"}, want: obj{}},
		"a document that is null":     {data: map[string]string{"x": "null"}, from: []string{"x"}, want: obj{}},
		"the first of some documents": {
			why:  "as the helm command reads a file of values",
			data: map[string]string{"x": "a: 1\n---\na: 2\n"}, from: []string{"x"}, want: obj{"a": 1.0},
		},
		"later entries over earlier ones": {
			data: map[string]string{"x": "a: one\nb: one", "y": "b: two\nc: two"}, from: []string{"x", "y"},
			want: obj{"a": "one", "b": "two", "c": "two"},
		},
		"in the order of the list": {
			data: map[string]string{"x": "a: one\nb: one", "y": "b: two\nc: two"}, from: []string{"y", "x"},
			want: obj{"a": "one", "b": "one", "c": "two"},
		},
		"inline values over all entries": {
			data: map[string]string{"x": "a: one\nb: one"}, from: []string{"x"}, inline: "{b: inline}",
			want: obj{"a": "one", "b": "inline"},
		},
		"maps in maps": {
			data: map[string]string{"x": "m: {in: {a: one, b: one}}", "y": "m: {in: {b: two}, out: two}"}, from: []string{"x", "y"}, inline: "{m: {in: {c: inline}}}",
			want: obj{"m": obj{"in": obj{"a": "one", "b": "two", "c": "inline"}, "out": "two"}},
		},
		"lists as a whole": {
			why:  "elements have no names to be told by",
			data: map[string]string{"x": "l: [1, 2, 3]", "y": "l: [4]"}, from: []string{"x", "y"}, want: obj{"l": list{4.0}},
		},
		"a map over a scalar": {data: map[string]string{"x": "a: 1", "y": "a: {b: 2}"}, from: []string{"x", "y"}, want: obj{"a": obj{"b": 2.0}}},
		"a scalar over a map": {data: map[string]string{"x": "a: {b: 2}", "y": "a: 1"}, from: []string{"x", "y"}, want: obj{"a": 1.0}},
		"null over a value": {
			why:  "by that Helm leaves out a value of the chart",
			data: map[string]string{"x": "a: {b: 2}"}, from: []string{"x"}, inline: "{a: null}", want: obj{"a": nil},
		},
		"an empty map over a map": {data: map[string]string{"x": "a: {b: 2}"}, from: []string{"x"}, inline: "{a: {}}", want: obj{"a": obj{"b": 2.0}}},
		"keys that are no strings": {
			why:  "maps of JSON have no other",
			data: map[string]string{"x": "1: one\ntrue: yes"}, from: []string{"x"}, want: obj{"1": "one", "true": true},
		},
		"numbers as JSON has them": {
			data: map[string]string{"x": "{int: 3, float: 3.0, exp: 1e3, octal: 010, hex: 0x10, big: 9007199254740993, text: '3', date: 2026-01-02}"}, from: []string{"x"},
			want: obj{"int": 3.0, "float": 3.0, "exp": 1000.0, "octal": 8.0, "hex": 16.0, "big": 9007199254740992.0, "text": "3", "date": "2026-01-02"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			data, refs := make(map[string]map[string]string), []meta.ValuesReference(nil)
			for name, document := range tc.data {
				data["ConfigMap/"+name] = map[string]string{"values.yaml": document}
			}
			for _, name := range tc.from {
				refs = append(refs, configMap(name))
			}
			got, err := compose(t, tc.inline, data, refs...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
}

// TestComposeSets has who wins where a target path and other values meet, and what a
// value is taken for.
func TestComposeSets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		data   map[string]string // of the ConfigMap "one"
		refs   []meta.ValuesReference
		inline string
		want   obj
	}{
		"a path that nobody else has": {
			data: map[string]string{"v": "x"}, refs: []meta.ValuesReference{at("v", "a.b.c")}, inline: "{d: 1}",
			want: obj{"a": obj{"b": obj{"c": "x"}}, "d": 1.0},
		},
		"over an inline value within a map": {
			why:  "the map is that of the inline values",
			data: map[string]string{"v": "x"}, refs: []meta.ValuesReference{at("v", "a.b")}, inline: "{a: {b: inline, c: inline}}",
			want: obj{"a": obj{"b": "x", "c": "inline"}},
		},
		"not over an inline value at the top": {
			data: map[string]string{"v": "x"}, refs: []meta.ValuesReference{at("v", "a")}, inline: "{a: inline}",
			want: obj{"a": "inline"},
		},
		"not over an inline value within a map that an earlier entry has": {
			why:  "the two maps were merged into a new one",
			data: map[string]string{"v": "x", "values.yaml": "a: {d: file}"}, refs: []meta.ValuesReference{configMap("one"), at("v", "a.b")}, inline: "{a: {b: inline}}",
			want: obj{"a": obj{"b": "inline", "d": "file"}},
		},
		"over an inline value within a map that a later entry has": {
			data: map[string]string{"v": "x", "values.yaml": "a: {b: file, d: file}"}, refs: []meta.ValuesReference{at("v", "a.b"), configMap("one")}, inline: "{a: {b: inline}}",
			want: obj{"a": obj{"b": "x", "d": "file"}},
		},
		"over an inline value within a map in a map that an earlier entry has": {
			why:  "only the outer ones were merged",
			data: map[string]string{"v": "x", "values.yaml": "a: {d: file}"}, refs: []meta.ValuesReference{configMap("one"), at("v", "a.b.c")}, inline: "{a: {b: {c: inline}}}",
			want: obj{"a": obj{"b": obj{"c": "x"}, "d": "file"}},
		},
		"not a second one over an inline value": {
			why:  "the first one has merged them",
			data: map[string]string{"v": "x", "w": "y"}, refs: []meta.ValuesReference{at("v", "a.b"), at("w", "a.c")}, inline: "{a: {b: inline, c: inline}}",
			want: obj{"a": obj{"b": "x", "c": "inline"}},
		},
		"a second one where inline has nothing": {
			data: map[string]string{"v": "x", "w": "y"}, refs: []meta.ValuesReference{at("v", "a.b"), at("w", "a.c")}, inline: "{a: {b: inline}}",
			want: obj{"a": obj{"b": "x", "c": "y"}},
		},
		"over an earlier entry": {
			data: map[string]string{"v": "x", "values.yaml": "a: {b: file}\nc: file"}, refs: []meta.ValuesReference{configMap("one"), at("v", "a.b"), at("v", "c")},
			want: obj{"a": obj{"b": "x"}, "c": "x"},
		},
		"not over a later entry": {
			data: map[string]string{"v": "x", "values.yaml": "c: file"}, refs: []meta.ValuesReference{at("v", "c"), configMap("one")},
			want: obj{"c": "file"},
		},
		"an element of a list": {
			data: map[string]string{"v": "x", "values.yaml": "a: [1, 2, 3]"}, refs: []meta.ValuesReference{configMap("one"), at("v", "a[1]"), at("v", "b[1].c")},
			want: obj{"a": list{1.0, "x", 3.0}, "b": list{nil, obj{"c": "x"}}},
		},
		"an element of an inline list": {
			why:  "it is set in place, unless the list grows",
			data: map[string]string{"v": "x"}, refs: []meta.ValuesReference{at("v", "a[0]"), at("v", "b[1]")}, inline: "{a: [1], b: [1]}",
			want: obj{"a": list{"x"}, "b": list{1.0}},
		},
		"a name with dots and slashes": {
			data: map[string]string{"v": "x"}, refs: []meta.ValuesReference{at("v", `annotations.example\.com/name`)},
			want: obj{"annotations": obj{"example.com/name": "x"}},
		},
		"a literal value at a name with dots": {
			data: map[string]string{"v": "x"}, refs: []meta.ValuesReference{{Kind: "ConfigMap", Name: "one", ValuesKey: "v", TargetPath: `annotations.example\.com/name`, Literal: true}},
			want: obj{"annotations": obj{"example.com/name": "x"}},
		},
		"more than one value": {
			why:  "as the flag of the helm command does",
			data: map[string]string{"v": "x,b=y"}, refs: []meta.ValuesReference{at("v", "a")}, want: obj{"a": "x", "b": "y"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := compose(t, tc.inline, map[string]map[string]string{"ConfigMap/one": tc.data}, tc.refs...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
}

func TestComposeTellsTypes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		in      string
		want    any
		literal any
	}{
		"text":                     {in: "text", want: "text", literal: "text"},
		"a number":                 {in: "12", want: int64(12), literal: "12"},
		"a negative number":        {in: "-12", want: int64(-12), literal: "-12"},
		"zero":                     {in: "0", want: int64(0), literal: "0"},
		"a number that is a name":  {why: "it would lose its zeros", in: "007", want: "007", literal: "007"},
		"a number too large":       {in: "9223372036854775808", want: "9223372036854775808", literal: "9223372036854775808"},
		"a fraction":               {why: "versions look like that", in: "1.10", want: "1.10", literal: "1.10"},
		"true":                     {in: "True", want: true, literal: "True"},
		"false":                    {in: "false", want: false, literal: "false"},
		"null":                     {in: "null", want: nil, literal: "null"},
		"nothing":                  {in: "", want: "", literal: ""},
		"a list":                   {in: "{a,1,true}", want: list{"a", int64(1), true}, literal: "{a,1,true}"},
		"an escaped comma":         {in: `a\,b`, want: "a,b", literal: `a\,b`},
		"a line break":             {why: "files often end in one", in: "text\n", want: "text\n", literal: "text\n"},
		"a number in quotes":       {in: `"12"`, want: "12", literal: `"12"`},
		"a number in single ones":  {in: `'12'`, want: "12", literal: `'12'`},
		"quotes within quotes":     {in: `'"12"'`, want: "12", literal: `'"12"'`},
		"a quote alone":            {in: `"`, want: "", literal: `"`},
		"a quote at the beginning": {in: `"12`, want: `"12`, literal: `"12`},
		"a path of Windows":        {in: `C:\new,\`, want: "C:new", literal: `C:\new,\`},
		"brackets":                 {in: "[a]{b}", want: "[a]{b}", literal: "[a]{b}"},
		"a document":               {in: "{\"a\": [1, 2],\n \"b\": \"\\n\"}", want: list{`"a": [1`, " 2]", "\n \"b\": \"n\""}, literal: "{\"a\": [1, 2],\n \"b\": \"\\n\"}"},
		"equals signs":             {in: "a=b", want: "a=b", literal: "a=b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, literal := range []bool{false, true} {
				want := tc.want
				if literal {
					want = tc.literal
				}
				ref := meta.ValuesReference{Kind: "Secret", Name: "one", ValuesKey: "v", TargetPath: "a.b", Literal: literal}
				got, err := compose(t, "", map[string]map[string]string{"Secret/one": {"v": tc.in}}, ref)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(obj{"a": obj{"b": want}}, got); diff != "" {
					t.Errorf("%q, literal %t (-want +got), %s:\n%s", tc.in, literal, tc.why, diff)
				}
			}
		})
	}
}

func TestComposeReadsAnObjectOnce(t *testing.T) {
	t.Parallel()
	read := &objects{data: map[string]map[string]string{"ConfigMap/one": {"values.yaml": "a: 1", "eu.yaml": "a: 2"}, "Secret/one": {"values.yaml": "b: 3"}}}
	missing := meta.ValuesReference{Kind: "Secret", Name: "missing", Optional: true}
	got, err := values.Compose(t.Context(), values.Spec{Namespace: "apps", From: []meta.ValuesReference{
		configMap("one"), {Kind: "ConfigMap", Name: "one", ValuesKey: "eu.yaml"}, {Kind: "Secret", Name: "one"}, missing, missing, configMap("one"),
	}}, read)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(obj{"a": 1.0, "b": 3.0}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if read.reads != 3 {
		t.Errorf("%d reads of 3 objects, of which one does not exist", read.reads)
	}
}

func TestComposeGoesOnWithoutWhatIsOptional(t *testing.T) {
	t.Parallel()
	refs := []meta.ValuesReference{
		{Kind: "ConfigMap", Name: "missing", Optional: true},
		{Kind: "ConfigMap", Name: "one", ValuesKey: "missing", Optional: true},
		{Kind: "Secret", Name: "missing", TargetPath: "a.b", Optional: true},
		configMap("one"),
	}
	got, err := compose(t, "{b: 2}", map[string]map[string]string{"ConfigMap/one": {"values.yaml": "a: 1"}}, refs...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(obj{"a": 1.0, "b": 2.0}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// TestComposeLeavesTheSpec: what is set by a path is set in a copy.
func TestComposeLeavesTheSpec(t *testing.T) {
	t.Parallel()
	read := &objects{data: map[string]map[string]string{"ConfigMap/one": {"v": "x"}}}
	spec := values.Spec{Namespace: "apps", From: []meta.ValuesReference{at("v", "a.b")}, Inline: inline(t, "{a: {b: inline}}")}
	for range 2 {
		got, err := values.Compose(t.Context(), spec, read)
		if err != nil {
			t.Fatal(err)
		}
		got["a"].(obj)["b"] = "changed by the caller"
	}
	if want := `{"a":{"b":"inline"}}`; string(spec.Inline.Raw) != want {
		t.Errorf("inline values became %s", spec.Inline.Raw)
	}
}
