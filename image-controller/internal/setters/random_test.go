package setters

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	kubeyaml "sigs.k8s.io/yaml"
)

// checkReads parses a value within other text, and compares it as a string.
func checkReads(t *testing.T, around, written, want string) {
	t.Helper()
	text := fmt.Sprintf(around, written)
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	n := doc.Content[0]
	for len(n.Content) > 0 {
		n = n.Content[min(1, len(n.Content)-1)]
		if n.Kind == yaml.ScalarNode {
			break
		}
	}
	if n.Value != want || n.Tag != "!!str" {
		t.Errorf("%s reads as %s %q, want the string %q", text, n.Tag, n.Value, want)
	}
}

// scribe writes random documents, once as they are and once as Set should make them.
type scribe struct {
	*rand.Rand
	before, after bytes.Buffer
	marks         int
}

func (s *scribe) pick(words ...string) string { return words[s.IntN(len(words))] }

func (s *scribe) both(format string, args ...any) {
	fmt.Fprintf(&s.before, format, args...)
	fmt.Fprintf(&s.after, format, args...)
}

// value ends a line with a scalar, which is marked now and then.
func (s *scribe) value(end string) {
	s.both("%s", s.pick(" ", "  ", " &a ", " !!str ", " !x  "))
	s.both("%s", s.pick("", " "))
	old := s.pick("1.0", "a b", "http://x:1/#y", "'it''s'", "'# no'", `"x\"#\u00e9"`, "é世🚀", "~", "'a\n\n                    b'", "a\n                    b")
	if s.IntN(3) > 0 {
		s.both("%s%s%s", old, end, s.pick("", " # comment", "\t#", " # \"$imagepolicy\": x", " "))
		return
	}
	s.marks++
	policy, tag := "app", "2.0.0"
	if s.IntN(2) == 0 {
		policy, tag = "short", "1.10"
	}
	written := tag
	switch {
	case old[0] == '\'' || old[0] == '"':
		written = old[:1] + tag + old[:1]
	case tag == "1.10" && !tagged(s.before.Bytes()):
		written = `"` + tag + `"`
	}
	s.before.WriteString(old)
	s.after.WriteString(written)
	s.both("%s%s# {\"$imagepolicy\":%s\"apps:%s:tag\"}%s", end, s.pick(" ", "\t", "   "), s.pick("", " "), policy, s.pick("", " ", "\t"))
}

// tagged says whether the text ends with a tag, behind which a value is to come.
func tagged(text []byte) bool {
	words := bytes.Fields(text)
	return bytes.HasPrefix(words[len(words)-1], []byte("!"))
}

func (s *scribe) node(indent, depth int) {
	margin := strings.Repeat(" ", indent)
	for i := range 1 + s.IntN(4) {
		if s.IntN(4) == 0 {
			s.both("%s\n", s.pick("", margin+"# {\"a\": b}", "# x", "  "))
		}
		s.both("%s%s:", margin, fmt.Sprintf(s.pick("k%d", "\"k: %d\"", "a.b/k%d", "'é#%d'", "<%d"), i))
		switch kind := s.IntN(8); {
		case depth > 0 && kind == 0:
			s.both("%s\n", s.pick("", " # comment", " &b"))
			s.node(indent+1+s.IntN(4), depth-1)
		case kind == 1:
			s.both("\n")
			for range 1 + s.IntN(3) {
				s.both("%s%s-", margin, "")
				s.value("")
				s.both("\n")
			}
		case kind == 2:
			s.both(" {")
			for j := range 1 + s.IntN(3) {
				s.both("\n%s  f%d:", margin, j)
				s.value(" ,")
			}
			s.both("\n%s  }\n", margin)
		case kind == 3:
			s.both(" %s\n%s   text: 1 # {\"$imagepolicy\": \"apps:app\"}\n%s   # more\n", s.pick("|", ">-", "|+"), margin, margin)
		default:
			s.both("%s", s.pick("", "\t"))
			s.value("")
			s.both("\n")
		}
	}
}

func TestSetOnRandomDocuments(t *testing.T) {
	t.Parallel()
	marks := 0
	for seed := range uint64(3000) {
		s := &scribe{Rand: rand.New(rand.NewPCG(seed, 1))}
		s.both("%s", s.pick("", "\uFEFF", "# head\n", "---\n"))
		for i := range 1 + s.IntN(3) {
			if i > 0 {
				s.both("---\n")
			}
			s.node(0, 3)
		}
		before, want := s.before.Bytes(), s.after.Bytes()
		if s.IntN(3) == 0 {
			before, want = bytes.ReplaceAll(before, []byte("\n"), []byte("\r\n")), bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n"))
		}
		if s.IntN(3) == 0 {
			before, want = bytes.TrimRight(before, "\r\n"), bytes.TrimRight(want, "\r\n")
		}
		if _, err := parse(before); err != nil {
			t.Fatalf("seed %d is no YAML: %v\n%s", seed, err, before)
		}
		got, err := Set(before, someRefs())
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, before)
		}
		if diff := cmp.Diff(string(want), string(got.Content)); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s\nof:\n%q", seed, diff, before)
		}
		if len(got.Changes) != s.marks {
			t.Fatalf("seed %d: %d changes of %d markers", seed, len(got.Changes), s.marks)
		}
		marks += s.marks
	}
	if marks < 3000 {
		t.Errorf("%d markers: the documents are too simple", marks)
	}
}

