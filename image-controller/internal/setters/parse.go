package setters

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// What a file may have. The parser builds a tree of some 200 bytes a node, and there are at most
// two nodes for each character that is an indicator.
const (
	maxSize       = 4 << 20 // bytes
	maxIndicators = 200_000
	maxDocuments  = 10_000
	maxDepth      = 200
)

// parse returns the documents of a file. It expands no alias.
func parse(content []byte) (docs []*yaml.Node, err error) {
	if err := check(content); err != nil {
		return nil, err
	}
	defer func() {
		// The parser panics where it finds itself in a state that it does not know.
		if recover() != nil {
			docs, err = nil, fmt.Errorf("%w: the parser gave up", ErrYAML)
		}
	}()
	for in := yaml.NewDecoder(bytes.NewReader(content)); ; {
		doc := &yaml.Node{}
		switch err := in.Decode(doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %s", ErrYAML, strings.TrimPrefix(err.Error(), "yaml: "))
		case len(docs) == maxDocuments:
			return nil, fmt.Errorf("%w: more than %d documents", ErrLimit, maxDocuments)
		}
		docs = append(docs, doc)
	}
}

// check refuses what would be expensive to parse, and the characters whose line the parser does
// not say.
func check(content []byte) error {
	if len(content) > maxSize {
		return fmt.Errorf("%w: %d bytes, and %d are the most", ErrLimit, len(content), maxSize)
	}
	indicators := 0
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fmt.Errorf("%w: line %d: not UTF-8", ErrYAML, newSource(content[:i]).lineAt(i))
		case !allowed(r):
			return fmt.Errorf("%w: line %d: control characters are not allowed", ErrYAML, newSource(content[:i]).lineAt(i))
		case strings.ContainsRune("\n\r\u0085\u2028\u2029-?:,[{", r):
			indicators++
		}
		i += size
	}
	if indicators > maxIndicators {
		return fmt.Errorf("%w: more than %d lines, entries and keys", ErrLimit, maxIndicators)
	}
	return nil
}

// allowed says whether YAML may have the character.
func allowed(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r == '\u0085':
		return true
	case r < ' ', r >= 0x7F && r < 0xA0, r == 0xFFFE, r == 0xFFFF:
		return false
	}
	return true
}

// objectOf names the object that a map describes.
func objectOf(n *yaml.Node) ObjectID {
	meta := field(n, "metadata")
	return ObjectID{
		APIVersion: scalar(field(n, "apiVersion")),
		Kind:       scalar(field(n, "kind")),
		Namespace:  scalar(field(meta, "namespace")),
		Name:       scalar(field(meta, "name")),
	}
}

// field returns the value of a key of a map, or nil.
func field(n *yaml.Node, key string) *yaml.Node {
	if n = target(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// scalar returns the text of a scalar, or nothing.
func scalar(n *yaml.Node) string {
	if n = target(n); n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}

// target returns what an alias stands for, and other nodes as they are.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
