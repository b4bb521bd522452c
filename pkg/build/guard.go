package build

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// maxExpanded bounds how many nodes a document may have once its aliases are replaced by what they
// stand for.
const maxExpanded = 200_000

// separator is what kustomize splits a stream of documents at.
var separator = regexp.MustCompile(`\n---.*\n`)

// checkAliases refuses YAML that kustomize would expand without end, or into more memory than there
// is. The former overflows the stack, which no recover stops.
func checkAliases(content []byte) error {
	if !bytes.Contains(content, []byte("&")) || !bytes.Contains(content, []byte("*")) {
		return nil
	}
	for _, doc := range separator.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), -1) {
		var node yaml.Node
		if err := yaml.NewDecoder(strings.NewReader(doc)).Decode(&node); err != nil {
			continue // kustomize cannot read it either, or it is no YAML
		}
		if _, err := (expander{}).size(&node); err != nil {
			return err
		}
	}
	return nil
}

// expander knows the sizes of nodes; that of a node which is being measured is 0.
type expander map[*yaml.Node]int

func (e expander) size(n *yaml.Node) (int, error) {
	if size, ok := e[n]; ok {
		if size == 0 {
			return 0, fmt.Errorf("line %d: the YAML anchor %q contains itself: write out what it stands for", n.Line, n.Anchor)
		}
		return size, nil
	}
	e[n] = 0
	size := 1
	parts := n.Content
	if n.Kind == yaml.AliasNode {
		parts = []*yaml.Node{n.Alias}
	}
	for _, part := range parts {
		partSize, err := e.size(part)
		if err != nil {
			return 0, err
		}
		if size += partSize; size > maxExpanded {
			return 0, fmt.Errorf("line %d: with its YAML aliases replaced, the document has more than %d values", n.Line, maxExpanded)
		}
	}
	e[n] = size
	return size, nil
}

// maxRefs bounds how many references may lead to one another in a row.
const maxRefs = 100

// checkSchema refuses an OpenAPI schema with a reference that leads back to itself: kustomize would
// follow it for ever.
func checkSchema(content []byte) error {
	var root any
	if err := sigsyaml.Unmarshal(content, &root); err != nil {
		return nil // kustomize says what is wrong
	}
	return checkRefs(root, root)
}

func checkRefs(root, node any) error {
	switch node := node.(type) {
	case map[string]any:
		if err := chase(root, node); err != nil {
			return err
		}
		for _, value := range node {
			if err := checkRefs(root, value); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range node {
			if err := checkRefs(root, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// chase follows the reference of a schema to the one that has none.
func chase(root any, schema map[string]any) error {
	for range maxRefs {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return nil
		}
		if schema, ok = resolve(root, ref).(map[string]any); !ok {
			return nil
		}
	}
	return fmt.Errorf("the schema has a $ref that leads back to itself: %v", schema["$ref"])
}

// resolve returns what a reference within a document points to, nil for nothing.
func resolve(node any, ref string) any {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	if decoded, err := url.PathUnescape(pointer); err == nil {
		pointer = decoded
	}
	for key := range strings.SplitSeq(pointer, "/") {
		fields, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = fields[strings.NewReplacer("~1", "/", "~0", "~").Replace(key)]
	}
	return node
}

// checkDefinitions refuses a file of the crds field in which a type contains itself: kustomize would
// recurse until the stack overflows.
func checkDefinitions(content []byte) error {
	type schema struct {
		Schema struct {
			Properties map[string]struct {
				Ref string `json:"$ref"`
			}
		}
	}
	var types map[string]schema
	if err := sigsyaml.Unmarshal(content, &types); err != nil {
		return nil // kustomize says what is wrong
	}
	var trail []string
	var walk func(name string) error
	walk = func(name string) error {
		if slices.Contains(trail, name) {
			return fmt.Errorf("the type %s contains itself, which kustomize cannot follow: leave out the property that refers to it", name)
		}
		trail = append(trail, name)
		for _, property := range types[name].Schema.Properties {
			if property.Ref == "" {
				continue
			}
			if err := walk(property.Ref); err != nil {
				return err
			}
		}
		trail = trail[:len(trail)-1]
		return nil
	}
	for name, t := range types {
		if _, ok := t.Schema.Properties["kind"]; !ok {
			continue // kustomize starts at objects only
		}
		if err := walk(name); err != nil {
			return err
		}
	}
	return nil
}
