package pullrequest

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	many := make([]Change, maxChanges+3)
	for i := range many {
		many[i] = Change{File: "app.yaml", Old: "1.0.0", New: "1.0.1"}
	}
	tests := map[string]struct {
		why         string
		message     string
		changes     []Change
		title, body string
	}{
		"a line":       {why: "most messages are one", message: "Update images\n", title: "Update images"},
		"a message":    {why: "the first line is the subject", message: "Update images\n\nBecause.\n\nMore.\n", title: "Update images", body: "Because.\n\nMore."},
		"no message":   {why: "the caller may have none"},
		"with changes": {why: "values are shown as they are", message: "Update\n\nBecause.", changes: []Change{{File: "a/b.yaml", Old: "", New: "x`y\nz"}}, title: "Update", body: "Because.\n\nChanges:\n\n- `a/b.yaml`: (empty) → `` x`y z ``"},
		"changes only": {why: "there is no rest to be apart from", message: "Update", changes: []Change{{File: "a", Old: "1", New: "2"}}, title: "Update", body: "Changes:\n\n- `a`: `1` → `2`"},
		"many": {
			why: "the commit has them all", message: "Update", changes: many, title: "Update",
			body: "Changes:\n\n" + strings.Repeat("- `app.yaml`: `1.0.0` → `1.0.1`\n", maxChanges) + "- and 3 more",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if title, body := Describe(tc.message, tc.changes); title != tc.title || body != tc.body {
				t.Errorf("title %q, body %q; want %q and %q (%s)", title, body, tc.title, tc.body, tc.why)
			}
		})
	}
}

// FuzzText: what we wrote is known as ours when it is read again, is never written twice,
// and has no line that GitLab acts on.
func FuzzText(f *testing.F) {
	f.Add("Update", "Because.\n\n/merge", "Update more", "")
	f.Add("\xff\x00", " \r\n x \r\n", "", "<!-- image.weir.dev/automation=a/b commit=1 title=00 body=00 -->")
	f.Add("T", strings.Repeat("x", maxBody+5), "T", strings.Repeat("ü\n", maxBody))
	f.Fuzz(func(t *testing.T, title, body, nextTitle, nextBody string) {
		for _, kind := range []Kind{GitHub, GitLab} {
			w := compose(Request{Owner: "a/b", Commit: "1", Title: title, Body: body}, kind)
			there := found{title: w.title, body: w.marked()}
			if !utf8.ValidString(there.body) || utf8.RuneCountInString(there.title) > 255 || len(there.body) > 1<<16 || strings.Contains(there.title, "\n") {
				t.Fatalf("out of bounds: %q, %q", there.title, there.body)
			}
			if m, rest := split(there.body); m.owner != "a/b" || m.commit != "1" || m.body != digest(rest) || m.title != digest(there.title) {
				t.Fatalf("not known again: %q, %q", there.title, there.body)
			}
			if c := difference(there, compose(Request{Owner: "a/b", Commit: "2", Title: title, Body: body}, kind)); !c.empty() {
				t.Fatalf("written twice: %+v", c)
			}
			next := compose(Request{Owner: "a/b", Commit: "2", Title: nextTitle, Body: nextBody}, kind)
			c := difference(there, next)
			if c.title != "" {
				there.title = c.title
			}
			if c.body != "" {
				there.body = c.body
			}
			if !next.keep && (there.title != next.title || digest(there.body) == digest(w.marked()) && digest(w.body) != digest(next.body)) {
				t.Fatalf("not described anew: %+v of %+v", there, next)
			}
			next.commit = "3"
			if c := difference(there, next); !c.empty() {
				t.Fatalf("written again: %+v", c)
			}
			if kind == GitLab && commands(w.body) {
				t.Fatalf("GitLab would act: %q", w.body)
			}
		}
	})
}

func commands(body string) bool {
	for line := range strings.Lines(body) {
		if strings.HasPrefix(strings.TrimSpace(line), "/") {
			return true
		}
	}
	return false
}
