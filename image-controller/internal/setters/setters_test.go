package setters

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const digestOfApp = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// someRefs are the policies of these tests.
func someRefs() Refs {
	return Refs{
		{Namespace: "apps", Name: "app"}:    {Name: "example.com/app", Tag: "2.0.0"},
		{Namespace: "apps", Name: "pinned"}: {Name: "example.com/app", Tag: "2.0.0", Digest: digestOfApp},
		{Namespace: "apps", Name: "short"}:  {Name: "example.com/app", Tag: "1.10"},
		{Namespace: "apps", Name: "empty"}:  {Name: "example.com/app"},
		{Namespace: "apps", Name: "odd"}:    {Name: "example.com/app", Tag: "new\nline"},
		{Namespace: "apps", Name: "quotes"}: {Name: "example.com/app", Tag: `it's"\`},
	}
}

func TestCandidate(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"deploy.yaml":                   true,
		"a/b/deploy.yml":                true,
		".hidden/x.yaml":                true,
		"a/Kustomization":               true,
		"Kustomization":                 true,
		"kustomization":                 false,
		"deploy.json":                   false,
		"deploy.yaml.bak":               false,
		"yaml":                          false,
		"deploy.yaml/README":            false,
		"a/Kustomization/something.txt": false,
	}
	for path, want := range tests {
		if got := Candidate(path); got != want {
			t.Errorf("Candidate(%q) = %v", path, got)
		}
	}
}

func TestFileWithoutMarkerIsNotParsed(t *testing.T) {
	t.Parallel()
	content := []byte("{{ not YAML }}\n# $imagepolicy without quotes\n\x00")
	got, err := Set(content, someRefs())
	if err != nil || &got.Content[0] != &content[0] || len(got.Notes) != 0 {
		t.Errorf("Set = %+v, %v", got, err)
	}
}

// TestSetChangesOnlyTheValue has rows with the marked value between « and »: nothing else may
// change. Each is of the policy app, whose tag is 2.0.0.
func TestSetChangesOnlyTheValue(t *testing.T) {
	t.Parallel()
	const tag = `{"$imagepolicy": "apps:app:tag"}`
	tests := map[string]struct {
		why  string
		in   string
		want string // instead of the value; 2.0.0 if there is nothing
	}{
		"a plain value":              {in: "tag: «1.0.0» # " + tag + "\n"},
		"single quotes":              {in: "tag: «'1.0.0'» # " + tag + "\n", want: `'2.0.0'`},
		"double quotes":              {in: "tag: «\"1.0.0\"» # " + tag + "\n", want: `"2.0.0"`},
		"quotes with escapes":        {in: `tag: «"a\"\x41\\"» # ` + tag + "\n", want: `"2.0.0"`},
		"quotes with quotes":         {in: "tag: «'it''s # not''a comment'» # " + tag + "\n", want: `'2.0.0'`},
		"a value of several words":   {in: "tag: «one two:three 'x'»   # " + tag + "\n", why: "ends where the parser ends it"},
		"an empty string":            {in: "tag: «\"\"» # " + tag + "\n", want: `"2.0.0"`},
		"no value yet":               {in: "tag:«» # " + tag + "\nnext: 1\n", want: " 2.0.0", why: "people leave it to the automation"},
		"no value yet in a list":     {in: "- a\n-«»   # " + tag + "\n- b\n", want: " 2.0.0"},
		"no value yet in a flow":     {in: "{\"a\":«», # " + tag + "\n b: 1}\n", want: " 2.0.0"},
		"no value but an anchor":     {in: "tag: &a«» # " + tag + "\nnext: *a\n", want: " 2.0.0"},
		"no value but a tag":         {in: "tag: !!str«» # " + tag + "\n&a next: *a\n", want: " 2.0.0", why: "what follows is of the next node"},
		"no value, and a tag next":   {in: "tag: &a«» # " + tag + "\n!!str next: *a\n", want: " 2.0.0"},
		"null":                       {in: "tag: «~» # " + tag + "\n"},
		"a number before":            {in: "tag: «1.10» # " + tag + "\n"},
		"no newline at the end":      {in: "tag: «1.0.0» # " + tag},
		"spaces behind the comment":  {in: "tag: «1.0.0»\t # " + tag + "  \t\n\n\n"},
		"carriage returns":           {in: "a: 1\r\ntag: «1.0.0» # " + tag + "\r\nb: 2\r\n"},
		"mixed line ends":            {in: "a: 1\rtag: «1.0.0» # " + tag + "\nb: 2\r\n"},
		"a byte order mark":          {in: "\uFEFFtag: «1.0.0» # " + tag + "\n"},
		"a byte order mark, later":   {in: "\uFEFFa: 1\ntag: «1.0.0» # " + tag + "\n"},
		"wide characters before":     {in: "\"ключ 🚀\": {\"é\": «1.0.0» # " + tag + "\n}\n", why: "the parser counts characters, not bytes"},
		"next line of unicode":       {in: "a: 'x\u2028y\u0085z'\ntag: «1.0.0» # " + tag + "\n", why: "YAML 1.1 has more line breaks"},
		"an anchor":                  {in: "tag: &a «1.0.0» # " + tag + "\nother: *a\n"},
		"an anchor and a tag":        {in: "tag: &a !!str «1.0.0» # " + tag + "\nother: *a\n"},
		"a tag and an anchor":        {in: "tag: !!str &a  «'1.0.0'» # " + tag + "\n", want: `'2.0.0'`},
		"a long tag":                 {in: "tag: !<tag:yaml.org,2002:str> «1.0.0» # " + tag + "\n"},
		"a tag of a program":         {in: "tag: !ref «1.0.0» # " + tag + "\n"},
		"a tag that means nothing":   {in: "tag: ! «'1.0.0'» # " + tag + "\n", want: `'2.0.0'`},
		"a value below its key":      {in: "tag: !!str # a comment\n  # and one more\n\n   «1.0.0» # " + tag + "\n"},
		"a value over lines":         {in: "a:\n  tag: «one\n   two\n\n   three» # " + tag + "\n  b: 1\n"},
		"quotes over lines":          {in: "a:\n  tag: «\"one\\\n   two\n\n   three\"» # " + tag + "\n  b: 1\n", want: `"2.0.0"`},
		"a list":                     {in: "- a\n- «1.0.0» # " + tag + "\n- c\n"},
		"lists without indent":       {in: "images:\n- name: a\n  newTag: «1.0.0» # " + tag + "\n- name: b\n"},
		"lists in lists":             {in: "- - a\n  - «1.0.0» # " + tag + "\n- c\n"},
		"odd indents":                {in: "a:\n        - b:\n           tag: «1.0.0» # " + tag + "\n           c:   d\n"},
		"a flow map over lines":      {in: "a: {\n  tag: «1.0.0», # " + tag + "\n  b: c\n}\n"},
		"a flow map, last":           {in: "a: {b: c, tag: «1.0.0» # " + tag + "\n}\n"},
		"a flow map, space at comma": {in: "a: {tag: «1.0.0» ,# " + tag + "\n}\n"},
		"a flow list":                {in: "[a, «\"1.0.0\"», # " + tag + "\n b]\n", want: `"2.0.0"`},
		"JSON":                       {in: "{\n  \"tag\":«\"1.0.0\"», # " + tag + "\n  \"b\": [1]\n}\n", want: `"2.0.0"`},
		"keys with dots":             {in: "a.b/c: «1.0.0» # " + tag + "\n"},
		"keys in quotes":             {in: "\"a: #\": «1.0.0» # " + tag + "\n"},
		"explicit keys":              {in: "? a\n: «1.0.0» # " + tag + "\n"},
		"complex keys":               {in: "? [a, b]\n: «1.0.0» # " + tag + "\n"},
		"several documents":          {in: "---\na: 1\n...\n---\n# here\ntag: «1.0.0» # " + tag + "\n--- # last\nb: 2\n"},
		"a document of one scalar":   {in: "--- «1.0.0» # " + tag + "\n"},
		"directives":                 {in: "%YAML 1.1 # x\n%TAG !e! tag:example.com,2000:\n---\ntag: !e!x «1.0.0» # " + tag + "\n"},
		"comments around":            {in: "# head\n\n  # odd\ntag: «1.0.0» # " + tag + "\n  # foot\n# end\n"},
		"comments in lists":          {in: "a:\n- # first\n  tag: «1.0.0» # " + tag + "\n  # foot\n\n# end\n- b\n"},
		"merge keys":                 {in: "x: &x {b: 1}\ny:\n  <<: *x\n  tag: «1.0.0» # " + tag + "\n"},
		"a block before":             {in: "a: |\n  # text " + tag + "\n  tag: 1.0.0 # " + tag + "\n\ntag: «1.0.0» # " + tag + "\n"},
		"a block with numbers":       {in: "a: >2-\n   text\n  # " + tag + "\ntag: «1.0.0» # " + tag + "\n"},
		"the token in a string":      {in: "a: '# " + tag + "'\ntag: «1.0.0» # " + tag + "\nb: \"\\\"$imagepolicy\\\"\"\n"},
		"duplicate keys":             {in: "a: 1\na: «1.0.0» # " + tag + "\n", why: "what is wrong with a file elsewhere is not ours"},
		"JSON with spaces":           {in: "tag: «1.0.0» #   {  \"$imagepolicy\"  :\t\"apps:app:tag\"  }  \n"},
		"JSON without spaces":        {in: "tag: «1.0.0» #{\"$imagepolicy\":\"apps:app:tag\"}\n"},
		"several hashes":             {in: "tag: «1.0.0» ### " + tag + "\n"},
		"other keys in the JSON":     {in: "tag: «1.0.0» # {\"type\":\"string\",\"x-k8s-cli\":{\"setter\":{\"name\":\"n\"}},\"$imagepolicy\":\"apps:app:tag\",\"$ref\":1}\n"},
		"two places":                 {in: "a: «1.0.0» # " + tag + "\nb: 1.0.0\nc: [«'x'», # " + tag + "\n]\n", want: ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := tc.want
			if want == "" {
				want = "2.0.0"
			}
			in := strings.NewReplacer("«", "", "»", "").Replace(tc.in)
			out := regexp.MustCompile(`(?s)«.*?»`).ReplaceAllStringFunc(tc.in, func(old string) string {
				if strings.HasPrefix(old, "«'") {
					return "'2.0.0'"
				}
				return want
			})
			got, err := Set([]byte(in), someRefs())
			if err != nil {
				t.Fatal(err, tc.why)
			}
			if diff := cmp.Diff(out, string(got.Content)); diff != "" {
				t.Errorf("content (-want +got):\n%s%s", diff, tc.why)
			}
			if len(got.Changes) != strings.Count(tc.in, "«") || len(got.Notes) != 0 {
				t.Errorf("changes %+v, notes %+v", got.Changes, got.Notes)
			}
			again, err := Set(got.Content, someRefs())
			if err != nil || len(again.Changes) != 0 || &again.Content[0] != &got.Content[0] {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestLeavesAreInTheOrderOfTheText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a: {b: [c]}\nd:\n- e\n---\nf", "? ? a\n  # c\n# d\n", "? [a]\n? - b\n  # c\n# d\n"} {
		docs, err := parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := locate(newSource([]byte(text)), docs)
		if err != nil || !slices.IsSortedFunc(leaves, func(a, b leaf) int { return a.start - b.start }) {
			t.Errorf("%q: %v %+v", text, err, leaves)
		}
	}
}

func TestSetWritesTheParts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ setter, want string }{
		"the image":               {"apps:app", "example.com/app:2.0.0"},
		"the image by its digest": {"apps:pinned", "example.com/app:2.0.0@" + digestOfApp},
		"the tag":                 {"apps:app:tag", "2.0.0"},
		"the tag without digest":  {"apps:pinned:tag", "2.0.0"},
		"the name":                {"apps:app:name", "example.com/app"},
		"the digest":              {"apps:pinned:digest", digestOfApp},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := ` # {"$imagepolicy": "` + tc.setter + `"}` + "\n"
			got, err := Set([]byte("x: old"+marker), someRefs())
			if err != nil {
				t.Fatal(err)
			}
			want := Result{
				Content: []byte("x: " + tc.want + marker),
				Changes: []Change{{Setter: tc.setter, OldValue: "old", NewValue: tc.want, Line: 1}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetNamesTheObject(t *testing.T) {
	t.Parallel()
	const marker = ` # {"$imagepolicy": "apps:app:tag"}` + "\n"
	tests := map[string]struct {
		why  string
		in   string
		want []ObjectID
	}{
		"an object": {
			in:   "tag: 1" + marker + "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: ns\n  name: x\n",
			want: []ObjectID{{"v1", "Pod", "ns", "x"}},
		},
		"each of its document": {
			in:   "kind: A\ntag: 1" + marker + "---\ntag: 1" + marker + "kind: B\n---\nkind: C\n",
			want: []ObjectID{{Kind: "A"}, {Kind: "B"}},
		},
		"items of a list": {
			why:  "the list is no object of a cluster",
			in:   "kind: PodList\nitems:\n- kind: Pod\n  metadata: {name: a}\n  tag: 1" + marker + "- metadata: {name: b}\n  tag: 1" + marker + "tag: 1" + marker,
			want: []ObjectID{{Kind: "Pod", Name: "a"}, {Name: "b"}, {Kind: "PodList"}},
		},
		"aliases":       {in: "kind: &k Pod\nmetadata: {name: *k}\ntag: 1" + marker, want: []ObjectID{{Kind: "Pod", Name: "Pod"}}},
		"odd documents": {in: "kind: {a: b}\nmetadata: [x]\napiVersion: ~\ntag: 1" + marker, want: []ObjectID{{}}},
		"no map":        {in: "- 1" + marker, want: []ObjectID{{}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Set([]byte(tc.in), someRefs())
			if err != nil {
				t.Fatal(err)
			}
			var ids []ObjectID
			for _, c := range got.Changes {
				ids = append(ids, c.Object)
			}
			if diff := cmp.Diff(tc.want, ids); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// TestSetFiles compares whole files as people have them: before.yaml and after.yaml of each folder.
func TestSetFiles(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/files/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no files", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			before, err := os.ReadFile(filepath.Join(folder, "before.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(folder, "after.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Set(before, someRefs())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got.Content)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(got.Notes) != 0 || len(got.Changes) == 0 {
				t.Errorf("changes %+v, notes %+v", got.Changes, got.Notes)
			}
			if lines := bytes.Count(before, []byte("\n")); lines != bytes.Count(got.Content, []byte("\n")) {
				t.Errorf("of %d lines, there are %d", lines, bytes.Count(got.Content, []byte("\n")))
			}
		})
	}
}
