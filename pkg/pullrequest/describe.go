package pullrequest

import (
	"fmt"
	"strings"
)

// Change is one value that a commit changes.
type Change struct{ File, Old, New string }

// maxChanges bounds the list of changes in a text. The commit has all of them.
const maxChanges = 200

// Describe makes title and body of a request from the message of a commit, and what it
// changes: the first line, and the rest with a list of the changes.
func Describe(message string, changes []Change) (title, body string) {
	title, body, _ = strings.Cut(strings.TrimSpace(message), "\n")
	var b strings.Builder
	b.WriteString(strings.TrimSpace(body))
	if len(changes) == 0 {
		return oneLine(title), b.String()
	}
	if b.Len() > 0 {
		b.WriteString("\n\n")
	}
	b.WriteString("Changes:\n\n")
	for i, c := range changes {
		if i == maxChanges {
			fmt.Fprintf(&b, "- and %d more\n", len(changes)-maxChanges)
			break
		}
		fmt.Fprintf(&b, "- %s: %s → %s\n", code(c.File), code(c.Old), code(c.New))
	}
	return oneLine(title), strings.TrimSpace(b.String())
}

// code returns s as it is shown in Markdown, whatever it has in it.
func code(s string) string {
	s = cut(oneLine(s), 300)
	if s == "" {
		return "(empty)"
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		s = " " + s + " "
	}
	return fence + s + fence
}
