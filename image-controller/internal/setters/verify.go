package setters

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// verify parses the edited text, and compares it with the documents of the text before. Nothing
// may differ but the wanted values.
func verify(before []*yaml.Node, edited []byte, wanted map[*yaml.Node]string) error {
	after, err := parse(edited)
	if err != nil {
		return fmt.Errorf("%w: after the edit: %s", ErrUnsafe, err.Error())
	}
	if len(after) != len(before) {
		return fmt.Errorf("%w: the edit would make %d documents of %d", ErrUnsafe, len(after), len(before))
	}
	for i := range before {
		if n := difference(before[i], after[i], wanted); n != nil {
			return fmt.Errorf("%w: the edit would change line %d", ErrUnsafe, n.Line)
		}
	}
	return nil
}

// difference returns the first node that is not as it should be after the edit, or nil.
func difference(before, after *yaml.Node, wanted map[*yaml.Node]string) *yaml.Node {
	if before.Kind != after.Kind || before.Anchor != after.Anchor || len(before.Content) != len(after.Content) {
		return before
	}
	value, edited := wanted[before]
	switch {
	case edited && (after.Value != value || after.Tag != tagAfter(before)):
		return before
	case !edited && (before.Value != after.Value || before.Tag != after.Tag || before.Style != after.Style):
		return before
	}
	for i := range before.Content {
		if n := difference(before.Content[i], after.Content[i], wanted); n != nil {
			return n
		}
	}
	return nil
}

// tagAfter is the tag of a node after a string was written to it.
func tagAfter(before *yaml.Node) string {
	if before.Style&yaml.TaggedStyle != 0 {
		return before.Tag
	}
	return "!!str"
}
