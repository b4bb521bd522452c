package overlay

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// write returns an object as YAML, as kustomize and then Helm write it.
func write(obj *resource.Resource) (string, error) {
	var w writer
	if w.mapping(obj.YNode(), "") {
		return w.out.String(), nil
	}
	return writeAny(obj)
}

// writeAny has kustomize write an object, and what Helm uses write it again: each has a say
// in which values are quoted, and where lines are broken.
func writeAny(obj *resource.Resource) (string, error) {
	data, err := obj.AsYAML()
	if err != nil {
		return "", errors.New("it cannot be written as JSON, which has no .nan, .inf, or keys that are not strings")
	}
	nodes, err := kio.FromBytes(data)
	if err != nil {
		return "", errors.New("it cannot be written as YAML")
	}
	text, err := encode(nodes)
	if err == nil && strings.HasSuffix(text, "\n\n") {
		// The last value ends in empty lines, and more would become part of it.
		for _, n := range nodes {
			quoteLast(n.YNode())
		}
		text, err = encode(nodes)
	}
	return text, err
}

func encode(nodes []*yaml.RNode) (string, error) {
	var out bytes.Buffer
	if err := (kio.ByteWriter{Writer: &out}).Write(nodes); err != nil {
		return "", errors.New("it cannot be written as YAML")
	}
	return out.String(), nil
}

// quoteLast has the last value within a node written in quotes.
func quoteLast(n *yaml.Node) {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	n.Style = yaml.DoubleQuotedStyle
}

// writer writes what needs no thought, which is most, in a fraction of the time. Its methods
// report whether they could; if not, nothing that was written counts.
type writer struct {
	out strings.Builder
}

var (
	// plain matches text that is written as it is, unless it is one of the words below.
	plain = regexp.MustCompile(`^(--?)?[A-Za-z/][A-Za-z0-9._/=@+-]*(:[A-Za-z0-9/][A-Za-z0-9._/=@+-]*)*$`)
	// several matches words that are written as they are; see short.
	several = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9._/=@+-]*( [A-Za-z0-9/][A-Za-z0-9._/=@+-]*)+$`)
	// short matches text that is written on one line.
	short = regexp.MustCompile(`^[ -~]{0,60}$`)
	// whole and fraction match numbers that are written as they are read.
	whole    = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,14})$`)
	fraction = regexp.MustCompile(`^-?[0-9]{1,5}\.[0-9]{1,5}$`)
	// quantity matches text that starts like a number, and is none for anybody.
	quantity = regexp.MustCompile(`^([0-9]{1,9}(m|Ki|Mi|Gi|Ti|%)|[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})$`)
)

// maxKey is how long a key can be to be written like others.
const maxKey = 100

// mergeKey means something to YAML, also as a value and in quotes.
const mergeKey = "<<"

// words are text that is something else to some readers, however it is written.
var words = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}

// quotedWords is how many of the words are written in quotes.
const quotedWords = 9

// mapping writes the fields of a node, each on a line that begins with indent.
func (w *writer) mapping(n *yaml.Node, indent string) bool {
	fields, ok := sortedFields(n)
	if !ok {
		return false
	}
	for i, f := range fields {
		if i > 0 || w.atLineStart() {
			w.out.WriteString(indent)
		}
		if !w.text(f.key) {
			return false
		}
		w.out.WriteByte(':')
		if !w.value(f.value, indent) {
			return false
		}
	}
	return true
}

// atLineStart reports whether nothing was written on the line yet.
func (w *writer) atLineStart() bool {
	return w.out.Len() == 0 || strings.HasSuffix(w.out.String(), "\n")
}

// value writes what follows the colon of a field.
func (w *writer) value(n *yaml.Node, indent string) bool {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		w.out.WriteByte('\n')
		return w.mapping(n, indent+"  ")
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		w.out.WriteByte('\n')
		return w.sequence(n, indent)
	default:
		w.out.WriteByte(' ')
		return w.leaf(n)
	}
}

