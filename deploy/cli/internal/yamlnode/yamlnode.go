// Package yamlnode looks up what is in nodes of YAML, which know where in a file they are. A
// node that is nil, or of another kind, has nothing in it.
package yamlnode

import "go.yaml.in/yaml/v3"

// Entry returns a key of a mapping, and its value; nil if there is none.
func Entry(n *yaml.Node, key string) (name, value *yaml.Node) {
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

// Child returns the value of a key, nil if there is none.
func Child(n *yaml.Node, key string) *yaml.Node {
	_, v := Entry(n, key)
	return v
}

// Items returns the items of a list at a key.
func Items(n *yaml.Node, key string) []*yaml.Node {
	if list := Child(n, key); list != nil && list.Kind == yaml.SequenceNode {
		return list.Content
	}
	return nil
}

// Text returns a scalar below keys, "" if there is none.
func Text(n *yaml.Node, keys ...string) string {
	for _, key := range keys {
		n = Child(n, key)
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}
