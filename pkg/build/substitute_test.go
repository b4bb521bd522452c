package build

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"v": "abcABC123ABCabc", "file": "/path/to/file.tar.gz", "empty": "", "word": "word", "_1": "underscore", "wide": "äb"}
	const bad, unclosed, noName = "variable substitution failed: bad substitution", "variable substitution failed: missing closing brace", "variable substitution failed: unable to parse variable name"
	unset := func(name string) string {
		return fmt.Sprintf("variable substitution failed: variable not set (strict mode): %q", name)
	}
	tests := map[string]struct {
		text, want, err string
		lenient         bool
	}{
		"value":                       {text: "<${v}>", want: "<abcABC123ABCabc>"},
		"names":                       {text: "${_1}", want: "underscore"},
		"no braces":                   {text: "$v $ {v} }", want: "$v $ {v} }"},
		"escape":                      {text: "$${v} $${v:=x}", want: "${v} ${v:=x}"},
		"escape before a value":       {text: "$$${v}", want: "$abcABC123ABCabc"},
		"escape without braces":       {text: "$$v $$", want: "$v $"},
		"length":                      {text: "${#v} ${#empty}", want: "15 0"},
		"length counts bytes":         {text: "${#wide}", want: "3"},
		"default":                     {text: "${x-a} ${x:-b} ${x=c} ${x:=d}", want: "a b c d"},
		"default of what is empty":    {text: "${empty-a} ${empty:-b} ${empty=c} ${empty:=d}", want: "a b c d"},
		"default that is not needed":  {text: "${word-a} ${word:-b} ${word=c} ${word:=d}", want: "word word word word"},
		"default of a variable":       {text: "${x:=${word}}-${y:=<${z:=${v:0:3}}>} ${x-${y-z}}", want: "word-<abc> z"},
		"default that is escaped":     {text: "$${x-a} $$${x-a}", want: "${x-a} $a"},
		"default that is empty":       {text: "<${x:=}>", want: "<>"},
		"upper":                       {text: "${word^} ${word^^} ${wide^}", want: "Word WORD Äb"},
		"lower":                       {text: "${v,} ${v,,}", want: "abcABC123ABCabc abcabc123abcabc"},
		"substring":                   {text: "${v:6} ${v:6:3} ${v:99} ${v:3:99} ${v:x}", want: "123ABCabc 123  ABC123ABCabc abcABC123ABCabc"},
		"strip a prefix":              {text: "${file#*/} ${file##*/} ${file#x}", want: "path/to/file.tar.gz file.tar.gz /path/to/file.tar.gz"},
		"strip a suffix":              {text: "${file%.*} ${file%%.*}", want: "/path/to/file.tar /path/to/file"},
		"replace":                     {text: "${v/abc/x} ${v//ABC/x} ${v/#abc/x} ${v/%abc/x}", want: "xABC123ABCabc abcx123xabc xABC123ABCabc abcABC123ABCx"},
		"replacements are no globs":   {text: "${v/a*/x}", want: "abcABC123ABCabc"},
		"replace by nothing":          {text: "${v//ABC/}", want: "abc123abc"},
		"replace a slash":             {text: `${file//\//-}`, want: "-path-to-file.tar.gz"},
		"backslashes elsewhere":       {text: `a\\b\/c ${word}`, want: `a\\b\/c word`},
		"unset":                       {text: "a ${x}", err: unset("x")},
		"unset with an operator":      {text: "${x^^}", err: unset("x")},
		"unset in a default":          {text: "${x:=${y}}", err: unset("y")},
		"unset, leniently":            {text: "<${x}> <${x^^}> <${#x}>", lenient: true, want: "<> <> <0>"},
		"empty is set":                {text: "<${empty}>", want: "<>"},
		"not closed":                  {text: "${v", err: unclosed},
		"no name":                     {text: "${}", err: noName},
		"dot in a name":               {text: "${a.b}", err: unclosed},
		"blanks in the braces":        {text: "${ v }", err: noName},
		"expression of another kind":  {text: "${{ v }}", err: noName},
		"error operator is a default": {text: "${x:?y} ${x:+z}", want: "y z"},
		"operator without an end":     {text: "${v^", err: bad},
		"substring that overflows":    {text: "${v:1:9223372036854775807}", err: "variable substitution failed: " + errUnevaluable.Error()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := newSubstituter(&Substitution{Vars: vars, Lenient: tc.lenient}, defaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.expand(tc.text)
			if got != tc.want || (tc.err == "") != (err == nil) || err != nil && err.Error() != tc.err {
				t.Errorf("expand(%q) = %q, %v; want %q, %s", tc.text, got, err, tc.want, tc.err)
			}
			if !substitutable(tc.text) && got != tc.text {
				t.Errorf("%q is said to have no variables", tc.text)
			}
		})
	}
}

