package index_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"weir.dev/source-controller/internal/helm/index"
)

// FuzzParse reads any bytes by Helm's library too, which decides what they mean.
func FuzzParse(f *testing.F) {
	for seed := range uint64(20) {
		g := generator{rand.New(rand.NewPCG(seed, 3))}
		for _, data := range layouts(f, g.index()) {
			f.Add(data)
		}
	}
	for _, text := range oddities {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 || strings.Contains(string(data), "*") && strings.Contains(string(data), "&") {
			return // the library takes its time for aliases of aliases
		}
		compare(t, "input", data)
	})
}

// oddities are indexes in which lines are not what they seem.
var oddities = map[string]string{
	"empty":                          " ",
	"no index":                       "<html>not found</html>",
	"no entries":                     "apiVersion: v1\n",
	"null entries":                   "apiVersion: v1\nentries:\n",
	"flow entries":                   "apiVersion: v1\nentries: {}\n",
	"flow versions":                  "apiVersion: v1\nentries:\n  a: [{name: a, version: 1.0.0}]\n",
	"empty versions":                 "apiVersion: v1\nentries:\n  a: []\n  b:\n  - name: b\n    version: 1.0.0\n",
	"no version at all":              "apiVersion: v1\nentries:\n  a:\n  b:\n  - name: b\n    version: 1.0.0\n",
	"two of a name":                  "apiVersion: v1\nentries:\n  a:\n  - {name: a, version: 1.0.0}\n  a:\n  - {name: a, version: 2.0.0}\n",
	"entries twice":                  "entries:\n  a:\n  - name: a\nentries:\n  b:\n  - name: b\napiVersion: v1\n",
	"entries first":                  "entries:\n  a:\n  - name: a\n    version: 1.2.3\napiVersion: v1\n",
	"indented dashes":                "apiVersion: v1\nentries:\n    a:\n      -   name: a\n          version: 1.2.3\n          urls:\n            - x\n            - y\n",
	"an unknown field":               "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    unknown: x\n",
	"a field twice":                  "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    name: b\n",
	"a number for a text":            "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    appVersion: 1.10\n",
	"a number in an annotation":      "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    annotations:\n      n: 12\n      yes: true\n",
	"an anchor":                      "apiVersion: v1\nentries:\n  a:\n  - &x\n    name: a\n    version: 1.2.3\n  b:\n  - *x\n",
	"a merge":                        "apiVersion: v1\nentries:\n  a:\n  - <<: {name: a}\n    version: 1.2.3\n",
	"a quote over lines":             "apiVersion: v1\nentries:\n  a:\n  - name: a\n    description: \"one\n  - name: b\"\n    version: 1.2.3\n",
	"a quote over lines to the left": "apiVersion: v1\nentries:\n  a:\n  - name: a\n    description: 'one\nentries:\n  b:\n  - name: b'\n    version: 1.2.3\n",
	"a literal like an entry":        "apiVersion: v1\nentries:\n  a:\n  - name: a\n    description: |\n      - name: b\n        version: 2.0.0\n    version: 1.2.3\n",
	"a literal of blank lines":       "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    description: |\n\n      text\n\n\n",
	"a literal that is cut":          "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    description: |\n      text",
	"a folded text":                  "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    description: one\n      two\n\n      three\n",
	"a comment in a text":            "apiVersion: v1\nentries:\n  a:\n  - name: a # the name\n    # and\n    version: 1.2.3\n    description: one\n      # two\n      three\n",
	"a comment in a literal":         "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n    description: |\n      # one\n    # two\n    home: x\n",
	"two documents":                  "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n---\napiVersion: v2\n",
	"the end of a document":          "apiVersion: v1\n...\nentries:\n  a:\n  - name: a\n    version: 1.2.3\n",
	"a tab":                          "apiVersion: v1\nentries:\n  a:\n  -\tname: a\n    version: 1.2.3\n",
	"an odd line break":              "apiVersion: v1\nentries:\n  a:\n  - name: a\r    version: 1.2.3\n",
	"a question":                     "apiVersion: v1\nentries:\n  ? a\n  : - name: a\n      version: 1.2.3\n",
	"a quoted name":                  "apiVersion: v1\nentries:\n  \"a\":\n  - \"name\": a\n    version: 1.2.3\n",
	"two cases of a field":           "apiVersion: v1\nentries:\n  a:\n  - name: a\n    Name: b\n    version: 1.2.3\n",
	"an empty dash":                  "apiVersion: v1\nentries:\n  a:\n  -\n    name: a\n    version: 1.2.3\n  -\n",
	"JSON with more behind":          `{"apiVersion":"v1","entries":{}} {}`,
	"JSON with a name twice":         `{"apiVersion":"v1","entries":{"a":[{"name":"a","version":"1.0.0"}],"a":[{"name":"a","version":"2.0.0"}]}}`,
	"JSON with null":                 `{"apiVersion":"v1","entries":{"a":[null,{"name":"a","version":"1.0.0","x":1}],"b":null}}`,
	"JSON in other cases":            `{"APIVERSION":"v1","Entries":{"a":[{"NAME":"a","version":"1.0.0"}]}}`,
	"YAML like JSON":                 "{apiVersion: v1, entries: {a: [{name: a, version: 1.0.0}]}}",
	"JSON of a list":                 `[]`,
	"indented":                       "  apiVersion: v1\n  entries:\n    a:\n    - name: a\n      version: 1.2.3\n",
}

func TestReadsOddities(t *testing.T) {
	t.Parallel()
	for name, text := range oddities {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, name, []byte(text))
		})
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		data string
		want error
	}{
		"nothing":          {why: "a repository without charts has an index that says so", data: "", want: index.ErrEmpty},
		"another file":     {why: "a page in place of an index must not pass", data: "a: b\n", want: nil},
		"no API version":   {why: "most often it is no index", data: "entries: {}\n", want: index.ErrNoAPIVersion},
		"the same in JSON": {why: "most often it is no index", data: `{"entries":{}}`, want: index.ErrNoAPIVersion},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := index.Parse([]byte(tc.data))
			if err == nil || tc.want != nil && err.Error() != tc.want.Error() {
				t.Errorf("error %v; want %v (%s)", err, tc.want, tc.why)
			}
		})
	}
}
