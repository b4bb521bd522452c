package drift

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

const (
	// maxValue bounds how much of a value is told.
	maxValue = 80
	masked   = "***"
)

// Change is one field that somebody took from us, or added.
type Change struct {
	Path string // such as spec.replicas
	// From is the value that it has without them, To the one it was found with; "" if
	// there is none. Values of Secrets are masked.
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
	s := fmt.Sprintf("%s %s -> %s by %s", c.Path, cmp.Or(c.From, "nothing"), cmp.Or(c.To, "nothing"), cmp.Or(c.Manager, "somebody unknown"))
	if c.Time.IsZero() {
		return s // nobody owns what was removed, and some subresources keep no time
	}
	return s + " at " + c.Time.UTC().Format("15:04:05Z")
}

// Explain returns the fields that manager owns in restored and did not own in found,
// or owned with another value: what somebody else had changed or removed. With them are
// those that were added by managers whose fields are taken over, override among them,
// and are gone. All are sorted by path. Both are whole objects, as they were before and
// after manager applied its content again.
func Explain(found, restored *unstructured.Unstructured, manager string, override ...string) ([]Change, error) {
	return ExplainMasked(found, restored, nil, manager, override...)
}

// ExplainMasked is Explain that tells of paths and values what mask leaves of them; nil
// leaves all.
func ExplainMasked(found, restored *unstructured.Unstructured, mask func(string) string, manager string, override ...string) ([]Change, error) {
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
	change := changes(found, restored, mask)
	out := taken(before, after, takers, found, restored, change)
	managers := apply.Managers{Own: manager, Override: override}
	for _, claim := range managers.Claims(found, nil) {
		by, err := takerOf(claim.Entry)
		if err != nil {
			return nil, err
		}
		claim.Fields.Leaves().Iterate(func(p fieldpath.Path) {
			p = added(p, restored)
			c := change(p)
			if !gone(p, found, restored) || slices.ContainsFunc(out, func(o Change) bool { return o.Path == c.Path }) {
				return
			}
			c.by(by)
			out = append(out, c)
		})
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	for i := range out {
		if mask != nil {
			out[i].Path = mask(out[i].Path) // items of lists are named by what is in them
		}
	}
	return out, nil
}

// taken returns the fields that were ours, or are by now, and had another value or owner.
func taken(before, after taker, takers []taker, found, restored *unstructured.Unstructured, change func(fieldpath.Path) Change) []Change {
	var out []Change
	after.set.Difference(before.set).Leaves().Iterate(func(p fieldpath.Path) {
		if same(p, found, restored) {
			return // only its owner was another, as that of a field that is ignored
		}
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
	return out
}

// changes returns what tells a change by its path.
func changes(found, restored *unstructured.Unstructured, mask func(string) string) func(fieldpath.Path) Change {
	secret := found.GetKind() == "Secret" && found.GroupVersionKind().Group == ""
	return func(p fieldpath.Path) Change {
		hidden := secret && private(p)
		return Change{
			Path: strings.TrimPrefix(p.String(), "."), path: p.Copy(),
			From: valueAt(restored, p, hidden, mask), To: valueAt(found, p, hidden, mask),
		}
	}
}

// gone reports whether a field that was found is there no more, or with another value.
func gone(p fieldpath.Path, found, restored *unstructured.Unstructured) bool {
	was, ok := manifest.At(found.Object, p)
	return ok && (isItem(p) || !isParent(was)) && !same(p, found, restored)
}

// same reports whether a field is in both states of an object, with the same value.
func same(p fieldpath.Path, found, restored *unstructured.Unstructured) bool {
	was, ok := manifest.At(found.Object, p)
	is, stays := manifest.At(restored.Object, p)
	return ok && stays && equality.Semantic.DeepEqual(was, is)
}

// added returns the item of a list that a field came with, if that is gone as a whole,
// else the field.
func added(p fieldpath.Path, restored *unstructured.Unstructured) fieldpath.Path {
	for i := range p {
		if _, there := manifest.At(restored.Object, p[:i+1]); !there && isItem(p[:i+1]) {
			return p[:i+1]
		}
	}
	return p
}

// isItem reports whether a path leads to an item of a list.
func isItem(p fieldpath.Path) bool { return len(p) > 0 && p[len(p)-1].FieldName == nil }

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
func valueAt(obj *unstructured.Unstructured, p fieldpath.Path, hidden bool, mask func(string) string) string {
	v, ok := manifest.At(obj.Object, p)
	if !ok {
		return ""
	}
	if hidden {
		return masked
	}
	if mask != nil {
		v = maskedIn(v, mask) // before it is shortened, and before JSON writes it differently
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	text := string(data)
	if mask != nil {
		text = mask(text)
	}
	if runes := []rune(text); len(runes) > maxValue {
		return string(runes[:maxValue]) + "…"
	}
	return text
}

// maskedIn returns a value of which all texts are as mask leaves them.
func maskedIn(v any, mask func(string) string) any {
	switch v := v.(type) {
	case string:
		return mask(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = maskedIn(v[i], mask)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[mask(key)] = maskedIn(value, mask)
		}
		return out
	default:
		return v
	}
}

// private reports whether a field of a Secret may hold what is secret. The copy that
// kubectl keeps in an annotation does, too.
func private(p fieldpath.Path) bool {
	if len(p) == 0 || p[0].FieldName == nil {
		return false
	}
	switch *p[0].FieldName {
	case "data", "stringData":
		return true
	case "metadata":
		return len(p) < 3 || strings.HasPrefix(p[1:].String(), ".annotations.kubectl.kubernetes.io/last-applied-configuration")
	}
	return false
}
