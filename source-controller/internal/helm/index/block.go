package index

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxKeys bounds the keys of one mapping, which are compared with each other.
const maxKeys = 256

// block turns one item of a YAML sequence into JSON, without the trees that a YAML
// library builds on its way. It knows the plain subset of YAML in which programs
// write indexes, and gives up at whatever else it meets: then the item is for the
// library. What it does return is what the library would.
type block struct {
	lines []line
	i     int      // the line that is read
	keys  [][]byte // of the mappings that are open, the innermost last
	text  []byte   // a scalar that is put together
	out   []byte
}

// line is one line of an item.
type line struct {
	raw    []byte // without the line break
	text   []byte // without the spaces at both ends
	indent int
	tab    bool // holds a tab
	odd    bool // holds what needs a closer look than this
}

// item returns the JSON of an item, a mapping after a dash. The result is valid
// until the next call.
func (b *block) item(text []byte) (object []byte, ok bool) {
	b.split(text)
	b.i, b.keys, b.out = 0, b.keys[:0], b.out[:0]
	if len(b.lines) == 0 {
		return nil, false
	}
	if !b.dash() || b.key() == nil || !b.mapping(b.lines[0].indent) {
		return nil, false
	}
	return b.out, b.skipBlank()
}

// split cuts text into lines.
func (b *block) split(text []byte) {
	b.lines = b.lines[:0]
	for len(text) > 0 {
		raw, rest, ended := bytes.Cut(text, []byte{'\n'})
		text = rest
		raw = bytes.TrimSuffix(raw, []byte{'\r'})
		l := line{raw: raw, odd: !ended} // the end of a last line may count
		l.text = bytes.TrimLeft(raw, " ")
		l.indent = len(raw) - len(l.text)
		l.text = bytes.TrimRight(l.text, " ")
		l.tab = bytes.IndexByte(l.text, '\t') >= 0
		l.odd = l.odd || !printable(l.text)
		b.lines = append(b.lines, l)
	}
}

// printable reports whether a text is what stands for itself in YAML. Some that do
// too are left to the library.
func printable(text []byte) bool {
	for len(text) > 0 && (text[0] >= ' ' && text[0] < 0x7f || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) {
			return false
		}
		text = text[n:]
	}
	return true
}

// skipBlank moves on to a line that is not blank, and reports whether there is none.
func (b *block) skipBlank() (end bool) {
	for b.i < len(b.lines) && len(b.lines[b.i].text) == 0 {
		if b.lines[b.i].odd {
			return false
		}
		b.i++
	}
	return b.i == len(b.lines)
}

// plainLine reports whether the line that is read may be looked at.
func (b *block) plainLine() bool { return !b.lines[b.i].odd && !b.lines[b.i].tab }

// dash takes the dash from the line that is read, so that it becomes the first line
// of what follows the dash.
func (b *block) dash() bool {
	l := &b.lines[b.i]
	if !b.plainLine() || len(l.text) < 3 || l.text[0] != '-' || l.text[1] != ' ' {
		return false
	}
	rest := bytes.TrimLeft(l.text[1:], " ")
	l.indent += len(l.text) - len(rest)
	l.text = rest
	return true
}

// key returns the key at the beginning of the line that is read, nil if it has none
// that is surely a string.
func (b *block) key() []byte {
	text := b.lines[b.i].text
	for i, c := range text {
		if c == ':' && i > 0 && (i+1 == len(text) || text[i+1] == ' ') {
			if reserved(text[:i]) {
				return nil
			}
			return text[:i]
		}
		if !inKey(c, i == 0) {
			return nil
		}
	}
	return nil
}

// inKey reports whether a key may have c, which is its first character or not.
func inKey(c byte, first bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		return true
	default:
		return !first && (c >= '0' && c <= '9' || c == '.' || c == '/' || c == '-')
	}
}

// mapping reads the keys at an indent.
func (b *block) mapping(indent int) bool {
	first := len(b.keys)
	b.out = append(b.out, '{')
	for !b.skipBlank() {
		l := b.lines[b.i]
		if l.indent < indent || l.indent == indent && l.text[0] == '-' {
			break
		}
		key := b.key()
		if l.indent > indent || key == nil || !b.plainLine() || !b.unique(key, first) {
			return false
		}
		if len(b.keys) > first+1 {
			b.out = append(b.out, ',')
		}
		b.out = append(b.out, '"')
		b.out = append(b.out, key...) // which has nothing to escape
		b.out = append(b.out, '"', ':')
		if !b.value(indent, bytes.TrimLeft(l.text[len(key)+1:], " ")) {
			return false
		}
	}
	b.keys = b.keys[:first]
	b.out = append(b.out, '}')
	return true
}

// unique adds a key to those of a mapping, unless it has one that could be taken for
// the same.
func (b *block) unique(key []byte, first int) bool {
	if len(b.keys)-first >= maxKeys {
		return false
	}
	for _, k := range b.keys[first:] {
		if len(k) == len(key) && bytes.EqualFold(k, key) {
			return false
		}
	}
	b.keys = append(b.keys, key)
	return true
}