// An object without variables stays as it was encoded, to the byte.
func TestOthersAreNotEncodedAgain(t *testing.T) {
	t.Parallel()
	s, err := newSubstituter(&Substitution{Always: true}, defaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	p := &product{yaml: []byte("a: $1 \\/ } {\n")}
	before := p.yaml
	if changed, err := s.substitute(p); changed || err != nil {
		t.Errorf("substitute() = %v, %v", changed, err)
	}
	if &p.yaml[0] != &before[0] || p.json != nil {
		t.Error("the object was encoded again")
	}
}

func TestSubstitutionErrors(t *testing.T) {
	const unreadable = "with its variables replaced, the object cannot be read"
	const hint = ": a value has a character there that means something in YAML, such as a colon, a brace or a quote"
	with := func(vars map[string]string) Spec { return Spec{Path: "app", Substitute: &Substitution{Vars: vars}} }
	one := with(map[string]string{"a": "b"})
	checkFailures(t, map[string]failure{
		"unset": {
			why: "it would be empty by mistake", tree: object("data: {a: '${x}'}\n"), spec: one,
			want: `post build failed for 'cm': envsubst error: variable substitution failed: variable not set (strict mode): "x"`,
		},
		"malformed": {
			why: "it is not left as it is", tree: object("data: {a: '${x.y}'}\n"), spec: one,
			want: `post build failed for 'cm': envsubst error: variable substitution failed: missing closing brace`,
		},
		"bad name": {
			why: "a key of a Secret can be anything", tree: object(""), spec: with(map[string]string{"a": "b", "x.y": "hunter2"}),
			want: `post build failed: envsubst error: 'x.y' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'`,
		},
		"no YAML": {
			why: "the parser does not know of variables", tree: object("data: {a: '${x}'}\n"), spec: with(map[string]string{"x": "hunter2: hunter2: hunter2"}),
			want: `post build failed for 'cm': envsubst error: YAMLToJSON: ` + unreadable + ` at line 3` + hint,
		},
		"alias": {
			why: "the parser repeats its name", tree: object("data: {a: '${x}'}\n"), spec: with(map[string]string{"x": "*hunter2"}),
			want: `post build failed for 'cm': envsubst error: YAMLToJSON: ` + unreadable + hint,
		},
		"key twice": {
			why: "the parser repeats it", tree: object("data: {a: b, '${x}': c}\n"), spec: with(map[string]string{"x": "hunter2: d, hunter2"}),
			want: `post build failed for 'cm': envsubst error: YAMLToJSON: ` + unreadable + ` at line 3` + hint,
		},
		"no number": {
			why: "JSON has none", tree: object("data: {a: '${x}'}\n"), spec: with(map[string]string{"x": ".nan"}),
			want: `post build failed for 'cm': envsubst error: YAMLToJSON: ` + unreadable + hint,
		},
		"two of one": {
			why: "the last one would win", spec: one,
			tree: "-- app/x.yaml --\n" + strings.ReplaceAll(configMap, "cm", "'${a}'") + "---\n" + strings.ReplaceAll(configMap, "cm", "b"),
			want: `post build failed for 'b': with its variables replaced, ConfigMap/b is defined twice: rename one`,
		},
	})
}

// Each of these would take the memory or the time of all others.
func TestSubstitutionLimits(t *testing.T) {
	t.Parallel()
	const tooMuch = "the variables up to here may insert more than 1000 bytes, or take more than 50000 steps: use shorter values, or fewer patterns"
	vars := map[string]string{"ten": "0123456789", "hundred": strings.Repeat("x", 100)}
	tests := map[string]struct{ text, err string }{
		"within":                {text: "${ten} ${ten//0/x} ${hundred#*y}"},
		"variables":             {text: strings.Repeat("${ten}", 11), err: "the object has 11 variables, more than the limit of 10: split it"},
		"values":                {text: strings.Repeat("${hundred}", 10), err: tooMuch},
		"replacements":          {text: "${hundred//x/${ten}}", err: tooMuch},
		"replacements in a row": {text: "${ten//0/${ten//1/${ten}}}", err: tooMuch},
		"patterns":              {text: "${hundred#*y} ${hundred%y*}", err: tooMuch},
		"defaults":              {text: "${x:=${hundred}${hundred}${hundred}${hundred}${hundred}${hundred}${hundred}${hundred}}", err: tooMuch},
		"escapes":               {text: strings.Repeat("$$", 1000), err: tooMuch},
		"backslashes":           {text: "${ten/" + strings.Repeat(`\\`, 1000) + "/}", err: tooMuch},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := newSubstituter(&Substitution{Vars: vars}, limits{expansions: 10, inserted: 1000, compared: 50_000})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.expand(tc.text)
			if (tc.err == "") != (err == nil) || err != nil && err.Error() != tc.err {
				t.Errorf("expand() = %v; want %s", err, tc.err)
			}
		})
	}
}

