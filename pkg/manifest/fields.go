package manifest

import (
	"iter"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// At returns the value at a path of managedFields in the content of an object: by
// field names, by the keys of list items, by their values and by their indexes.
func At(content any, p fieldpath.Path) (any, bool) {
	for _, element := range p {
		var ok bool
		if content, ok = child(content, element); !ok {
			return nil, false
		}
	}
	return content, true
}

// Without returns obj without some of its fields. Parents that are empty then stay;
// obj itself is not changed.
func Without(obj *unstructured.Unstructured, fields *fieldpath.Set) *unstructured.Unstructured {
	if fields == nil || fields.Empty() {
		return obj
	}
	out := obj.DeepCopy()
	var paths []fieldpath.Path
	fields.Leaves().Iterate(func(p fieldpath.Path) { paths = append(paths, p.Copy()) })
	for _, p := range slices.Backward(paths) { // or the indexes of later items would shift
		out.Object, _ = remove(out.Object, p).(map[string]any)
	}
	return out
}

// child returns what one step of a path leads to.
func child(v any, step fieldpath.PathElement) (any, bool) {
	if step.FieldName != nil {
		m, _ := v.(map[string]any)
		got, ok := m[*step.FieldName]
		return got, ok
	}
	list, _ := v.([]any)
	i := indexOf(list, step)
	if i < 0 {
		return nil, false
	}
	return list[i], true
}

// remove takes what a path leads to out of v, and returns v.
func remove(v any, p fieldpath.Path) any {
	if len(p) == 0 {
		return v
	}
	step := p[0]
	if m, ok := v.(map[string]any); ok && step.FieldName != nil {
		if len(p) == 1 {
			delete(m, *step.FieldName)
		} else if inner, ok := m[*step.FieldName]; ok {
			m[*step.FieldName] = remove(inner, p[1:])
		}
		return m
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	i := indexOf(list, step)
	if i < 0 {
		return v
	}
	if len(p) == 1 {
		return slices.Delete(list, i, i+1)
	}
	list[i] = remove(list[i], p[1:])
	return list
}

// indexOf returns which item of a list a step leads to, -1 if none.
func indexOf(list []any, step fieldpath.PathElement) int {
	switch {
	case step.Key != nil:
		return slices.IndexFunc(list, func(item any) bool { return hasKey(item, *step.Key) })
	case step.Value != nil:
		return slices.IndexFunc(list, func(item any) bool { return value.Equals(value.NewValueInterface(item), *step.Value) })
	case step.Index != nil && *step.Index < len(list):
		return *step.Index
	default:
		return -1
	}
}

// hasKey reports whether an item of a list has the values that are its key.
func hasKey(item any, key value.FieldList) bool {
	m, ok := item.(map[string]any)
	return ok && !slices.ContainsFunc(key, func(f value.Field) bool {
		got, ok := m[f.Name]
		return !ok || !value.Equals(value.NewValueInterface(got), f.Value)
	})
}

// StepTo returns the step of managedFields that leads to an item of a list: by its key
// or value where the fields in use, of which guide has those of the list, go by these,
// else by its index.
func StepTo(list []any, i int, guide *fieldpath.Set) fieldpath.PathElement {
	for _, steps := range []iter.Seq[fieldpath.PathElement]{guide.Members.All(), guide.Children.All()} {
		for step := range steps {
			if step.Index == nil && indexOf(list, step) == i {
				return step
			}
		}
	}
	return fieldpath.PathElement{Index: &i}
}

// Put sets the value that a path leads to in the content of an object, and returns the
// content. Fields on the way that do not exist are made; list items are not.
func Put(content any, p fieldpath.Path, v any) any {
	if len(p) == 0 {
		return v
	}
	step := p[0]
	if step.FieldName != nil {
		m, ok := content.(map[string]any)
		if !ok {
			if content != nil {
				return content
			}
			m = make(map[string]any, 1)
		}
		m[*step.FieldName] = Put(m[*step.FieldName], p[1:], v)
		return m
	}
	list, _ := content.([]any)
	if i := indexOf(list, step); i >= 0 {
		list[i] = Put(list[i], p[1:], v)
	}
	return content
}
