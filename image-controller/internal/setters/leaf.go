package setters

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A role is what a node is to the one around it.
type role int

const (
	documentRole role = iota // all of a document
	keyRole                  // of a map, or within one
	valueRole                // of a map
	itemRole                 // of a list
)

// leaf is a scalar or an alias, and where its text is.
type leaf struct {
	node       *yaml.Node
	object     *ObjectID
	role       role
	start, end int  // of the text, as source.extent says
	properties bool // an anchor or a tag is before the text
}

// block says whether the text of the leaf is lines of their own.
func (l *leaf) block() bool { return l.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// locate returns the leaves of all documents in the order of the text.
func locate(src *source, docs []*yaml.Node) ([]leaf, error) {
	w := walk{src: src}
	for _, doc := range docs {
		for _, root := range doc.Content {
			object := objectOf(root)
			w.items = itemsOf(root, object)
			if err := w.visit(root, documentRole, &object, 0); err != nil {
				return nil, err
			}
		}
	}
	// The parser puts empty values of keys that end together in the order of their ends.
	slices.SortStableFunc(w.leaves, func(a, b leaf) int { return cmp.Compare(a.start, b.start) })
	return w.leaves, nil
}

// itemsOf returns the list of objects that a document is, or nil.
func itemsOf(root *yaml.Node, object ObjectID) *yaml.Node {
	if !strings.HasSuffix(object.Kind, "List") {
		return nil
	}
	return field(root, "items")
}

// walk collects the leaves of documents.
type walk struct {
	src    *source
	items  *yaml.Node // the nodes in it are objects of their own
	leaves []leaf
}

func (w *walk) visit(n *yaml.Node, r role, object *ObjectID, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: line %d: nested deeper than %d", ErrLimit, n.Line, maxDepth)
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if err := w.visit(n.Content[i], keyRole, object, depth+1); err != nil {
				return err
			}
			if err := w.visit(n.Content[i+1], within(r, valueRole), object, depth+1); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for _, child := range n.Content {
			of := object
			if n == w.items {
				id := objectOf(child)
				of = &id
			}
			if err := w.visit(child, within(r, itemRole), of, depth+1); err != nil {
				return err
			}
		}
	case yaml.ScalarNode, yaml.AliasNode:
		return w.leaf(n, r, object)
	}
	return nil
}

// within returns the role of a node in a collection: what is in a key, is a key.
func within(outer, inner role) role {
	if outer == keyRole {
		return keyRole
	}
	return inner
}

func (w *walk) leaf(n *yaml.Node, r role, object *ObjectID) error {
	at, ok := w.src.offset(n)
	if !ok && isEmpty(n) {
		at, ok = len(w.src.text), true // behind a comment, the parser sees one more line at the end
	}
	if !ok {
		return fmt.Errorf("%w: line %d is not where the parser says", ErrUnsafe, n.Line)
	}
	l := leaf{node: n, object: object, role: r}
	if l.start, l.end, ok = w.src.extent(n, at); !ok {
		return fmt.Errorf("%w: line %d: the value is not where the parser says", ErrUnsafe, n.Line)
	}
	l.properties = l.start > at
	w.leaves = append(w.leaves, l)
	return nil
}
