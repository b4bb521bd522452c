// Package manifest reads Kubernetes objects from YAML, names them, and knows the
// order in which kinds depend on each other.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// ID identifies an object in a cluster, whatever the version of its API.
type ID struct {
	Group     string // empty for the core API
	Kind      string
	Namespace string // empty for cluster scoped kinds
	Name      string
}

// IDOf returns the identity of an object.
func IDOf(obj *unstructured.Unstructured) ID {
	gvk := obj.GroupVersionKind()
	return ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// GroupKind returns the kind of the object.
func (id ID) GroupKind() schema.GroupKind { return schema.GroupKind{Group: id.Group, Kind: id.Kind} }

// String returns the form in which users know an object: Kind/namespace/name.
func (id ID) String() string {
	if id.Namespace == "" {
		return id.Kind + "/" + id.Name
	}
	return id.Kind + "/" + id.Namespace + "/" + id.Name
}

// Compare orders identities by group, kind, namespace and name.
func (id ID) Compare(other ID) int {
	for _, c := range [...]int{
		strings.Compare(id.Group, other.Group), strings.Compare(id.Kind, other.Kind),
		strings.Compare(id.Namespace, other.Namespace), strings.Compare(id.Name, other.Name),
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}

// ErrNoObject marks a document that is no Kubernetes object.
var ErrNoObject = errors.New("not a Kubernetes object")

// Read decodes the documents of a YAML stream. Empty documents are dropped and
// lists expanded. A document that is no object is an error, which says the line
// at which the document begins.
func Read(data []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	rest := data
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("splitting YAML documents: %w", err)
		}
		at := bytes.Index(rest, doc)
		line := 1 + bytes.Count(data[:len(data)-len(rest)+max(at, 0)], []byte("\n"))
		if at >= 0 {
			rest = rest[at+len(doc):]
		}
		if out, err = appendDocument(out, doc); err != nil {
			return nil, fmt.Errorf("document at line %d: %w", line, err)
		}
	}
}

// appendDocument decodes one document.
func appendDocument(out []*unstructured.Unstructured, doc []byte) ([]*unstructured.Unstructured, error) {
	data, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	if string(data) == "null" {
		return out, nil
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		if runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) {
			return nil, fmt.Errorf("%w: apiVersion or kind is missing", ErrNoObject)
		}
		return nil, fmt.Errorf("%w: %w", ErrNoObject, err)
	}
	return appendExpanded(out, obj)
}

// appendExpanded appends obj, or the items if it is a list.
func appendExpanded(out []*unstructured.Unstructured, obj *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	if !obj.IsList() {
		return append(out, obj), nil
	}
	err := obj.EachListItem(func(item runtime.Object) error {
		u, ok := item.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("%w: an item of the list is a %T", ErrNoObject, item)
		}
		var err error
		out, err = appendExpanded(out, u)
		return err
	})
	return out, err
}
