package build

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// maxExpanded bounds how many nodes a document may have once its aliases are replaced by what they
// stand for.
const maxExpanded = 200_000

// checkYAML refuses documents that end the process if kustomize gets them: it expands an alias
// within its own anchor until the stack overflows, and it exits when it wants to show an object that
// cannot be written as JSON. What is not YAML, or no object, is left to kustomize.
func checkYAML(name string, content []byte) error {
	for _, doc := range documents(content) {
		if doc.node == nil {
			continue
		}
		if _, err := (expander{}).size(doc.node); err != nil {
			return fmt.Errorf("%s: %w", place(name, doc.line), err)
		}
		if _, kind := child(doc.node, "kind"); kind == nil {
			continue
		}
		var values map[string]any
		if err := doc.node.Decode(&values); err != nil {
			return yamlError(name, doc, err)
		}
		if _, err := json.Marshal(values); err != nil {
			return fmt.Errorf("%s: the object has what JSON has not: .nan, .inf, or a key that is not a string", place(name, doc.line))
		}
	}
	return nil
}

// checkText is checkYAML for YAML that is a value in other YAML, which kustomize trims or does not.
func checkText(name, text string) error {
	for _, form := range slices.Compact([]string{text, strings.TrimSpace(text)}) {
		if err := checkYAML(name, []byte(form)); err != nil {
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
			return 0, fmt.Errorf("the YAML anchor %q contains itself: write out what it stands for", n.Anchor)
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
			return 0, fmt.Errorf("with its YAML aliases replaced, the document has more than %d values: split it", maxExpanded)
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
		for _, name := range slices.Sorted(maps.Keys(node)) {
			if err := checkRefs(root, node[name]); err != nil {
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
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if _, ok := types[name].Schema.Properties["kind"]; !ok {
			continue // kustomize starts at objects only
		}
		if err := walk(name); err != nil {
			return err
		}
	}
	return nil
}
