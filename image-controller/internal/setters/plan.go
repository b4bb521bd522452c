package setters

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNotes is how many notes one file may have.
const maxNotes = 100

// edit replaces the text from start to end.
type edit struct {
	node       *yaml.Node
	start, end int
	text       string
	change     Change
}

// planner finds the markers of a file, and decides what each of them changes.
type planner struct {
	src    *source
	leaves []leaf
	refs   Refs

	edits []edit
	notes []Note
}

// plan goes through the places in which the token of markers is.
func (p *planner) plan() {
	last := -1 // the leaf that begins last before the token
	for done := 0; ; {
		i := bytes.Index(p.src.text[done:], []byte(token))
		if i < 0 {
			return
		}
		at := done + i
		for last+1 < len(p.leaves) && p.leaves[last+1].start <= at {
			last++
		}
		done = p.look(last, done, at)
	}
}

// look takes care of the token at an offset, and returns where the search goes on. The token
// means something only in a comment.
func (p *planner) look(last, done, at int) int {
	if last >= 0 {
		l := &p.leaves[last]
		if l.block() {
			return p.lookInBlock(last, at)
		}
		done = max(done, l.end)
	}
	start, end, ok := p.src.comment(done, at)
	if !ok {
		return at + len(token) // it is a part of the value
	}
	p.consider(last, start, end)
	return end
}

// lookInBlock takes care of a token behind the indicator of a block of lines. Without the indents
// around it, a line of the block cannot be told from a comment that follows it: neither is a
// marker of a value.
func (p *planner) lookInBlock(last, at int) int {
	l := &p.leaves[last]
	if at < l.end {
		start, end, _ := p.src.comment(l.start, at)
		if _, ok := parseMarker(string(p.src.text[start:end])); ok {
			p.note(start, end, ProblemBlock)
		} else {
			p.note(start, end, ProblemBadMarker)
		}
		return l.end
	}
	if last+1 < len(p.leaves) {
		return p.leaves[last+1].start
	}
	return len(p.src.text)
}

// consider decides what becomes of a comment that has the token.
func (p *planner) consider(last, start, end int) {
	m, ok := parseMarker(string(p.src.text[start:end]))
	problem := p.obstacle(last, start)
	if !ok {
		// Other comments may talk about markers, or switch a line off that has one.
		if problem == "" {
			p.note(start, end, ProblemBadMarker)
		}
		return
	}
	if problem != "" {
		p.note(start, end, problem)
		return
	}
	l := &p.leaves[last]
	ref, ok := p.refs[m.policy]
	if !ok {
		p.note(start, end, ProblemUnknownPolicy)
		return
	}
	wanted, problem := m.part.value(ref)
	switch {
	case problem != "":
		p.note(start, end, problem)
	case l.node.Value != wanted:
		p.edits = append(p.edits, edit{
			node:  l.node,
			start: l.start,
			end:   l.end,
			text:  p.text(l, wanted),
			change: Change{
				Object:   *l.object,
				Setter:   m.setter,
				OldValue: l.node.Value,
				NewValue: wanted,
				Line:     p.src.lineAt(start),
			},
		})
	}
}

// obstacle says why the comment at an offset marks no value that can be written, or nothing.
func (p *planner) obstacle(last, comment int) string {
	if last < 0 {
		return ProblemNoValue
	}
	l := &p.leaves[last]
	if problem := between(p.src.text[l.end:comment]); problem != "" {
		return problem
	}
	switch {
	case l.role == keyRole:
		return ProblemNoValue
	case l.node.Kind == yaml.AliasNode:
		return ProblemAlias
	case !writable(l.node):
		return ProblemTag
	case isEmpty(l.node) && !l.properties && !p.hasPlace(last):
		return ProblemNoValue
	}
	return ""
}

// between says what is wrong with the text between a value and a comment. The comma of a flow may
// be there: the comment behind it is still about the value.
func between(text []byte) string {
	closed := false
	for _, c := range text {
		switch {
		case isBlank(c), c == ',':
		case c == ']', c == '}':
			closed = true
		default:
			return ProblemNoValue
		}
	}
	if closed {
		return ProblemCollection
	}
	return ""
}

// hasPlace says whether a value that is not there can be written where it would be: directly
// behind the colon of its key, or the dash of its list.
func (p *planner) hasPlace(i int) bool {
	l := &p.leaves[i]
	from := 0
	if i > 0 {
		from = p.leaves[i-1].end
	}
	if from > l.start {
		return false
	}
	gap := strings.TrimRight(string(p.src.text[from:l.start]), " \t")
	return l.role == valueRole && strings.HasSuffix(gap, ":") || l.role == itemRole && strings.HasSuffix(gap, "-")
}

// text returns what is written for a value.
func (p *planner) text(l *leaf, wanted string) string {
	written := write(wanted, l.node)
	if isEmpty(l.node) && !isBlank(p.src.text[l.start-1]) {
		return " " + written
	}
	return written
}

func (p *planner) note(start, end int, problem string) {
	if len(p.notes) == maxNotes {
		return
	}
	comment := string(p.src.text[start:end])
	m, _ := parseMarker(comment)
	p.notes = append(p.notes, Note{
		Line:    p.src.lineAt(start),
		Marker:  shorten(comment),
		Policy:  m.policy,
		Problem: problem,
	})
}
