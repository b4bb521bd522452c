package overlay

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// both writes the objects in a document in both ways, and reports how many did not need the
// slow one.
func both(t *testing.T, doc string) (fast, all int) {
	t.Helper()
	objects, err := decode(factory(), doc)
	if err != nil {
		return 0, 0 // which is somebody else's test
	}
	for _, obj := range objects {
		if err := setLabels(obj, map[string]string{"app": "demo"}); err != nil {
			continue
		}
		all++
		var w writer
		if !w.mapping(obj.YNode(), "") {
			continue
		}
		fast++
		want, err := writeAny(obj)
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if diff := cmp.Diff(want, w.out.String()); diff != "" {
			t.Errorf("-want +got\n%s\nof\n%s", diff, doc)
		}
	}
	return fast, all
}

// What is written fast is what would be written otherwise, byte for byte.
func TestFastIsTheSame(t *testing.T) {
	t.Parallel()
	scalars := []string{
		`""`, `''`, "a", "a.b", "a:b", "a:", "a: b", `"a: b"`, "a#b", `"a #b"`, "registry.example.com/app:1.2.3", "/healthz", "--flag=x", `"--flag=x"`, "x86", "e3", "true", "True", `"true"`, "yes", `"yes"`, "No", "on", `"on"`, "y", `"y"`, "null", "~", `"null"`, `"~"`, "", "nan", ".nan", `".nan"`, "inf",
		"0", "1", "-1", "+1", "01", "0o1", "0x1", "1_0", "100000000000000", "1000000000000000000000", "1.5", "1.50", "1.0", "-0.25", "0.00001", "1e3", "1.2.3", "10m", "16Mi", "50%", "5s", `"8080"`, `"1.5"`, `"1e3"`, `"0x1"`, `"12:30"`, `"2001-01-01"`, "2001-01-01", "12:30", `"0777"`, "0777", "08", `"08"`,
		"--a", "-a", "---a", `"--a=b"`, `"--listen=:8080"`, "-1a", "a@b", "a+b", "a=b", "a=", "a =b", "a b:c", "a: b c", "a b c", "a - b", "a -b", "a 1", "1 a", "a  b", `"n"`, `"N"`, `"True"`, `"off"`, `"inf"`, "Yes a", "y n", "https://user@example.com:80/a?b=c&d", `"https://example.com/#a"`, "postgres://a:b@c/d?e=f",
		`"a b"`, "a b", `" a"`, `"a "`, `"a\tb"`, `"a\nb"`, `"é"`, "é", `"\x01"`, `'it''s'`, `"say \"x\""`, `"a\\b"`, `"*a"`, `"&a"`, `"!a"`, `"%a"`, `"@a"`, "'`a'", `"- a"`, `"? a"`, `"[a"`, `"{a"`, `"]"`, `","`, `"a,b"`, `"#a"`, `"|"`, `">"`, `"="`, `"<<"`, "=", "A_B", "a-", "-a", "a/", "!!str 1", "!!int 1", "!!binary aGk=",
		"|\n      a\n      b\n", ">\n      a\n      b\n", "[]", "{}", "[a, b]", "[[a], [b]]", "[{a: b}, {}, []]", "{a: {b: [c, {d: e, f: [g]}]}}", "{a: null}", "[null]", "{1: 2}", "{true: a}", `{"on": a}`, "{on: a}", "{a2: x, a10: y, a1: z}", "{a-b: 1, a.b: 2, a/b: 3, aB: 4, ab: 5, a: 6, A: 7, _a: 8}",
		strconv.Quote(strings.Repeat("word ", 12)), strconv.Quote(strings.Repeat("word ", 30)), strings.Repeat("w", 200), "{" + strings.Repeat("k", 150) + ": v}",
	}
	fast := 0
	for _, s := range scalars {
		n, _ := both(t, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: "+s+"\nlist:\n- "+s+"\n- {k: "+strings.Split(s, "\n")[0]+"}\n")
		fast += n
	}
	if fast < len(scalars)/4 {
		t.Errorf("only %d of %d are written fast", fast, len(scalars))
	}

	r := rand.New(rand.NewPCG(1, 2))
	var value func(depth int) string
	value = func(depth int) string {
		switch n := r.IntN(10); {
		case depth > 4 || n < 5:
			s := scalars[r.IntN(len(scalars))]
			if strings.Contains(s, "\n") || s == "" {
				return "x"
			}
			return s
		case n < 8:
			var parts []string
			for range r.IntN(5) {
				parts = append(parts, fmt.Sprintf("%s%c: %s", []string{"a", "b-", "c.d/", "E"}[r.IntN(4)], 'a'+rune(r.IntN(26)), value(depth+1)))
			}
			return "{" + strings.Join(parts, ", ") + "}"
		default:
			var parts []string
			for range r.IntN(4) {
				parts = append(parts, value(depth+1))
			}
			return "[" + strings.Join(parts, ", ") + "]"
		}
	}
	for range 2000 {
		both(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: "+value(0)+"}")
	}
}

// Objects as charts have them are written fast, most of them.
func TestMostIsWrittenFast(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../charttest/testdata/golden/*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("there is nothing to read: %v", err)
	}
	fast, all := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range split(string(text)) {
			f, n := both(t, d.text)
			fast, all = fast+f, all+n
		}
	}
	t.Logf("%d of %d", fast, all)
	if all == 0 || fast < all*2/3 {
		t.Errorf("%d of %d objects are written fast", fast, all)
	}
}
