package origin

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// documents returns the documents of a file, as far as they can be read.
func documents(content []byte) []*yaml.Node {
	var out []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); err != nil {
			return out // at the end, or where the build would have said what is wrong
		}
		if len(doc.Content) == 1 {
			out = append(out, doc.Content[0])
		}
	}
}

// objectsIn returns a document, or the items of a list.
func objectsIn(doc *yaml.Node) []*yaml.Node {
	if items := child(doc, "items"); items != nil && strings.HasSuffix(text(doc, "kind"), "List") {
		return items.Content
	}
	return []*yaml.Node{doc}
}

// child returns the value of a key, nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	_, v := entry(n, key)
	return v
}

// entries returns the items of a list at a key.
func entries(n *yaml.Node, key string) []*yaml.Node {
	if list := child(n, key); list != nil && list.Kind == yaml.SequenceNode {
		return list.Content
	}
	return nil
}

func entry(n *yaml.Node, key string) (name, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// text returns a scalar below keys, "" if there is none.
func text(n *yaml.Node, keys ...string) string {
	for _, key := range keys {
		n = child(n, key)
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// found is a field in a file.
type found struct {
	value *yaml.Node
	line  int
}

// follow returns what a path leads to; nil if it leads nowhere.
func follow(n *yaml.Node, p fieldpath.Path) *found {
	if n == nil {
		return nil
	}
	line := n.Line
	for _, step := range p {
		switch {
		case step.FieldName != nil:
			name, value := entry(n, *step.FieldName)
			if value == nil {
				return nil
			}
			n, line = value, name.Line
		default:
			if n = item(n, step); n == nil {
				return nil
			}
			line = n.Line
		}
	}
	return &found{value: n, line: line}
}

// item returns the item of a list that a step leads to. Keys that the API server has set by
// default are not in files.
func item(list *yaml.Node, step fieldpath.PathElement) *yaml.Node {
	if list.Kind != yaml.SequenceNode {
		return nil
	}
	for i, n := range list.Content {
		switch {
		case step.Index != nil && *step.Index == i:
			return n
		case step.Value != nil && n.Kind == yaml.ScalarNode && n.Value == fmt.Sprint((*step.Value).Unstructured()):
			return n
		case step.Key != nil:
			hits, misses := 0, 0
			for _, key := range *step.Key {
				switch got := child(n, key.Name); {
				case got == nil:
				case got.Value == fmt.Sprint(key.Value.Unstructured()):
					hits++
				default:
					misses++
				}
			}
			if hits > 0 && misses == 0 {
				return n
			}
		}
	}
	return nil
}