// value reads what belongs to a key at an indent, of which text is on the same line.
func (b *block) value(indent int, text []byte) bool {
	if len(text) > 0 {
		return b.scalar(indent, text)
	}
	b.i++
	if b.skipBlank() {
		b.out = append(b.out, "null"...)
		return true
	}
	l := b.lines[b.i]
	switch {
	case !b.plainLine():
		return false
	case l.indent >= indent && l.text[0] == '-':
		return b.sequence(l.indent)
	case l.indent > indent:
		return b.key() != nil && b.mapping(l.indent)
	case l.text[0] == '#':
		return false
	default:
		b.out = append(b.out, "null"...)
		return true
	}
}

// sequence reads the items at an indent.
func (b *block) sequence(indent int) bool {
	b.out = append(b.out, '[')
	for n := 0; !b.skipBlank(); n++ {
		l := b.lines[b.i]
		if l.indent < indent || l.indent == indent && l.text[0] != '-' {
			break
		}
		if l.indent > indent || !b.dash() {
			return false
		}
		if n > 0 {
			b.out = append(b.out, ',')
		}
		inner := b.lines[b.i]
		switch {
		case b.key() != nil:
			if !b.mapping(inner.indent) {
				return false
			}
		case !b.scalar(indent, inner.text):
			return false
		}
	}
	b.out = append(b.out, ']')
	return true
}

// scalar reads a value that begins with text on the line that is read, below a node
// at an indent.
func (b *block) scalar(indent int, text []byte) bool {
	switch c := text[0]; {
	case c == '"':
		return b.double(text)
	case c == '\'':
		return b.single(indent, text[1:])
	case c == '|':
		return b.literal(indent, string(text))
	case string(text) == "[]", string(text) == "{}":
		b.out = append(b.out, text...)
		b.i++
		return b.leaves(indent)
	default:
		return b.plain(indent, text)
	}
}

// leaves reports whether the next line with a text is not below the indent.
func (b *block) leaves(indent int) bool {
	if b.skipBlank() {
		return true
	}
	return b.i < len(b.lines) && b.lines[b.i].indent <= indent
}

// double reads a text in double quotes that ends on its line, and whose escapes are
// those of JSON.
func (b *block) double(text []byte) bool {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			b.out = append(b.out, text[:i+1]...)
			b.i++
			return i+1 == len(text)
		case '\\':
			if i++; i == len(text) || !strings.ContainsRune(`"\bfnrt`, rune(text[i])) {
				return false
			}
		}
	}
	return false
}

// single reads a text in single quotes, over several lines if need be.
func (b *block) single(indent int, text []byte) bool {
	b.text = b.text[:0]
	for {
		for i := 0; i < len(text); i++ {
			if text[i] != '\'' {
				b.text = append(b.text, text[i])
				continue
			}
			if i+1 < len(text) && text[i+1] == '\'' {
				b.text = append(b.text, '\'')
				i++
				continue
			}
			b.out = appendString(b.out, b.text)
			b.i++
			return i+1 == len(text)
		}
		b.i++
		if b.i == len(b.lines) || b.lines[b.i].indent <= indent || len(b.lines[b.i].text) == 0 || !b.plainLine() {
			return false
		}
		text = b.lines[b.i].text
		b.text = append(b.text, ' ')
	}
}

// plain reads a text without quotes, over several lines if need be.
func (b *block) plain(indent int, text []byte) bool {
	b.text = b.text[:0]
	for {
		if !safe(text) {
			return false
		}
		b.text = append(b.text, text...)
		b.i++
		if b.i == len(b.lines) || len(b.lines[b.i].text) == 0 || b.lines[b.i].indent <= indent {
			break
		}
		if !b.plainLine() {
			return false
		}
		text = b.lines[b.i].text
		b.text = append(b.text, ' ')
	}
	if !b.leaves(indent) {
		return false // a paragraph follows
	}
	switch {
	case string(b.text) == "true", string(b.text) == "false":
		b.out = append(b.out, b.text...)
	case reserved(b.text), numeric(b.text):
		return false
	default:
		b.out = appendString(b.out, b.text)
	}
	return true
}

// literal reads the lines after a bar as they are.
func (b *block) literal(indent int, header string) bool {
	b.i++
	if header != "|" && header != "|-" || b.i == len(b.lines) {
		return false
	}
	left := b.lines[b.i].indent
	if len(b.lines[b.i].text) == 0 || left <= indent {
		return false
	}
	b.text = b.text[:0]
	end := 0
	for ; b.i < len(b.lines); b.i++ {
		l := b.lines[b.i]
		if len(l.text) == 0 {
			if len(l.raw) > left || l.odd {
				return false
			}
			b.text = append(b.text, '\n')
			continue
		}
		if l.indent < left {
			if l.indent > indent {
				return false
			}
			break
		}
		if l.odd {
			return false
		}
		b.text = append(append(b.text, l.raw[left:]...), '\n')
		end = len(b.text)
	}
	if header == "|-" {
		end--
	}
	b.out = appendString(b.out, b.text[:end])
	return true
}
