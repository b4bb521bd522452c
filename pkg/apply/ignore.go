package apply

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/pkg/apis/kustomize"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/manifest"
)

// IgnoreRule names fields that are written when an object is created, and never after
// that.
type IgnoreRule struct {
	// Paths are JSON pointers to the fields, such as /spec/replicas.
	Paths []string
	// Target selects the objects; nil selects all.
	Target *kustomize.Selector
	// Field is where the rule comes from, for errors; "" means its place in spec.ignore.
	Field string
}

// pointer is a JSON pointer, by its steps.
type pointer []string

// ignoreRule is an IgnoreRule that was read.
type ignoreRule struct {
	paths   []pointer
	matches func(*unstructured.Unstructured) bool
}

// readRules reads rules. Errors name what is wrong, and where.
func readRules(rules []IgnoreRule) ([]ignoreRule, error) {
	out := make([]ignoreRule, len(rules))
	for i, r := range rules {
		at := cmp.Or(r.Field, fmt.Sprintf("spec.ignore[%d]", i))
		if len(r.Paths) == 0 {
			return nil, fmt.Errorf("%s.paths: at least one is needed, such as /spec/replicas", at)
		}
		for j, text := range r.Paths {
			p, err := readPointer(text)
			if err != nil {
				return nil, fmt.Errorf("%s.paths[%d]: %q %w", at, j, text, err)
			}
			out[i].paths = append(out[i].paths, p)
		}
		var err error
		if out[i].matches, err = readSelector(r.Target); err != nil {
			return nil, fmt.Errorf("%s.target.%w", at, err)
		}
	}
	return out, nil
}

// identity are the fields without which an object is none.
var identity = []string{"/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"}

