package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// separator is what kustomize splits a file at.
var separator = regexp.MustCompile(`\n---.*\n`)

// document is a part of a file, as kustomize splits it.
type document struct {
	line int // of the file, where it begins
	text string
	node *yaml.Node // nil for an empty document
	err  error      // why there is no node
}

// documents splits a file.
func documents(content []byte) []document {
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	var docs []document
	line, from := 1, 0
	ends := append(separator.FindAllStringIndex(text, -1), []int{len(text), len(text)})
	for _, end := range ends {
		doc := document{line: line, text: text[from:end[0]]}
		if end[0] < len(text) {
			doc.text += "\n"
		}
		var node yaml.Node
		switch err := yaml.NewDecoder(strings.NewReader(doc.text)).Decode(&node); {
		case err == nil && len(node.Content) == 1:
			doc.node = node.Content[0]
		case err != nil && strings.TrimSpace(doc.text) != "" && err.Error() != "EOF":
			doc.err = err
		}
		docs = append(docs, doc)
		line += strings.Count(text[from:end[1]], "\n")
		from = end[1]
	}
	return docs
}

// place names a line of a file.
func place(name string, line int) string {
	if line <= 0 {
		return name
	}
	return name + ":" + strconv.Itoa(line)
}

var (
	yamlPrefix = regexp.MustCompile(`^(yaml: )?(unmarshal errors:\s+)?(line (\d+): )?`)
	yamlValue  = regexp.MustCompile("(!!\\w+) `[^`]*`")
	yamlKey    = regexp.MustCompile(`(invalid map key): .*`)
	yamlLine   = regexp.MustCompile(`\bline (\d+)`)
)

// yamlError says where in a file a document is not valid. It does not repeat values.
func yamlError(name string, doc document, err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n\n")
	parts := yamlPrefix.FindStringSubmatch(text)
	line := doc.line
	if parts[2] == "" {
		line += brokenLine(doc.text, text[len(parts[0]):]) - 1
	} else if n, err := strconv.Atoi(parts[4]); err == nil {
		line += n - 1
	}
	text = yamlValue.ReplaceAllString(text[len(parts[0]):], "$1")
	text = yamlKey.ReplaceAllString(text, "$1")
	text = yamlLine.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(s, "line "))
		return "line " + strconv.Itoa(n+doc.line-1)
	})
	return fmt.Errorf("%s: invalid YAML: %s", place(name, line), strings.Join(strings.Fields(text), " "))
}

// brokenLine returns the line of a document at which it cannot be read, for the reason
// that the parser gives: the last one of the shortest beginning with that error. The
// parser itself often names the line at which the block around it begins, or none.
func brokenLine(text, reason string) int {
	lines := slices.Collect(strings.Lines(text))
	n := sort.Search(len(lines), func(i int) bool {
		err := yaml.Unmarshal([]byte(strings.Join(lines[:i+1], "")), &yaml.Node{})
		return err != nil && strings.HasSuffix(err.Error(), reason)
	})
	return min(n+1, len(lines))
}

// errorAt is an error about a field of a kustomization file.
func (k *kustomization) errorAt(at field, format string, args ...any) error {
	name := k.dir
	if k.file != "" {
		name = place(k.file, lineOf(k.content, at))
	}
	return fmt.Errorf("%s: "+format, append([]any{name}, args...)...)
}

// lineOf returns the line of a field, or of as much of it as there is, 0 if there is nothing.
func lineOf(content []byte, at field) int {
	docs := documents(content)
	if len(docs) == 0 || docs[0].node == nil {
		return 0
	}
	node, line := docs[0].node, 0
	for _, step := range at {
		key, value := child(node, step)
		if value == nil {
			break
		}
		node, line = value, key.Line
	}
	return line
}

// child returns a field of a mapping, or an item of a list.
func child(node *yaml.Node, step any) (key, value *yaml.Node) {
	switch step := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return node.Content[step], node.Content[step]
		}
	case string:
		if node.Kind != yaml.MappingNode {
			return nil, nil
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if strings.EqualFold(node.Content[i].Value, step) {
				return node.Content[i], node.Content[i+1]
			}
		}
	}
	return nil, nil
}

var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// explainKustomization says what is wrong with a kustomization file that cannot be decoded.
func explainKustomization(k *kustomization, err error) error {
	if docs := documents(k.content); len(docs) > 0 {
		switch doc := docs[0]; {
		case doc.err != nil:
			return yamlError(k.file, doc, doc.err)
		case doc.node != nil && doc.node.Kind != yaml.MappingNode:
			return fmt.Errorf("%s: not a kustomization: it must be a mapping of fields", place(k.file, doc.line+doc.node.Line-1))
		}
	}
	if found := unknownField.FindStringSubmatch(err.Error()); found != nil {
		return fmt.Errorf("%s: unknown field %q: kustomize has no such field here, correct or remove it",
			place(k.file, lineOfKey(k.content, found[1])), found[1])
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		value, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Errorf("%s: %s is of the wrong type: it must not be of type %s", place(k.file, lineOf(k.content, fieldOf(wrong.Field))), wrong.Field, value)
	}
	return fmt.Errorf("%s: %s", k.file, oneLine(err.Error()))
}

func fieldOf(dotted string) field {
	var f field
	for step := range strings.SplitSeq(dotted, ".") {
		if n, err := strconv.Atoi(step); err == nil {
			f = append(f, n)
		} else {
			f = append(f, step)
		}
	}
	return f
}

// lineOfKey returns the line of the first field of a name, at any depth.
func lineOfKey(content []byte, name string) int {
	var find func(node *yaml.Node) int
	find = func(node *yaml.Node) int {
		for i, part := range node.Content {
			if node.Kind == yaml.MappingNode && i%2 == 0 && part.Value == name {
				return part.Line
			}
			if line := find(part); line > 0 {
				return line
			}
		}
		return 0
	}
	for _, doc := range documents(content) {
		if doc.node != nil {
			return find(doc.node)
		}
	}
	return 0
}
