package drift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

const (
	// maxValue bounds how much of a value is told.
	maxValue = 80
	masked   = "***"
)

// Change is one field that somebody took from us.
type Change struct {
	Path string // such as .spec.replicas
	// From is the value that we had applied, To the one it was found with; "" if
	// it was removed. Values of Secrets are masked.
	From, To string
	// Manager, Operation and Time tell who wrote the field, and when, by
	// managedFields. Manager is empty if that is not told: nobody owns a field
	// that was removed.
	Manager   string
	Operation string
	Time      time.Time
}

// String tells the change in one line.
func (c Change) String() string {
	to := c.To
	if to == "" {
		to = "nothing"
	}
	s := fmt.Sprintf("%s was changed from %s to %s", c.Path, c.From, to)
	if c.Manager == "" {
		return s + " by somebody unknown"
	}
	s += fmt.Sprintf(" by %s (%s)", c.Manager, c.Operation)
	if c.Time.IsZero() {
		return s // some subresources keep no time
	}
	return s + " at " + c.Time.UTC().Format(time.RFC3339)
}

// Explain returns the fields that manager owns in restored and did not own in
// found: what somebody else had changed or removed, sorted by path. Both are whole
// objects, as they were before and after manager applied its content again.
func Explain(found, restored *unstructured.Unstructured, manager string) ([]Change, error) {
	before, err := ownedBy(found, manager)
	if err != nil {
		return nil, err
	}
	after, err := ownedBy(restored, manager)
	if err != nil {
		return nil, err
	}
	takers, err := others(found, manager)
	if err != nil {
		return nil, err
	}
	secret := found.GetKind() == "Secret" && found.GroupVersionKind().Group == ""
	var out []Change
	after.Difference(before).Leaves().Iterate(func(p fieldpath.Path) {
		c := Change{Path: p.String(), From: valueAt(restored, p, secret), To: valueAt(found, p, secret)}
		for _, t := range takers {
			if t.set.Has(p) || hasBelow(t.set, p) {
				c.Manager, c.Operation, c.Time = t.entry.Manager, string(t.entry.Operation), t.at
				break
			}
		}
		out = append(out, c)
	})
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// taker is another writer of an object.
type taker struct {
	entry metav1.ManagedFieldsEntry
	set   *fieldpath.Set
	at    time.Time
}

// others returns the other managers of an object, the latest first.
func others(obj *unstructured.Unstructured, manager string) ([]taker, error) {
	var out []taker
	for _, e := range obj.GetManagedFields() {
		if ours(e, manager) || e.FieldsV1 == nil {
			continue
		}
		set, err := fieldSet(e)
		if err != nil {
			return nil, err
		}
		t := taker{entry: e, set: set}
		if e.Time != nil {
			t.at = e.Time.Time
		}
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b taker) int { return b.at.Compare(a.at) })
	return out, nil
}

// ownedBy returns the fields that manager owns by apply.
func ownedBy(obj *unstructured.Unstructured, manager string) (*fieldpath.Set, error) {
	for _, e := range obj.GetManagedFields() {
		if ours(e, manager) && e.FieldsV1 != nil {
			return fieldSet(e)
		}
	}
	return fieldpath.NewSet(), nil
}

// ours reports whether an entry is that of our applies.
func ours(e metav1.ManagedFieldsEntry, manager string) bool {
	return e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

func fieldSet(e metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
		return nil, fmt.Errorf("managedFields of %q: %w", e.Manager, err)
	}
	return set, nil
}

// hasBelow reports whether set has a field below p.
func hasBelow(set *fieldpath.Set, p fieldpath.Path) bool {
	for _, element := range p {
		set = set.WithPrefix(element)
	}
	return !set.Empty()
}

// valueAt returns the value of a field for people, "" if there is none.
func valueAt(obj *unstructured.Unstructured, p fieldpath.Path, secret bool) string {
	v, ok := find(obj.Object, p)
	if !ok {
		return ""
	}
	if secret && len(p) > 0 && p[0].FieldName != nil && (*p[0].FieldName == "data" || *p[0].FieldName == "stringData") {
		return masked
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if runes := []rune(string(data)); len(runes) > maxValue {
		return string(runes[:maxValue]) + "…"
	}
	return string(data)
}

// find walks along a path: by field names, by the keys of list items, by their
// values and by their indexes.
func find(v any, p fieldpath.Path) (any, bool) {
	for _, element := range p {
		var ok bool
		switch {
		case element.FieldName != nil:
			m, _ := v.(map[string]any)
			v, ok = m[*element.FieldName]
		case element.Key != nil:
			v, ok = itemByKey(v, *element.Key)
		case element.Value != nil:
			v, ok = itemByValue(v, *element.Value)
		case element.Index != nil:
			list, _ := v.([]any)
			if ok = *element.Index < len(list); ok {
				v = list[*element.Index]
			}
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

func itemByKey(v any, key value.FieldList) (any, bool) {
	list, _ := v.([]any)
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if !slices.ContainsFunc(key, func(f value.Field) bool {
			got, ok := m[f.Name]
			return !ok || !value.Equals(value.NewValueInterface(got), f.Value)
		}) {
			return m, true
		}
	}
	return nil, false
}

func itemByValue(v any, want value.Value) (any, bool) {
	list, _ := v.([]any)
	for _, item := range list {
		if value.Equals(value.NewValueInterface(item), want) {
			return item, true
		}
	}
	return nil, false
}