// readPointer reads a JSON pointer.
func readPointer(text string) (pointer, error) {
	steps, absolute := strings.CutPrefix(text, "/")
	switch {
	case !absolute || steps == "":
		return nil, fmt.Errorf("is no JSON pointer to a field, such as /spec/replicas")
	case slices.Contains(identity, text):
		return nil, fmt.Errorf("is what tells which object it is, and cannot be ignored")
	}
	var p pointer
	for step := range strings.SplitSeq(steps, "/") {
		if strings.HasSuffix(strings.NewReplacer("~0", "", "~1", "").Replace(step), "~") || badEscape.MatchString(step) {
			return nil, fmt.Errorf("is no JSON pointer: ~ is written ~0, and / in a name ~1")
		}
		p = append(p, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	return p, nil
}

var badEscape = regexp.MustCompile(`~[^01]`)

// readSelector reads a selector as kustomize does: patterns are anchored at both ends,
// and what is not set selects all. Errors begin by the field.
func readSelector(s *kustomize.Selector) (func(*unstructured.Unstructured) bool, error) {
	if s == nil {
		return func(*unstructured.Unstructured) bool { return true }, nil
	}
	patterns := make([]*regexp.Regexp, 0, 5)
	for _, field := range []struct{ name, pattern string }{
		{"group", s.Group}, {"version", s.Version}, {"kind", s.Kind}, {"name", s.Name}, {"namespace", s.Namespace},
	} {
		if field.pattern == "" {
			field.pattern = ".*"
		}
		re, err := regexp.Compile("^(?:" + field.pattern + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no regular expression: %w", field.name, field.pattern, err)
		}
		patterns = append(patterns, re)
	}
	byLabel, err := labels.Parse(s.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("labelSelector: %w", err)
	}
	byAnnotation, err := labels.Parse(s.AnnotationSelector)
	if err != nil {
		return nil, fmt.Errorf("annotationSelector: %w", err)
	}
	return func(obj *unstructured.Unstructured) bool {
		gvk := obj.GroupVersionKind()
		for i, value := range []string{gvk.Group, gvk.Version, gvk.Kind, obj.GetName(), obj.GetNamespace()} {
			if !patterns[i].MatchString(value) {
				return false
			}
		}
		return byLabel.Matches(labels.Set(obj.GetLabels())) && byAnnotation.Matches(labels.Set(obj.GetAnnotations()))
	}, nil
}

// ignoredIn returns the paths that rules name for an object.
func ignoredIn(obj *unstructured.Unstructured, rules []ignoreRule) []pointer {
	var out []pointer
	for _, r := range rules {
		if r.matches(obj) {
			out = append(out, r.paths...)
		}
	}
	return out
}

// withoutIgnored returns obj without some of its fields, as it counts. Items of lists
// stay as empty places. obj itself is not changed.
func withoutIgnored(obj *unstructured.Unstructured, paths []pointer) *unstructured.Unstructured {
	if len(paths) == 0 {
		return obj
	}
	out := obj.DeepCopy()
	for _, p := range paths {
		var at any = out.Object
		for i, step := range p {
			last := i == len(p)-1
			switch v := at.(type) {
			case map[string]any:
				if at = v[step]; last {
					delete(v, step)
				}
			case []any:
				if at = nil; indexOf(step, v) >= 0 {
					n := indexOf(step, v)
					if at = v[n]; last {
						v[n] = nil
					}
				}
			}
		}
	}
	return out
}

// indexOf returns the place in a list that a step of a JSON pointer leads to, -1 if it
// has none.
func indexOf(step string, list []any) int {
	n, err := strconv.Atoi(step)
	if err != nil || n < 0 || n >= len(list) || strconv.Itoa(n) != step {
		return -1
	}
	return n
}

// fieldPath returns where a pointer leads to in content, as a path of managedFields: by
// the keys of list items, where guide, which has the fields that somebody owns, knows
// such keys. It reports false if it leads to no field.
func (p pointer) fieldPath(content any, guide *fieldpath.Set) (fieldpath.Path, bool) {
	path := make(fieldpath.Path, 0, len(p))
	for _, step := range p {
		element := name(step)
		if list, ok := content.([]any); ok {
			n := indexOf(step, list)
			if n < 0 {
				return nil, false
			}
			element = manifest.StepTo(list, n, guide)
		}
		path = append(path, element)
		content, _ = manifest.At(content, fieldpath.Path{element})
		guide = guide.WithPrefix(element)
	}
	return path, true
}

// fieldPaths returns where pointers lead to, from the first of some contents in which
// they lead anywhere.
func fieldPaths(paths []pointer, guide *fieldpath.Set, contents ...*unstructured.Unstructured) *fieldpath.Set {
	out := fieldpath.NewSet()
	for _, p := range paths {
		for _, c := range contents {
			if c == nil {
				continue
			}
			if path, ok := p.fieldPath(c.Object, guide); ok {
				out.Insert(path)
				break
			}
		}
	}
	return out
}

// situation is who has what in a live object.
type situation struct {
	live         *unstructured.Unstructured
	mine, others *fieldpath.Set // by apply
	all          *fieldpath.Set
}

// situationOf returns the situation of a live object.
func situationOf(live *unstructured.Unstructured, m Managers) situation {
	s := situation{live: live, mine: fieldpath.NewSet(), others: fieldpath.NewSet(), all: owned(live)}
	for _, e := range live.GetManagedFields() {
		if e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		set, err := fieldsOf(e)
		switch {
		case err != nil: // no entry that an API server wrote
		case m.owns(e):
			s.mine = set
		default:
			s.others = s.others.Union(set)
		}
	}
	return s
}

// owned returns the fields of an object that anybody owns.
func owned(obj metav1.Object) *fieldpath.Set {
	all := fieldpath.NewSet()
	for _, e := range obj.GetManagedFields() {
		if e.FieldsV1 == nil {
			continue
		}
		if set, err := fieldsOf(e); err == nil {
			all = all.Union(set)
		}
	}
	return all
}

// payload returns what to apply in the place of desired so that the ignored fields of
// the live object stay as they are. One that another manager applies is left to it;
// any other has the value that it has anyway.
func (s situation) payload(desired *unstructured.Unstructured, paths []pointer) *unstructured.Unstructured {
	out := desired.DeepCopy()
	fieldPaths(paths, s.all, desired, s.live).Iterate(func(p fieldpath.Path) {
		want, wanted := manifest.At(out.Object, p)
		if v, ok := s.asItIs(p, want, wanted); ok {
			out.Object, _ = manifest.Put(out.Object, p, v).(map[string]any)
		} else if wanted {
			out = manifest.Without(out, fieldpath.NewSet(p.Copy()))
		}
	})
	return out
}

// asItIs returns the value to apply at a path so that nothing changes there; false means
// to apply none.
func (s situation) asItIs(p fieldpath.Path, want any, wanted bool) (any, bool) {
	now, exists := manifest.At(s.live.Object, p)
	fields, isMap := now.(map[string]any)
	wants, wantsMap := want.(map[string]any)
	atomic := s.all.Has(p) && !hasBelow(s.all, p)
	if isMap && !atomic && (wantsMap || !wanted) {
		out := make(map[string]any, len(fields))
		for key := range fields {
			v, ok := wants[key]
			if v, ok = s.asItIs(append(p.Copy(), name(key)), v, ok); ok {
				out[key] = v
			}
		}
		return out, len(out) > 0 || len(fields) == 0 && wanted
	}
	switch {
	case !exists, s.others.Has(p), hasBelow(s.others, p):
		return nil, false
	default:
		return now, wanted || s.mine.Has(p) || hasBelow(s.mine, p)
	}
}

// hasBelow reports whether a set has a field below p.
func hasBelow(set *fieldpath.Set, p fieldpath.Path) bool {
	for _, element := range p {
		set = set.WithPrefix(element)
	}
	return !set.Empty()
}

// send applies the object of w, with the ignored fields as they are in the cluster. It
// looks again if the object has changed since it was looked at.
func (e *Engine) send(ctx context.Context, w *write, dryRun, whole bool) (answer, error) {
	for n := 0; ; n++ {
		obj, err := e.payload(ctx, w)
		if err != nil {
			return answer{}, err
		}
		data := w.data
		if obj != w.Object {
			data = nil
		}
		a, err := e.client.apply(ctx, w.target, obj, data, manner{dryRun: dryRun, whole: whole, strict: w.strict})
		if w.live == nil || len(w.ignore) == 0 || !apierrors.IsConflict(err) || n == tries {
			return a, err
		}
		w.live = nil
	}
}

// payload returns what to apply: the object of w, but for ignored fields of one that
// exists.
func (e *Engine) payload(ctx context.Context, w *write) (*unstructured.Unstructured, error) {
	if len(w.ignore) == 0 {
		return w.Object, nil
	}
	if w.live == nil {
		live, err := e.client.get(ctx, w.target, w.Object.GetNamespace(), w.Object.GetName())
		if apierrors.IsNotFound(err) {
			return w.Object, nil
		}
		if err != nil {
			return nil, err
		}
		w.live = live
	}
	s := situationOf(w.live, e.managers)
	w.ignored = fieldPaths(w.ignore, s.all, w.Object, w.live)
	obj := s.payload(w.Object, w.ignore)
	e.keepOwner(obj, w.Object)
	obj.SetResourceVersion(w.live.GetResourceVersion()) // the values are those of no other
	return obj, nil
}

// ignoredIn returns the fields that are ignored in an object as it was left, nil if
// there are none.
func (e *Engine) ignoredIn(w *write, left *unstructured.Unstructured) *fieldpath.Set {
	if len(w.ignore) == 0 {
		return nil
	}
	return fieldPaths(w.ignore, owned(left), w.Object, w.live)
}

// keepOwner sees to it that an object names its owner, whatever is ignored: what does
// not is nobody's.
func (e *Engine) keepOwner(out, desired *unstructured.Unstructured) {
	names := out.GetLabels()
	for _, key := range e.owner {
		value, ok := desired.GetLabels()[key]
		if !ok || names[key] == value {
			continue
		}
		if names == nil {
			names = make(map[string]string)
		}
		names[key] = value
	}
	if len(names) > 0 {
		out.SetLabels(names)
	}
}
