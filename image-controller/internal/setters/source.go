package setters

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is the text of a file, with what is needed to find the places that the parser tells.
type source struct {
	text   []byte
	starts []int // of lines

	// Where the last place was, so that long lines are not walked again for each node.
	line, column, at int
}

func newSource(text []byte) *source {
	s := &source{text: text, starts: []int{len(byteOrderMark(text))}}
	for i := s.starts[0]; i < len(text); {
		if size := breakAt(text, i); size > 0 {
			i += size
			s.starts = append(s.starts, i)
		} else {
			i++
		}
	}
	s.line, s.column, s.at = 0, 0, s.starts[0]
	return s
}

// offset returns where a node begins. The parser counts lines and characters from 1, and does not
// count the byte order mark.
func (s *source) offset(n *yaml.Node) (int, bool) {
	line, column := n.Line-1, n.Column-1
	if line < 0 || line >= len(s.starts) || column < 0 {
		return 0, false
	}
	if line != s.line || column < s.column {
		s.line, s.column, s.at = line, 0, s.starts[line]
	}
	for ; s.column < column; s.column++ {
		if s.at >= len(s.text) {
			return 0, false
		}
		_, size := utf8.DecodeRune(s.text[s.at:])
		s.at += size
	}
	return s.at, true
}

// lineAt returns the line of a byte, from 1.
func (s *source) lineAt(offset int) int {
	return sort.SearchInts(s.starts, offset+1)
}

// extent returns the text of a scalar or an alias that begins at an offset, without its anchor and
// its tag. That of a block of lines is its first line, that of an empty scalar has no length.
func (s *source) extent(n *yaml.Node, at int) (start, end int, ok bool) {
	start = s.behindProperties(n, at)
	if n.Kind == yaml.AliasNode {
		end = start + len("*") + len(n.Value)
		return start, end, s.has(start, "*"+n.Value)
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end = s.behindQuotes(start, '"', '\\')
		return start, end, end > start
	case n.Style&yaml.SingleQuotedStyle != 0:
		end = s.behindQuotes(start, '\'', '\'')
		return start, end, end > start
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return start, s.lineEnd(start), s.has(start, "|") || s.has(start, ">")
	}
	end = start
	for _, word := range strings.FieldsFunc(n.Value, isSpace) {
		end = s.behindSpace(end)
		if !s.has(end, word) {
			return 0, 0, false
		}
		end += len(word)
	}
	return start, end, true
}

// behindProperties skips the anchor and the tag of a node, and what is between them and the value.
func (s *source) behindProperties(n *yaml.Node, at int) int {
	// A tag of ! alone leaves no trace in the node.
	anchor, tag := n.Anchor != "", n.Style&yaml.TaggedStyle != 0 || !isEmpty(n)
	end := at
	for at < len(s.text) {
		switch c := s.text[at]; {
		case anchor && c == '&':
			anchor, end = false, at+len("&")+len(n.Anchor)
		case tag && c == '!':
			tag, end = false, s.wordEnd(at)
		case isEmpty(n):
			return end
		default:
			return at
		}
		at = s.behindComments(s.behindSpace(end))
	}
	return end
}

// behindQuotes returns the end of a quoted scalar, or its start if that is not where it is. A
// quote does not end it behind a backslash in double quotes, and doubled in single quotes.
func (s *source) behindQuotes(start int, mark, escape byte) int {
	if !s.has(start, string(mark)) {
		return start
	}
	for i := start + 1; i < len(s.text); i++ {
		switch {
		case s.text[i] == escape && escape != mark, s.text[i] == mark && escape == mark && s.has(i+1, string(mark)):
			i++
		case s.text[i] == mark:
			return i + 1
		}
	}
	return start
}

func (s *source) behindSpace(at int) int {
	for at < len(s.text) && s.spaceAt(at) {
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at
}

func (s *source) wordEnd(at int) int {
	for at < len(s.text) && !s.spaceAt(at) {
		at++
	}
	return at
}

func (s *source) behindComments(at int) int {
	for at < len(s.text) && s.text[at] == '#' {
		at = s.behindSpace(s.lineEnd(at))
	}
	return at
}

// comment returns the comment that has the byte at an offset, if one that begins behind from does.
// Between nodes, nothing but a comment has a #.
func (s *source) comment(from, offset int) (start, end int, ok bool) {
	for from <= offset {
		i := bytes.IndexByte(s.text[from:], '#')
		if i < 0 || from+i > offset {
			return 0, 0, false
		}
		start = from + i
		if end = s.lineEnd(start); offset < end {
			return start, end, true
		}
		from = end
	}
	return 0, 0, false
}

// lineEnd returns where the line break is that follows an offset.
func (s *source) lineEnd(at int) int {
	for at < len(s.text) && breakAt(s.text, at) == 0 {
		at++
	}
	return at
}

func (s *source) has(at int, text string) bool {
	return at <= len(s.text) && bytes.HasPrefix(s.text[at:], []byte(text))
}

func (s *source) spaceAt(at int) bool {
	return isBlank(s.text[at]) || breakAt(s.text, at) > 0
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isSpace(r rune) bool { return strings.ContainsRune(" \t\n\r\u0085\u2028\u2029", r) }

// breakAt returns the length of the line break at an offset, by the rules of YAML 1.1, or 0.
func breakAt(text []byte, at int) int {
	switch c := text[at]; {
	case c == '\n':
		return 1
	case c == '\r' && at+1 < len(text) && text[at+1] == '\n':
		return 2
	case c == '\r':
		return 1
	case c == 0xC2 && bytes.HasPrefix(text[at:], []byte("\u0085")):
		return 2
	case c == 0xE2 && (bytes.HasPrefix(text[at:], []byte("\u2028")) || bytes.HasPrefix(text[at:], []byte("\u2029"))):
		return 3
	}
	return 0
}

// byteOrderMark returns the mark that a file begins with, or nothing.
func byteOrderMark(text []byte) []byte {
	if mark := []byte("\uFEFF"); bytes.HasPrefix(text, mark) {
		return mark
	}
	return nil
}

// isEmpty says whether a node is a value that is not there.
func isEmpty(n *yaml.Node) bool {
	quoted := yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&quoted == 0
}