// FuzzSet writes %% for a marker, so that mutations keep some.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{
		"a: 1 %%\nb: [x, %%\n 'y', %%\n {z: \"1\" %%\n}]\n", "- |\n  a %%\n- > %%\n  b\n- %%\n- &a !!str 1 %%\n- *a %%\n",
		"? a %%\n: b %%\n? - c %%\n---\n%YAML 1.1\n---\n'a\n\n b' %%\n...\n# %%\n", "\uFEFFa: \u2028'\u0085' %%\r\nb:\r %%\r\n c %%\n",
		"a: &x # c\n  !!str # d\n  b\n   c %%\n{a, b %%\n: , %%\n d: %%\n}", "x: {\"a\":%%\n}\ny: !<x> \"\\\n \" %%\n", "<<: *b %%\n= : !!int 1 %%\n",
	} {
		f.Add([]byte(seed), "1.10", true)
		f.Add([]byte(seed), "2.0.0", false)
	}
	f.Fuzz(func(t *testing.T, content []byte, tag string, part bool) {
		setter := "a:b"
		if part {
			setter += ":tag"
		}
		content = bytes.ReplaceAll(content, []byte("%%"), []byte(` # {"$imagepolicy": "`+setter+`"}`))
		refs := Refs{{Namespace: "a", Name: "b"}: {Name: "x/y", Tag: tag}}
		given := bytes.Clone(content)
		got, err := Set(content, refs)
		if !bytes.Equal(given, content) {
			t.Fatal("the given slice was written to")
		}
		if err != nil {
			checkRefused(t, got, err)
			return
		}
		if len(got.Changes) == 0 {
			if !bytes.Equal(got.Content, content) {
				t.Fatalf("no changes, but %q became %q", content, got.Content)
			}
			return
		}
		checkBytes(t, content, got)
		checkValues(t, content, got)
		again, err := Set(got.Content, refs)
		if err != nil || len(again.Changes) != 0 || len(again.Notes) != len(got.Notes) {
			t.Fatalf("%q became %q, and then %q: %v %+v %+v", content, got.Content, again.Content, err, again.Changes, again.Notes)
		}
	})
}

func checkRefused(t *testing.T, got Result, err error) {
	t.Helper()
	if got.Content != nil || got.Changes != nil || got.Notes != nil {
		t.Fatalf("refused with %+v", got)
	}
	if !errors.Is(err, ErrYAML) && !errors.Is(err, ErrLimit) {
		t.Fatal(err)
	}
}

// checkBytes looks at what one change is in the text: no more than the new value and its quotes.
func checkBytes(t *testing.T, before []byte, got Result) {
	t.Helper()
	if len(got.Changes) != 1 {
		return
	}
	old, now := before, got.Content
	for len(old) > 0 && len(now) > 0 && old[0] == now[0] {
		old, now = old[1:], now[1:]
	}
	for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
		old, now = old[:len(old)-1], now[:len(now)-1]
	}
	if c := got.Changes[0]; len(now) > len(` ""`)+2*len(c.NewValue) || bytes.Contains(now, []byte("#")) && !strings.Contains(c.NewValue, "#") {
		t.Fatalf("%q became %q", before, got.Content)
	}
}

// checkValues reads the first document of a file as Kubernetes does, and compares what it says.
func checkValues(t *testing.T, before []byte, got Result) {
	t.Helper()
	var old, now any
	if bytes.ContainsRune(before, '*') || kubeyaml.Unmarshal(before, &old) != nil {
		return // a changed value may be a key elsewhere by its alias
	}
	if err := kubeyaml.Unmarshal(got.Content, &now); err != nil {
		t.Fatalf("%q became %q: %v", before, got.Content, err)
	}
	var wanted []string
	for _, c := range got.Changes {
		wanted = append(wanted, c.NewValue)
	}
	if !sameBut(old, now, wanted) {
		t.Fatalf("%q became %q: %v became %v", before, got.Content, old, now)
	}
}

// sameBut compares what two files say. Where they differ, the second has one of the wanted values.
func sameBut(old, now any, wanted []string) bool {
	switch now := now.(type) {
	case map[string]any:
		old, ok := old.(map[string]any)
		return ok && maps.EqualFunc(old, now, func(x, y any) bool { return sameBut(x, y, wanted) })
	case []any:
		old, ok := old.([]any)
		return ok && slices.EqualFunc(old, now, func(x, y any) bool { return sameBut(x, y, wanted) })
	case string:
		return old == any(now) || slices.Contains(wanted, now)
	}
	return old == now
}
