package drift

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/manifest"
)

const (
	// maxValue bounds how much of a value is told.
	maxValue = 80
	masked   = "***"
)

// Change is one field that somebody took from us.
type Change struct {
	Path string // such as spec.replicas
	// From is the value that we had applied, To the one it was found with; "" if
	// it was removed. Values of Secrets are masked.
	From, To string
	// Manager, Operation and Time tell who wrote the field, and when, by
	// managedFields. Manager is empty if that is not told: nobody owns a field
	// that was removed.
	Manager   string
	Operation string
	Time      time.Time

	path fieldpath.Path
}

// String tells the change in one line, such as
// "spec.replicas 2 -> 5 by kubectl-scale at 02:13:07Z".
func (c Change) String() string {
	to := c.To
	if to == "" {
		to = "nothing"
	}
	who := c.Manager
	if who == "" {
		who = "somebody unknown"
	}
	s := fmt.Sprintf("%s %s -> %s by %s", c.Path, c.From, to, who)
	if c.Time.IsZero() {
		return s // nobody owns what was removed, and some subresources keep no time
	}
	return s + " at " + c.Time.UTC().Format("15:04:05Z")
}

// Explain returns the fields that manager owns in restored and did not own in found,
// or owned with another value: what somebody else had changed or removed, sorted by
// path. Both are whole objects, as they were before and after manager applied its
// content again.
func Explain(found, restored *unstructured.Unstructured, manager string) ([]Change, error) {
	before, err := entryOf(found, manager)
	if err != nil {
		return nil, err
	}
	after, err := entryOf(restored, manager)
	if err != nil {
		return nil, err
	}
	takers, err := others(found, manager)
	if err != nil {
		return nil, err
	}
	secret := found.GetKind() == "Secret" && found.GroupVersionKind().Group == ""
	change := func(p fieldpath.Path) Change {
		return Change{
			Path: strings.TrimPrefix(p.String(), "."), path: p.Copy(),
			From: valueAt(restored, p, secret), To: valueAt(found, p, secret),
		}
	}
	var out []Change
	after.set.Difference(before.set).Leaves().Iterate(func(p fieldpath.Path) {
		c := change(p)
		if i := slices.IndexFunc(takers, func(t taker) bool { return t.set.Has(p) || hasBelow(t.set, p) }); i >= 0 {
			c.by(takers[i])
		}
		out = append(out, c)
	})
	after.set.Intersection(before.set).Leaves().Iterate(func(p fieldpath.Path) {
		was, _ := manifest.At(found.Object, p)
		is, ok := manifest.At(restored.Object, p)
		if ok && !equality.Semantic.DeepEqual(was, is) && !isParent(is) {
			c := change(p)
			c.by(before)
			out = append(out, c)
		}
	})
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// isParent reports whether a value has fields of its own, which are owned one by one.
func isParent(v any) bool {
	m, ok := v.(map[string]any)
	return ok && len(m) > 0
}

// by says who wrote the field.
func (c *Change) by(t taker) {
	c.Manager, c.Operation, c.Time = t.entry.Manager, string(t.entry.Operation), t.at
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
		t, err := takerOf(e)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b taker) int { return b.at.Compare(a.at) })
	return out, nil
}

// entryOf returns what manager owns by apply.
func entryOf(obj *unstructured.Unstructured, manager string) (taker, error) {
	for _, e := range obj.GetManagedFields() {
		if ours(e, manager) && e.FieldsV1 != nil {
			return takerOf(e)
		}
	}
	return taker{set: fieldpath.NewSet()}, nil
}

// ours reports whether an entry is that of our applies.
func ours(e metav1.ManagedFieldsEntry, manager string) bool {
	return e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

func takerOf(e metav1.ManagedFieldsEntry) (taker, error) {
	set, err := parse(e.FieldsV1.GetRawBytes())
	if err != nil {
		return taker{}, fmt.Errorf("managedFields of %q: %w", e.Manager, err)
	}
	t := taker{entry: e, set: set}
	if e.Time != nil {
		t.at = e.Time.Time
	}
	return t, nil
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
	v, ok := manifest.At(obj.Object, p)
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
