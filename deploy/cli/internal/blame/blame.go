// Package blame tells which field manager has set which field of an object, and finds fields
// by the paths that people write. It decides on the object that it is given. Values of
// Secrets are masked; what else is secret, the caller knows, see Show.
package blame

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/manifest"
)

const (
	// Masked stands in the place of what is secret.
	Masked = "***"
	// longest is how much of a value is told.
	longest = 80
)

// Field is a field of an object, as one of its managers has set it.
type Field struct {
	Path fieldpath.Path
	// Name is the path for people: spec.template.spec.containers[name="web"].image
	Name string
	// Value is the value as JSON, shortened.
	Value string
	// Manager set it, by an Operation on the object or one of its subresources, and did so,
	// or wrote another field, at a time that may be zero.
	Manager     string
	Operation   metav1.ManagedFieldsOperationType
	Subresource string
	Time        time.Time
}

// Fields returns all fields of an object that somebody owns, and once for each owner, sorted
// by their names.
func Fields(obj *unstructured.Unstructured) ([]Field, error) {
	var out []Field
	for _, e := range obj.GetManagedFields() {
		if e.FieldsV1 == nil {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(strings.NewReader(e.FieldsV1.GetRawString())); err != nil {
			return nil, fmt.Errorf("managedFields of %q in %s: %w", e.Manager, manifest.IDOf(obj), err)
		}
		var at time.Time
		if e.Time != nil {
			at = e.Time.UTC()
		}
		set.Leaves().Iterate(func(p fieldpath.Path) {
			p = p.Copy()
			out = append(out, Field{
				Path: p, Name: NameOf(p), Value: Show(obj, p, nil),
				Manager: e.Manager, Operation: e.Operation, Subresource: e.Subresource, Time: at,
			})
		})
	}
	slices.SortStableFunc(out, func(a, b Field) int { return cmp.Or(strings.Compare(a.Name, b.Name), a.Time.Compare(b.Time)) })
	return out, nil
}

// NameOf returns a path for people.
func NameOf(p fieldpath.Path) string { return strings.TrimPrefix(p.String(), ".") }

// Choose returns those of the fields of an object that are at a path, or below it. Items of
// lists are named by their keys, with quotes or without, or by their places:
// spec.template.spec.containers[name=web].image, spec.ports[0].
func Choose(obj *unstructured.Unstructured, fields []Field, path string) []Field {
	want := plain(path)
	if want == "" {
		return fields
	}
	var out []Field
	for _, f := range fields {
		if within(plain(f.Name), want) || within(plain(placesOf(obj, f.Path)), want) {
			out = append(out, f)
		}
	}
	return out
}

// Last returns who has set a field last, or something in it or around it; false if nobody
// has.
func Last(fields []Field, at fieldpath.Path) (Field, bool) {
	var last Field
	found := false
	for _, f := range fields {
		if Related(f.Path, at) && (!found || f.Time.After(last.Time)) {
			last, found = f, true
		}
	}
	return last, found
}

// Related reports whether one of two paths leads to the other, or they are the same.
func Related(a, b fieldpath.Path) bool {
	n := min(len(a), len(b))
	return a[:n].Equals(b[:n])
}

// plain leaves out of a path what need not be written.
func plain(path string) string {
	return strings.TrimPrefix(strings.NewReplacer(`"`, "", "'", "", " ", "").Replace(path), ".")
}

// within reports whether a path is another, or leads below it.
func within(path, want string) bool {
	rest, ok := strings.CutPrefix(path, want)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// placesOf returns a path by which items of lists are named by their places.
func placesOf(obj *unstructured.Unstructured, p fieldpath.Path) string {
	var out strings.Builder
	for i, step := range p {
		if step.FieldName != nil {
			out.WriteString("." + *step.FieldName)
			continue
		}
		list, _ := manifest.At(obj.Object, p[:i])
		items, _ := list.([]any)
		item, _ := manifest.At(obj.Object, p[:i+1])
		at := slices.IndexFunc(items, func(other any) bool { return equal(item, other) })
		out.WriteString("[" + strconv.Itoa(at) + "]")
	}
	return out.String()
}

// Show returns the value of a field for people, "" if there is none, without what hide takes
// out of it, before it is shortened. A nil hide takes nothing.
func Show(obj *unstructured.Unstructured, p fieldpath.Path, hide func(string) string) string {
	v, ok := manifest.At(obj.Object, p)
	if !ok {
		return ""
	}
	if secret(obj, p) {
		return Masked
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	text := string(data)
	if hide != nil {
		text = hide(text)
	}
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// secret reports whether a field may hold what is secret. The copy that kubectl keeps in an
// annotation does, too, and of any object: whatever is masked elsewhere is in it.
func secret(obj *unstructured.Unstructured, p fieldpath.Path) bool {
	if len(p) == 3 && named(p, 0, "metadata") && named(p, 1, "annotations") && named(p, 2, corev1.LastAppliedConfigAnnotation) {
		return true
	}
	if obj.GetKind() != "Secret" || obj.GroupVersionKind().Group != "" {
		return false
	}
	return len(p) == 0 || p[0].FieldName == nil || named(p, 0, "data") || named(p, 0, "stringData") || named(p, 0, "metadata") && len(p) < 3
}

// named reports whether a step of a path has a name.
func named(p fieldpath.Path, i int, name string) bool {
	return p[i].FieldName != nil && *p[i].FieldName == name
}
