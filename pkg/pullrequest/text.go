package pullrequest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is written, below those of all hosts: 255 characters and 65,536.
const (
	maxTitle = 240
	maxBody  = 60_000 // bytes
)

// text is what a pull request is to say.
type text struct {
	owner, commit string
	title, body   string // without the marker
	keep          bool   // what one that is open says already is good enough
}

// change is what to update of a pull request. An empty field stays as it is.
type change struct{ title, body string }

func (c change) empty() bool { return c == change{} }

// marker is the comment at the end of a text that we wrote. The digests are of the title
// and of the text as we wrote them: who finds others knows that a person was there.
type marker struct{ owner, commit, title, body string }

var markers = regexp.MustCompile(`<!-- image\.weir\.dev/automation=([^\s<>]+) commit=([^\s<>]*) title=([0-9a-f]+) body=([0-9a-f]+) -->`)

func (m marker) String() string {
	return fmt.Sprintf("<!-- image.weir.dev/automation=%s commit=%s title=%s body=%s -->", m.owner, m.commit, m.title, m.body)
}

// compose makes the text for a request: within bounds, and of nothing but what hosts
// keep as it is.
func compose(r Request, kind Kind) text {
	w := text{owner: r.Owner, commit: r.Commit, title: oneLine(r.Title), body: lines(r.Body)}
	if w.title == "" {
		w.title, w.keep = DefaultTitle, true
	}
	w.title = cut(w.title, maxTitle)
	if kind == GitLab {
		w.body = withoutCommands(w.body)
	}
	w.body = cutLines(w.body, maxBody)
	return w
}

// marked returns the body with the marker.
func (w text) marked() string {
	m := marker{owner: w.owner, commit: w.commit, title: digest(w.title), body: digest(w.body)}
	return strings.TrimLeft(w.body+"\n\n"+m.String(), "\n")
}

// split takes the last marker out of a text; the marker is zero if there is none.
func split(body string) (marker, string) {
	all := markers.FindAllStringSubmatchIndex(body, -1)
	if len(all) == 0 {
		return marker{}, body
	}
	at := all[len(all)-1]
	part := func(i int) string { return body[at[2*i]:at[2*i+1]] }
	return marker{owner: part(1), commit: part(2), title: part(3), body: part(4)}, body[:at[0]] + body[at[1]:]
}

// difference returns what to update of a pull request that is open, so that it says w
// wherever no person has written.
func difference(known found, w text) change {
	m, body := split(known.body)
	if w.keep || m.owner != w.owner || m.commit == w.commit {
		return change{} // not ours, or described already
	}
	var c change
	next := marker{owner: w.owner, commit: w.commit, title: m.title, body: m.body}
	if m.title == digest(known.title) && next.title != digest(w.title) {
		c.title, next.title = w.title, digest(w.title)
	}
	switch rewritten := m.body == digest(body) && m.body != digest(w.body); {
	case rewritten:
		next.body = digest(w.body)
		c.body = strings.TrimLeft(w.body+"\n\n"+next.String(), "\n")
	case c.title != "":
		// Of a text that stays as it is, the marker knows the new title.
		c.body = strings.Replace(known.body, m.String(), next.String(), 1)
	}
	return c
}

// digest of a text, whatever a host does with line ends and with space around it.
func digest(s string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))))
	return hex.EncodeToString(sum[:12])
}

// oneLine makes one line of s.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))), " ")
}

// lines leaves out of s what databases do not take.
func lines(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s))
}

// withoutCommands makes plain lines of those that GitLab would take for commands, such
// as /merge, and act on.
func withoutCommands(s string) string {
	all := strings.Split(s, "\n")
	for i, line := range all {
		if trimmed := strings.TrimLeftFunc(line, unicode.IsSpace); strings.HasPrefix(trimmed, "/") {
			all[i] = line[:len(line)-len(trimmed)] + `\` + trimmed
		}
	}
	return strings.Join(all, "\n")
}

// cut shortens s to so many characters.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:most-1])) + "…"
}

// cutLines shortens s to so many bytes, at the end of a line if there is one.
func cutLines(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = strings.ToValidUTF8(s[:most], "")
	if end := strings.LastIndexByte(s, '\n'); end > 0 {
		s = s[:end]
	}
	return strings.TrimSpace(s) + "\n\n…"
}
