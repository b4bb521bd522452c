package index

import (
	"bytes"
	"encoding/json"

	"sigs.k8s.io/yaml"
)

// splitter cuts an index in YAML into its head and its entries, by the indents of
// lines. A text in which a line is not what its indent says, because it is part of a
// longer scalar, is cut in the middle of that; none of the pieces is YAML then, and the
// index is read as a whole.
type splitter struct {
	index *Index
	data  []byte
	head  []byte

	inEntries, seen bool   // whether "entries:" was the last key, or one before
	chart           string // whose versions are read
	names           int    // indent of the names of charts, 0 before the first
	dashes          int    // indent of the versions of the chart, 0 before the first
	item            int    // where the version that is read begins, -1 if there is none

	block block
	feed  bytes.Buffer
	json  *json.Decoder // reads feed
}

// splitYAML fills the index, and reports whether it could.
func (x *Index) splitYAML(data []byte) bool {
	for _, lineBreak := range []string{"\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(data, []byte(lineBreak)) {
			return false // to YAML, but not here
		}
	}
	s := &splitter{index: x, data: data, item: -1}
	s.json = json.NewDecoder(&s.feed)
	s.json.DisallowUnknownFields()
	for start := 0; start < len(data); {
		end := len(data)
		if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
			end = start + n + 1
		}
		if !s.take(start, end) {
			return false
		}
		start = end
	}
	return s.endItem(len(data)) && s.readHead()
}

// take takes one line.
func (s *splitter) take(start, end int) bool {
	text := bytes.TrimLeft(s.data[start:end], " ")
	indent := end - start - len(text)
	text = bytes.TrimRight(text, " \r\n")
	switch {
	case len(text) == 0 || text[0] == '#':
		// Between entries or in one, both know what to do with it.
	case indent == 0:
		if !s.endItem(start) {
			return false
		}
		return s.topLevel(start, end, text)
	case s.inEntries:
		return s.line(start, indent, text)
	}
	if !s.inEntries {
		s.head = append(s.head, s.data[start:end]...)
	}
	return true
}

// topLevel takes a line without an indent.
func (s *splitter) topLevel(start, end int, text []byte) bool {
	s.inEntries = string(text) == "entries:"
	switch {
	case s.inEntries:
		twice := s.seen
		s.seen = true
		return !twice
	case string(text) == "---" && len(s.head) == 0 && !s.seen:
		return true
	case bytes.IndexByte([]byte("-.%?\t"), text[0]) >= 0:
		return false
	}
	s.head = append(s.head, s.data[start:end]...)
	return true
}

// line takes a line below "entries:".
func (s *splitter) line(start, indent int, text []byte) bool {
	if s.names == 0 {
		s.names = indent
	}
	dash := text[0] == '-' && (len(text) == 1 || text[1] == ' ')
	switch {
	case indent < s.names:
		return false
	case dash && s.chart != "" && (indent == s.dashes || s.dashes == 0):
		s.dashes = indent
		if !s.endItem(start) {
			return false
		}
		s.item = start
		return true
	case indent == s.names:
		return s.endItem(start) && s.begin(text)
	default:
		return s.item >= 0 && indent > s.dashes
	}
}

// begin takes the line with the name of a chart.
func (s *splitter) begin(text []byte) bool {
	name, rest, ok := bytes.Cut(text, []byte{':'})
	if !ok || !safe(name) || reserved(name) || numeric(name) || !printable(name) || bytes.ContainsAny(name, " \t") {
		return false
	}
	s.chart, s.dashes = string(name), 0
	if _, twice := s.index.charts[s.chart]; twice {
		return false
	}
	s.index.charts[s.chart] = nil
	switch string(bytes.Trim(rest, " ")) {
	case "":
		return true
	case "[]":
		s.chart = ""
		return true
	default:
		return false
	}
}

// endItem reads the version that ends at a position.
func (s *splitter) endItem(end int) bool {
	if s.item < 0 {
		return true
	}
	text := s.data[s.item:end]
	s.item = -1
	r, ok := s.record(text)
	return ok && s.index.add(s.chart, r) == nil
}

// record reads one version, with the help of the YAML library if need be.
func (s *splitter) record(text []byte) (*record, bool) {
	if object, ok := s.block.item(text); ok {
		s.feed.Write(object)
		var r record
		if err := s.json.Decode(&r); err == nil {
			return &r, true
		}
	}
	var items []*record
	if err := yaml.UnmarshalStrict(text, &items); err != nil || len(items) != 1 {
		return nil, false
	}
	return items[0], true
}

// readHead reads all that is not an entry.
func (s *splitter) readHead() bool {
	var h struct {
		head
		Entries map[string]any `json:"entries"`
	}
	if err := yaml.UnmarshalStrict(s.head, &h); err != nil || h.Entries != nil {
		return false
	}
	s.index.head = h.head
	return true
}
