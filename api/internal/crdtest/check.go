package crdtest

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Row says what one constraint accepts and refuses. Each example is a fragment of
// YAML that is merged into an object that has every field; a null removes a field, and
// the one element of a list is merged into the one that is there.
type Row struct {
	Why     string   // printed on failure
	Accept  []string // may be empty if the object itself is the example
	Refuse  []string
	Message string // that a refusal must contain
}

// Read returns the documents in a file of YAML.
func Read(t testing.TB, path string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []map[string]any
	for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
		objects = append(objects, Parse(t, string(document)))
	}
	return objects
}

// Parse returns an object as an API server decodes it.
func Parse(t testing.TB, document string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		t.Fatalf("parsing %q: %v", document, err)
	}
	var obj map[string]any
	if err := utiljson.Unmarshal(data, &obj); err != nil {
		t.Fatalf("parsing %q: %v", document, err)
	}
	return obj
}

// Check tries every row on base. The keys of rows are constraints of the definition,
// and each of its constraints must have a row.
func (d *Definition) Check(t *testing.T, base map[string]any, rows map[string]Row) {
	for _, constraint := range d.Constraints() {
		if _, ok := rows[constraint]; !ok {
			t.Errorf("constraint %q has no row", constraint)
		}
	}
	if errs := d.Validate(t.Context(), base); len(errs) > 0 {
		t.Fatalf("the object to begin with is refused: %v", errs)
	}
	for constraint, row := range rows {
		t.Run(constraint, func(t *testing.T) { d.try(t, base, constraint, row) })
	}
}

// try tries one row on base.
func (d *Definition) try(t *testing.T, base map[string]any, constraint string, row Row) {
	if !slices.Contains(d.Constraints(), constraint) {
		t.Fatal("the definition has no such constraint")
	}
	name, word, _ := strings.Cut(constraint, " ")
	field := fieldOf(name)
	if len(row.Refuse) == 0 || len(row.Accept) == 0 && word != "required" {
		t.Fatal("an example is missing")
	}
	for _, fragment := range row.Accept {
		if errs := d.Validate(t.Context(), d.merged(t, base, fragment)); len(errs) > 0 {
			t.Errorf("%s is refused: %v\n%s", fragment, errs, row.Why)
		}
	}
	for _, fragment := range row.Refuse {
		errs := d.Validate(t.Context(), d.merged(t, base, fragment))
		if len(errs) == 0 {
			t.Errorf("%s is accepted\n%s", fragment, row.Why)
		}
		for _, err := range errs {
			if !field.MatchString(err.Field) || !strings.Contains(err.Error(), row.Message) {
				t.Errorf("%s is refused as %q, want field %q and message %q", fragment, err, name, row.Message)
			}
		}
	}
}

// fieldOf matches how errors name a field: elements by their index, values by their key.
func fieldOf(name string) *regexp.Regexp {
	pattern := strings.NewReplacer(`\[\]`, `\[\d+\]`, `\{\}`, `(\.[^.[]+|\[[^\]]*\])`).Replace(regexp.QuoteMeta(name))
	return regexp.MustCompile("^" + pattern + "$")
}

func (d *Definition) merged(t testing.TB, base map[string]any, fragment string) map[string]any {
	t.Helper()
	obj := merge(runtime.DeepCopyJSON(base), Parse(t, fragment)).(map[string]any)
	d.Default(obj)
	return obj
}

func merge(into, from any) any {
	switch from := from.(type) {
	case map[string]any:
		out, ok := into.(map[string]any)
		if !ok {
			return from
		}
		for key, value := range from {
			if value == nil {
				delete(out, key)
			} else {
				out[key] = merge(out[key], value)
			}
		}
		return out
	case []any:
		if out, ok := into.([]any); ok && len(out) == 1 && len(from) == 1 {
			return []any{merge(out[0], from[0])}
		}
	}
	return from
}

// CheckFields tells the fields of the definition that no object has, and those of the
// objects that the definition does not have.
func (d *Definition) CheckFields(t *testing.T, objects ...map[string]any) {
	t.Helper()
	found := map[string]bool{}
	root := *d.CRD.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, obj := range objects {
		for _, name := range []string{"spec", "status"} {
			covered(name, obj[name], root.Properties[name], found)
		}
	}
	got := make([]string, 0, len(found))
	for name := range found {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(d.Fields(), got); diff != "" {
		t.Errorf("fields of the definition (-) and of the objects (+):\n%s", diff)
	}
}

// CheckRoundTrip decodes obj into a T, encodes that, and expects nothing lost and
// nothing added. Then it expects an API server to take obj as it is.
func CheckRoundTrip[T any](t *testing.T, d *Definition, obj map[string]any) {
	t.Helper()
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var typed T
	if unknown, err := strictjson.UnmarshalStrict(data, &typed); err != nil || len(unknown) > 0 {
		t.Fatalf("decoding into %T: %v %v", typed, unknown, err)
	}
	if data, err = json.Marshal(&typed); err != nil {
		t.Fatal(err)
	}
	again := Parse(t, string(data))
	// A false that is the default need not be sent: the API server adds it.
	d.Default(again)
	if diff := cmp.Diff(canonical(obj), canonical(again)); diff != "" {
		t.Errorf("decoded and encoded as %T (-before +after):\n%s", typed, diff)
	}

	stored := runtime.DeepCopyJSON(obj)
	if unknown := d.Prune(stored); len(unknown) > 0 {
		t.Errorf("pruned: %v", unknown)
	}
	d.Default(stored)
	if diff := cmp.Diff(obj, stored); diff != "" {
		t.Errorf("pruned and defaulted (-before +after):\n%s", diff)
	}
	if errs := d.Validate(t.Context(), stored); len(errs) > 0 {
		t.Errorf("refused: %v", errs)
	}
}

// canonical returns v with every duration in one spelling: "60s" is "1m0s".
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = canonical(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = canonical(value)
		}
		return out
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			return d.String()
		}
	}
	return v
}
