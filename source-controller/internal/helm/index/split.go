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
	index  *Index
	head   []byte
	chart  string // whose versions are read
	names  int    // indent of the names of charts, 0 before the first
	dashes int    // indent of the versions of the chart, 0 before the first
	item   int    // where the version that is read begins, -1 if there is none

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
	s := &splitter{index: x, item: -1}
	s.json = json.NewDecoder(&s.feed)
	s.json.DisallowUnknownFields()
	inEntries, seen := false, false
	for start := 0; start < len(data); {
		end := len(data)
		if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
			end = start + n + 1
		}
		text := bytes.TrimLeft(data[start:end], " ")
		indent := end - start - len(text)
		text = bytes.TrimRight(text, " \r\n")
		switch {
		case len(text) == 0 || text[0] == '#':
			// Between entries or in one, both know what to do with it.
		case indent > 0 && inEntries:
			if !s.line(data, start, indent, text) {
				return false
			}
		case indent == 0:
			if inEntries && !s.finish(data[:start]) {
				return false
			}
			switch {
			case string(text) == "---" && len(s.head) == 0 && !seen:
			case text[0] == '-' || text[0] == '.' || text[0] == '%' || text[0] == '?' || text[0] == '\t':
				return false
			case string(text) == "entries:":
				if seen {
					return false
				}
				inEntries, seen = true, true
				start = end
				continue
			}
			inEntries = false
		}
		if !inEntries && string(text) != "---" {
			s.head = append(s.head, data[start:end]...)
		}
		start = end
	}
	if inEntries && !s.finish(data) {
		return false
	}
	return s.readHead()
}

// line takes a line below "entries:".
func (s *splitter) line(data []byte, start, indent int, text []byte) bool {
	if s.names == 0 {
		s.names = indent
	}
	dash := text[0] == '-' && (len(text) == 1 || text[1] == ' ')
	switch {
	case indent < s.names:
		return false
	case dash && s.chart != "" && (indent == s.dashes || s.dashes == 0):
		s.dashes = indent
		if !s.endItem(data[:start]) {
			return false
		}
		s.item = start
		return true
	case indent == s.names:
		return s.endItem(data[:start]) && s.begin(text)
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

// finish takes the end of the entries.
func (s *splitter) finish(data []byte) bool { return s.endItem(data) }

// endItem reads the version that ends where data ends.
func (s *splitter) endItem(data []byte) bool {
	if s.item < 0 {
		return true
	}
	text := data[s.item:]
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
