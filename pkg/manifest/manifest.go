// Package manifest reads Kubernetes objects from YAML, names them, and knows the
// order in which kinds depend on each other.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	for _, doc := range split(data) {
		var err error
		if out, err = appendDocument(out, doc.text); err != nil {
			return nil, fmt.Errorf("document at line %d: %w", doc.begin(), err)
		}
	}
	return out, nil
}

// document is one document of a stream, and the line that it starts at.
type document struct {
	text []byte
	line int
}

// split cuts a stream at the lines that begin by the markers --- and ... of YAML.
// What follows a marker on its line is part of the document that it opens.
func split(data []byte) []document {
	var docs []document
	doc, from, at, number := document{line: 1}, 0, 0, 1
	for line := range bytes.Lines(data) {
		if isMarker(line) {
			doc.text = data[from:at]
			docs = append(docs, doc)
			doc, from = document{line: number}, at+len(line)-len(bytes.TrimLeft(line[len("---"):], " \t"))
		}
		at += len(line)
		number++
	}
	doc.text = data[from:]
	return append(docs, doc)
}

func isMarker(line []byte) bool {
	rest, dashes := bytes.CutPrefix(line, []byte("---"))
	if !dashes {
		var dots bool
		if rest, dots = bytes.CutPrefix(line, []byte("...")); !dots {
			return false
		}
	}
	return len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0
}

// begin is the line of the first thing that is said.
func (d document) begin() int {
	number := d.line
	for line := range bytes.Lines(d.text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			break
		}
		number++
	}
	return number
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
	if err := obj.UnmarshalJSON(data); err != nil && !runtime.IsMissingKind(err) {
		return nil, fmt.Errorf("%w: %w", ErrNoObject, err)
	}
	return appendExpanded(out, obj)
}

// appendExpanded appends obj, or the items if it is a list.
func appendExpanded(out []*unstructured.Unstructured, obj *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	if obj.GetKind() == "" || obj.GetAPIVersion() == "" {
		return nil, fmt.Errorf("%w: apiVersion or kind is missing", ErrNoObject)
	}
	if !obj.IsList() {
		return append(out, obj), nil
	}
	items, _ := obj.Object["items"].([]any)
	for _, item := range items {
		content, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%w: an item of the list is none", ErrNoObject)
		}
		var err error
		if out, err = appendExpanded(out, &unstructured.Unstructured{Object: content}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
