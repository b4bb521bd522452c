package origin

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/deploy/cli/internal/yamlnode"
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
	if items := yamlnode.Child(doc, "items"); items != nil && strings.HasSuffix(yamlnode.Text(doc, "kind"), "List") {
		return items.Content
	}
	return []*yaml.Node{doc}
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
			name, value := yamlnode.Entry(n, *step.FieldName)
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
				switch got := yamlnode.Child(n, key.Name); {
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