// A build has one account, however many objects there are.
func TestSubstitutionCountsTheBuild(t *testing.T) {
	t.Parallel()
	s, err := newSubstituter(&Substitution{Vars: map[string]string{"a": strings.Repeat("x", 100)}}, limits{expansions: 10, inserted: 250, compared: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, fails := range []bool{false, false, true} {
		if _, err := s.expand("${a}"); (err != nil) != fails {
			t.Errorf("object %d: %v", i, err)
		}
	}
}

// What the limits are checked by is never less than what is made.
func FuzzSubstitute(f *testing.F) {
	for _, text := range []string{
		"", "a: b\n", "$", "$$", "${", "}", "${v}", "$${v}", "${#v}", "${v:=${w}}", "${v//a/${w}}", "${v///x}", "${v:1:-1}", "${v:-9:2}",
		"${v#*}", "${v%%[}", "${v^^}", "${v,}", `${v/\//\\}`, "${v:99999999999999999999}", "${v:1:9223372036854775807}", "${ü}", "\xff${v}\xff",
	} {
		f.Add(text, "aAbc/aßa", "w")
	}
	f.Fuzz(func(t *testing.T, text, v, w string) {
		text = strings.ReplaceAll(text, "\x00", "") // which YAML has not; the library takes it for the end
		vars := map[string]string{"v": v, "w": w}
		s, err := newSubstituter(&Substitution{Vars: vars, Lenient: true}, limits{expansions: 100, inserted: 1 << 20, compared: 1 << 24})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.expand(text)
		if !substitutable(text) && (got != text || err != nil) {
			t.Errorf("expand(%q) = %q, %v without a variable", text, got, err)
		}
		if float64(len(got)) > float64(len(text))+s.inserted {
			t.Errorf("expand(%q) makes %d bytes, charged were %d and %.0f", text, len(got), len(text), s.inserted)
		}
		if v != lineBreaks.Replace(v) || w != lineBreaks.Replace(w) {
			if strings.ContainsAny(got, "\r\n") && !strings.ContainsAny(text, "\r\n") {
				t.Errorf("expand(%q) = %q has a line break of a value", text, got)
			}
		}
	})
}

// The text of an object is what Flux takes its digest of.
func FuzzText(f *testing.F) {
	for _, content := range []string{
		`{}`, `{"a":null}`, `{"a":[1,-1,0,1.5,-0,1e3,1e-7,1e21,9223372036854775807,-9223372036854775808,9223372036854775808,18446744073709551615,18446744073709551616]}`,
		`{"a":"yes","no":"1","b":"1e3","c":"~","d":"","e":" x ","f":"a\nb\n","g":"\u2028\u0000\ud83d\ude00","<<":{"y":"n"},"0x1":"0o7","2001-01-01":"12:30:45"}`,
		`{"a":{"10":1,"9":2,"a10":3,"a9":4,"A":5},"b":[[],{},[{}]],"c":"<&>","d":"- x: y","e":"#c","f":"*a","g":"!t","h":"%","i":"@"}`,
	} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.UseNumber()
		var values map[string]any
		if decoder.Decode(&values) != nil || values == nil {
			return
		}
		content, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		p := &product{}
		if p.set(content) != nil {
			return // a number that is out of range
		}
		want, err := yaml.JSONToYAML(content)
		if err != nil {
			t.Skip(err)
		}
		if got, err := p.text(); err != nil || string(got) != string(want) {
			t.Errorf("text of %s: %v (-want +got)\n%s", content, err, cmp.Diff(string(want), string(got)))
		}
	})
}
