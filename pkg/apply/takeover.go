package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
)

// Managers tell whose fields of an object become ours. Fields that somebody set with
// kubectl, or that date from before server-side apply, would stay for ever otherwise,
// whatever leaves the source.
type Managers struct {
	// Own is the field manager of our applies.
	Own string
	// Override are further managers whose fields become ours.
	Override []string
}

// Of the managers that are always overridden, kubectl has a name for each of its verbs.
// The other one is what the API server calls all that is older than managedFields.
const (
	kubectl     = "kubectl"
	beforeApply = "before-first-apply"
)

// takes reports whether the fields of an entry become ours.
func (m Managers) takes(e metav1.ManagedFieldsEntry) bool {
	if e.Subresource != "" || e.FieldsV1 == nil {
		return false
	}
	update := e.Operation == metav1.ManagedFieldsOperationUpdate
	switch e.Manager {
	case m.Own, beforeApply:
		return update
	default:
		return strings.HasPrefix(e.Manager, kubectl) || e.Manager == m.relay() || slices.Contains(m.Override, e.Manager)
	}
}

// owns reports whether an entry is that of our applies.
func (m Managers) owns(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == m.Own && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" && e.FieldsV1 != nil
}

// relay is the manager under which fields pass that were set in another version of the
// API than ours. Only the API server can convert their paths, and it does so for a
// manager that applies anew without them.
func (m Managers) relay() string { return m.Own + "-takeover" }

// requests are the annotations by which users ask something of a controller. They stay
// with whoever set them, with kubectl too: they are no fields that the source lacks.
var requests = []string{
	kustomizev1.KeyReconcile, kustomizev1.KeySSA, kustomizev1.KeyForce, kustomizev1.KeyPrune,
	helmv2.KeyDriftDetection, meta.ReconcileRequestAnnotation, meta.ForceRequestAnnotation, "reconcile.fluxcd.io/resetAt",
}

// leftovers are the keys of metadata with which tools that applied before us kept their
// books, by the map that they are in.
var leftovers = []struct{ field, key string }{
	{"annotations", "kubectl.kubernetes.io/last-applied-configuration"},
	{"annotations", kustomizev1.KeyChecksum},
	{"annotations", "fluxcd.io/sync-checksum"},
	{"labels", "fluxcd.io/sync-gc-mark"},
}

// Claimed returns the fields of an object that are to be taken over, apart from some;
// nil if there are none. An object that asks for its fields to be merged keeps them.
func (m Managers) Claimed(obj metav1.Object, except *fieldpath.Set) *fieldpath.Set {
	claimed := fieldpath.NewSet()
	for _, c := range m.Claims(obj, except) {
		claimed = claimed.Union(c.Fields)
	}
	for _, p := range m.Leftovers(obj) {
		claimed.Insert(p)
	}
	if except != nil {
		claimed = claimed.RecursiveDifference(except)
	}
	if claimed.Empty() {
		return nil
	}
	return claimed
}

// Claim is what is to be taken over from one manager.
type Claim struct {
	Entry  metav1.ManagedFieldsEntry
	Fields *fieldpath.Set

	kept *fieldpath.Set // what stays with it
	at   int            // in managedFields
}

// Claims returns what is to be taken over from each manager, but for fields in except.
func (m Managers) Claims(obj metav1.Object, except *fieldpath.Set) []Claim {
	var out []Claim
	for i, e := range obj.GetManagedFields() {
		if !m.takes(e) {
			continue
		}
		set, err := fieldsOf(e)
		if err != nil {
			continue // no entry that an API server wrote
		}
		kept := remaining(set, except)
		if fields := set.Difference(kept); !fields.Empty() {
			out = append(out, Claim{Entry: e, Fields: fields, kept: kept, at: i})
		}
	}
	if len(out) > 0 && WishesOf(obj).Merge {
		return nil
	}
	return out
}

// remaining returns which of the fields of a manager stay with it: those in except, and
// requests.
func remaining(set, except *fieldpath.Set) *fieldpath.Set {
	kept := fieldpath.NewSet()
	if except != nil {
		kept = set.Difference(set.RecursiveDifference(except))
	}
	for _, field := range []string{"annotations", "labels"} {
		parent := fieldpath.MakePathOrDie("metadata", field)
		for _, key := range requests {
			if p := append(parent.Copy(), name(key)); set.Has(p) {
				kept.Insert(p)
				kept.Insert(parent) // what says that the map was made for it
			}
		}
	}
	return kept.Intersection(set)
}

// Leftovers returns the keys in the metadata of obj that are to go, whoever has them, and that
// we did not apply ourselves.
func (m Managers) Leftovers(obj metav1.Object) []fieldpath.Path {
	there := map[string]map[string]string{"annotations": obj.GetAnnotations(), "labels": obj.GetLabels()}
	var own *fieldpath.Set
	var out []fieldpath.Path
	for _, l := range leftovers {
		if _, ok := there[l.field][l.key]; !ok {
			continue
		}
		if own == nil {
			own = m.ownFields(obj)
		}
		if p := fieldpath.MakePathOrDie("metadata", l.field, l.key); !own.Has(p) {
			out = append(out, p)
		}
	}
	if len(out) > 0 && WishesOf(obj).Merge {
		return nil
	}
	return out
}

