package helmvalues

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/fluxcd/pkg/apis/meta"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxSize limits how much the entries of one spec may have together. An object of the API
// has at most a mebibyte, but many entries may name it.
const maxSize = 16 << 20

var (
	// ErrNoKey is returned when an object does not have the key of an entry.
	ErrNoKey = errors.New("there is no such key")

	// ErrNoMap is returned when what should be a map of values is none.
	ErrNoMap = errors.New("not a map of values in YAML")

	// ErrPath is returned when a value cannot be set at the target path of an entry.
	ErrPath = errors.New("cannot set the value at the target path")

	// ErrKind is returned when an entry names a kind of object that has no values.
	ErrKind = errors.New("values come from a ConfigMap or a Secret")

	// ErrTooLarge is returned when the entries have more than is good for anybody.
	ErrTooLarge = fmt.Errorf("values of all entries are larger than %d MiB", maxSize>>20)
)

// Spec is what a HelmRelease says about its values.
type Spec struct {
	Namespace string // of the objects
	From      []meta.ValuesReference
	Inline    *apiextensionsv1.JSON // may be nil
}

// Reader reads objects.
type Reader interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// Compose merges what the entries of spec have, in their order, and then the inline
// values: maps are merged, anything else is replaced by the later value. An object is
// read once, however many entries name it. One that does not exist, and a key that it does
// not have, is passed over if the entry is optional. The result is the caller's.
//
// An entry with a target path sets one value, as the flag --set of the helm command does;
// of the spec, the first one such sees everything that is inline as merged already. Its
// value wins over an inline one if the map around it came from inline values only. It
// loses if it has no map around it, if an earlier entry has the same map, and if it is not
// the first with a target path. This is how it has come about in Flux, and what
// releases in clusters were made with.
func Compose(ctx context.Context, spec Spec, read Reader, set Setter) (map[string]any, error) {
	inline, err := inlineValues(spec.Inline)
	if err != nil {
		return nil, err
	}
	from := source{namespace: spec.Namespace, read: read, known: make(map[objectID]data), left: maxSize}
	result := map[string]any{}
	for _, ref := range spec.From {
		value, found, err := from.value(ctx, ref)
		if err == nil && found {
			result, err = set.add(result, inline, ref, value)
		}
		if err != nil {
			return nil, fmt.Errorf("values from %s %s/%s, key %q: %w", ref.Kind, spec.Namespace, ref.Name, ref.GetValuesKey(), err)
		}
	}
	return merge(result, inline), nil
}

// add puts what an entry has into result.
func (s Setter) add(result, inline map[string]any, ref meta.ValuesReference, value []byte) (map[string]any, error) {
	if ref.TargetPath == "" {
		more, err := parse(value)
		return merge(result, more), err
	}
	// What only inline has is not copied here. So what is set in it is set in inline,
	// too, and still there when that is merged at the end.
	result = merge(result, inline)
	if err := s.set(result, ref, string(value)); err != nil {
		return nil, fmt.Errorf("%w %q", err, ref.TargetPath)
	}
	return result, nil
}

// merge returns a with b over it. Maps that both have are merged into new ones; all else
// is shared with the result.
func merge(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	maps.Copy(out, a)
	for key, value := range b {
		ours, isMap := out[key].(map[string]any)
		theirs, areMaps := value.(map[string]any)
		if isMap && areMaps {
			out[key] = merge(ours, theirs)
		} else {
			out[key] = value
		}
	}
	return out
}

// inlineValues decodes values that are written in the spec.
func inlineValues(raw *apiextensionsv1.JSON) (map[string]any, error) {
	if raw == nil || len(raw.Raw) == 0 {
		return nil, nil
	}
	var values map[string]any
	if err := json.Unmarshal(raw.Raw, &values); err != nil {
		return nil, fmt.Errorf("spec.values: %w", ErrNoMap)
	}
	return values, nil
}

// objectID names an object that has values.
type objectID struct{ kind, name string }

// data is what an object has; that of one that does not exist has the error that says so.
type data struct {
	values map[string][]byte
	absent error
}

// source has the objects that were read.
type source struct {
	namespace string
	read      Reader
	known     map[objectID]data
	left      int // bytes that may still be taken
}

// value returns what an entry is about. What is missing and optional is not found.
func (s *source) value(ctx context.Context, ref meta.ValuesReference) (value []byte, found bool, err error) {
	object, err := s.object(ctx, objectID{kind: ref.Kind, name: ref.Name})
	if err != nil {
		return nil, false, err
	}
	value, found = object.values[ref.GetValuesKey()]
	switch {
	case !found && ref.Optional:
		return nil, false, nil
	case object.absent != nil:
		return nil, false, object.absent
	case !found:
		return nil, false, ErrNoKey
	}
	if s.left -= len(value); s.left < 0 {
		return nil, false, ErrTooLarge
	}
	return value, true, nil
}

// object returns what an object has, whose absence is no error yet.
func (s *source) object(ctx context.Context, id objectID) (data, error) {
	if known, ok := s.known[id]; ok {
		return known, nil
	}
	values, err := get(ctx, s.read, id.kind, client.ObjectKey{Namespace: s.namespace, Name: id.name})
	if err != nil && !apierrors.IsNotFound(err) {
		return data{}, err
	}
	s.known[id] = data{values: values, absent: err}
	return s.known[id], nil
}