// sequence writes the items of a list, which are indented as the field is that they are in.
func (w *writer) sequence(n *yaml.Node, indent string) bool {
	for _, item := range n.Content {
		w.out.WriteString(indent)
		w.out.WriteString("- ")
		switch {
		case item.Kind == yaml.SequenceNode && len(item.Content) > 0:
			return false
		case item.Kind == yaml.MappingNode && len(item.Content) > 0:
			if !w.mapping(item, indent+"  ") {
				return false
			}
		default:
			if !w.leaf(item) {
				return false
			}
		}
	}
	return true
}

// leaf writes what has nothing below it, and ends the line.
func (w *writer) leaf(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.MappingNode:
		w.out.WriteString("{}")
	case yaml.SequenceNode:
		w.out.WriteString("[]")
	case yaml.ScalarNode:
		if !w.scalar(n) {
			return false
		}
	default:
		return false
	}
	w.out.WriteByte('\n')
	return true
}

func (w *writer) scalar(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle != 0 {
		return false
	}
	switch n.ShortTag() {
	case yaml.NodeTagString:
		return w.text(n)
	case yaml.NodeTagInt:
		return w.asIs(n.Value, whole.MatchString(n.Value))
	case yaml.NodeTagBool:
		return w.asIs(n.Value, n.Value == "true" || n.Value == "false")
	case yaml.NodeTagNull:
		return w.asIs("null", n.Value == "null")
	case yaml.NodeTagFloat:
		number, err := strconv.ParseFloat(n.Value, 64)
		return w.asIs(n.Value, err == nil && fraction.MatchString(n.Value) && strconv.FormatFloat(number, 'g', -1, 64) == n.Value)
	default:
		return false
	}
}

func (w *writer) asIs(text string, ok bool) bool {
	w.out.WriteString(text)
	return ok
}

// text writes a string, in quotes if somebody could take it for something else without.
func (w *writer) text(n *yaml.Node) bool {
	s := n.Value
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	switch {
	case n.Style&yaml.TaggedStyle != 0 || s == mergeKey || !quoted && n.ShortTag() != yaml.NodeTagString:
		return false
	case plain.MatchString(s) && !slices.Contains(words, strings.ToLower(s)):
		return w.asIs(s, true)
	case quantity.MatchString(s), short.MatchString(s) && several.MatchString(s):
		return w.asIs(s, true)
	case quoted && (whole.MatchString(s) || slices.Contains(words[:quotedWords], s)):
		return w.asIs(`"`+s+`"`, true)
	case !quoted || !short.MatchString(s):
		return false
	}
	data, err := sigsyaml.Marshal(s)
	text := strings.TrimSuffix(string(data), "\n")
	return w.asIs(text, err == nil && !strings.Contains(text, "\n"))
}

// field is a field of a mapping.
type field struct{ key, value *yaml.Node }

// sortedFields returns the fields of a mapping in the order in which they are written, and
// whether that is clear.
func sortedFields(n *yaml.Node) (fields []field, ok bool) {
	if n.Kind != yaml.MappingNode || n.Style&yaml.TaggedStyle != 0 || len(n.Content)%2 != 0 {
		return nil, false
	}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != yaml.NodeTagString || len(key.Value) > maxKey {
			return nil, false
		}
		fields = append(fields, field{key, n.Content[i+1]})
	}
	ok = true
	slices.SortFunc(fields, func(a, b field) int {
		c, clear := compareKeys(a.key.Value, b.key.Value)
		ok = ok && clear
		return c
	})
	return fields, ok
}

// compareKeys orders keys: others before letters. How digits are ordered depends on what is
// around them, and two fields of one key are none.
func compareKeys(a, b string) (c int, clear bool) {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := rune(a[i]), rune(b[i])
		if x == y {
			continue
		}
		if x >= unicode.MaxASCII || y >= unicode.MaxASCII || unicode.IsDigit(x) || unicode.IsDigit(y) {
			return strings.Compare(a, b), false
		}
		if unicode.IsLetter(x) != unicode.IsLetter(y) {
			if unicode.IsLetter(x) {
				return 1, true
			}
			return -1, true
		}
		return int(x) - int(y), true
	}
	return len(a) - len(b), len(a) != len(b)
}