// ownFields returns what we own by apply.
func (m Managers) ownFields(obj metav1.Object) *fieldpath.Set {
	for _, e := range obj.GetManagedFields() {
		if !m.owns(e) {
			continue
		}
		if set, err := fieldsOf(e); err == nil {
			return set
		}
	}
	return fieldpath.NewSet()
}

// merged returns managedFields in which all that is claimed in version is ours, and
// whether they differ from those of the object. Fields that were set in another version
// wait under the name of the relay, one version at a time.
func (m Managers) merged(obj metav1.Object, version string, except *fieldpath.Set) (_ []metav1.ManagedFieldsEntry, relayed, changed bool, _ error) {
	entries := slices.Clone(obj.GetManagedFields())
	own := slices.IndexFunc(entries, m.owns)
	claims := m.Claims(obj, except)
	if own < 0 {
		own = len(entries)
		entries = append(entries, m.newEntry(claims, version))
	}
	union, err := fieldsOf(entries[own])
	if err != nil {
		return nil, false, false, err
	}
	relay := metav1.ManagedFieldsEntry{}
	passing := fieldpath.NewSet()
	for _, c := range claims {
		e := &entries[c.at]
		switch {
		case e.APIVersion == entries[own].APIVersion:
			union = union.Union(c.Fields)
		case relay.APIVersion == "" || relay.APIVersion == e.APIVersion:
			relay, relayed = *e, true
			passing = passing.Union(c.Fields)
		default:
			continue
		}
		changed = changed || e.Manager != m.relay() || e.APIVersion == entries[own].APIVersion
		e.FieldsV1 = nil
		if !c.kept.Empty() {
			if err := setFields(e, c.kept); err != nil {
				return nil, false, false, err
			}
		}
	}
	if err := setFields(&entries[own], union); err != nil {
		return nil, false, false, err
	}
	if relayed {
		relay.Manager, relay.Operation = m.relay(), metav1.ManagedFieldsOperationApply
		if err := setFields(&relay, passing); err != nil {
			return nil, false, false, err
		}
		entries = append(entries, relay)
	}
	entries = slices.DeleteFunc(entries, func(e metav1.ManagedFieldsEntry) bool { return e.FieldsV1 == nil })
	return entries, relayed, changed, nil
}

// newEntry is our entry in an object that we have never applied: in version, if any of
// the claims is, so that most of them can be taken as they are.
func (m Managers) newEntry(claims []Claim, version string) metav1.ManagedFieldsEntry {
	at := max(0, slices.IndexFunc(claims, func(c Claim) bool { return c.Entry.APIVersion == version }))
	e := metav1.ManagedFieldsEntry{
		Manager: m.Own, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version,
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{}"),
	}
	if at < len(claims) {
		e.APIVersion, e.Time = claims[at].Entry.APIVersion, claims[at].Entry.Time
	}
	return e
}

// operation is one step of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// takeover returns the JSON patch by which the claimed fields of an object become ours,
// empty if none is needed. It is refused if the object has changed since.
func (m Managers) takeover(obj metav1.Object, version string, except *fieldpath.Set) (patch []byte, relayed bool, err error) {
	var ops []operation
	entries, relayed, changed, err := m.merged(obj, version, except)
	if err != nil {
		return nil, false, err
	}
	if changed {
		ops = append(ops, operation{Op: "replace", Path: "/metadata/managedFields", Value: entries})
	}
	for _, p := range m.Leftovers(obj) {
		if except == nil || !covers(except, p) {
			ops = append(ops, operation{Op: "remove", Path: pointerTo(p)})
		}
	}
	if len(ops) == 0 {
		return nil, relayed, nil
	}
	ops = append(ops, operation{Op: "replace", Path: "/metadata/resourceVersion", Value: obj.GetResourceVersion()})
	patch, err = json.Marshal(ops)
	return patch, relayed, err
}

// covers reports whether a set has a field or a parent of it.
func covers(set *fieldpath.Set, p fieldpath.Path) bool {
	for i := range p {
		if set.Has(p[:i+1]) {
			return true
		}
	}
	return false
}

// pointerTo returns a path of field names as a JSON pointer.
func pointerTo(p fieldpath.Path) string {
	var b strings.Builder
	for _, step := range p {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(*step.FieldName))
	}
	return b.String()
}

// fieldsOf reads the fields of an entry.
func fieldsOf(e metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := fieldpath.NewSet()
	if err := set.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
		return nil, fmt.Errorf("managedFields of %q: %w", e.Manager, err)
	}
	return set, nil
}

// setFields makes set the fields of an entry.
func setFields(e *metav1.ManagedFieldsEntry, set *fieldpath.Set) error {
	data, err := set.ToJSON()
	if err != nil {
		return fmt.Errorf("managedFields of %q: %w", e.Manager, err)
	}
	e.FieldsV1 = metav1.NewFieldsV1(string(data))
	return nil
}

// name is the step of a path to a field.
func name(field string) fieldpath.PathElement { return fieldpath.PathElement{FieldName: &field} }
