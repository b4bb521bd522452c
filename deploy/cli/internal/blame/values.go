package blame

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// ValueOf returns the value of a chart by which a template has most likely set a field: the
// only one that is the same, or the only one of these with the name of the field. Values
// that many things are, such as true or 0, need the name.
func ValueOf(field fieldpath.Path, value any, values map[string]any) (fieldpath.Path, bool) {
	if len(field) == 0 || value == nil {
		return nil, false
	}
	last := field[len(field)-1].FieldName
	var all, named []fieldpath.Path
	walk(nil, values, func(p fieldpath.Path, v any) {
		if !equal(v, value) {
			return
		}
		all = append(all, p)
		if key := p[len(p)-1].FieldName; last != nil && key != nil && *key == *last {
			named = append(named, p)
		}
	})
	switch {
	case len(named) == 1:
		return named[0], true
	case len(all) == 1 && telling(value):
		return all[0], true
	}
	return nil, false
}

// telling reports whether few values are like this one by chance.
func telling(v any) bool {
	switch v := v.(type) {
	case bool, nil:
		return false
	case string:
		return len(v) > 2
	default:
		text := fmt.Sprint(v)
		return text != "0" && text != "1"
	}
}

// equal reports whether two scalars are the same, where numbers may be of different types.
func equal(a, b any) bool {
	one, err := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && string(one) == string(other)
}

// walk visits all scalars of values, but for those in lists, which templates loop over.
func walk(at fieldpath.Path, v any, visit func(fieldpath.Path, any)) {
	m, ok := v.(map[string]any)
	if !ok {
		if _, list := v.([]any); !list && len(at) > 0 {
			visit(at, v)
		}
		return
	}
	for key, inner := range m {
		walk(append(at.Copy(), fieldpath.PathElement{FieldName: &key}), inner, visit)
	}
}

// Below returns a path of one object within another, such as a value below spec.values.
func Below(parent string, p fieldpath.Path) fieldpath.Path {
	var out fieldpath.Path
	for step := range strings.SplitSeq(parent, ".") {
		out = append(out, fieldpath.PathElement{FieldName: &step})
	}
	return append(out, p...)
}
