package setters

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestSetNotesWhatItLeaves(t *testing.T) {
	t.Parallel()
	app := types.NamespacedName{Namespace: "apps", Name: "app"}
	const tag = `{"$imagepolicy": "apps:app:tag"}`
	tests := map[string]struct {
		why    string
		in     string
		line   int
		marker string // that of app if there is nothing
		policy types.NamespacedName
		want   string
	}{
		"another policy": {
			in: "a: 1\nb: 1.0 # {\"$imagepolicy\": \"apps:other\"}\n", line: 2,
			marker: `{"$imagepolicy": "apps:other"}`, policy: types.NamespacedName{Namespace: "apps", Name: "other"}, want: ProblemUnknownPolicy,
		},
		"another namespace": {
			in: "b: 1.0 # {\"$imagepolicy\": \"web:app\"}\n", line: 1, why: "the caller gives the policies that apply",
			marker: `{"$imagepolicy": "web:app"}`, policy: types.NamespacedName{Namespace: "web", Name: "app"}, want: ProblemUnknownPolicy,
		},
		"no digest": {
			in: "b: sha256:00 # {\"$imagepolicy\": \"apps:app:digest\"}\n", line: 1, why: "an empty value breaks what is deployed",
			marker: `{"$imagepolicy": "apps:app:digest"}`, policy: app, want: ProblemNoDigest,
		},
		"no tag": {
			in: "b: x # {\"$imagepolicy\": \"apps:empty\"}\n", line: 1,
			marker: `{"$imagepolicy": "apps:empty"}`, policy: types.NamespacedName{Namespace: "apps", Name: "empty"}, want: ProblemNoImage,
		},
		"an odd tag": {
			in: "b: x # {\"$imagepolicy\": \"apps:odd\"}\n", line: 1,
			marker: `{"$imagepolicy": "apps:odd"}`, policy: types.NamespacedName{Namespace: "apps", Name: "odd"}, want: ProblemBadImage,
		},
		"an alias":                {in: "a: &x 1\nb: *x # " + tag + "\n", line: 2, policy: app, want: ProblemAlias},
		"a literal block":         {in: "a: | # " + tag + "\n  1.0.0\nb: 1\n", line: 1, policy: app, want: ProblemBlock},
		"a folded block":          {in: "a: !!str >-2 # " + tag + "\n    1.0.0\n", line: 1, policy: app, want: ProblemBlock},
		"a bad marker of a block": {in: "a: | # x " + tag + "\n  1.0.0\n", line: 1, marker: "x " + tag, want: ProblemBadMarker},
		"a tag of numbers":        {in: "a: !!float 1.0 # " + tag + "\n", line: 1, policy: app, want: ProblemTag},
		"a tag of bytes":          {in: "a: !!binary aGVsbG8= # " + tag + "\n", line: 1, policy: app, want: ProblemTag},
		"a flow map":              {in: "- {name: a, newTag: 1.0.0} # " + tag + "\n", line: 1, policy: app, want: ProblemCollection},
		"a flow list, nested":     {in: "a: [[1.0.0], # " + tag + "\n]\n", line: 1, policy: app, want: ProblemCollection},
		"a map below":             {in: "a: # " + tag + "\n  b: 1\n", line: 1, policy: app, want: ProblemNoValue},
		"a value below":           {in: "a: # " + tag + "\n  1.0.0\n", line: 1, policy: app, want: ProblemNoValue},
		"a dash":                  {in: "- a\n- # " + tag + "\n  b: 1.0.0\n", line: 2, policy: app, want: ProblemNoValue},
		"a line of its own":       {in: "a:\n  # " + tag + "\n  b: 1.0.0\n", line: 2, policy: app, want: ProblemNoValue, why: "it is not clear of what it is"},
		"a line behind":           {in: "a: 1.0.0\n# " + tag + "\n", line: 2, policy: app, want: ProblemNoValue},
		"the first line":          {in: "# " + tag + "\na: 1.0.0\n", line: 1, policy: app, want: ProblemNoValue},
		"nothing else":            {in: "# " + tag, line: 1, policy: app, want: ProblemNoValue},
		"a document":              {in: "--- # " + tag + "\na: 1\n", line: 1, policy: app, want: ProblemNoValue},
		"a key":                   {in: "? a # " + tag + "\n: 1.0.0\n", line: 1, policy: app, want: ProblemNoValue},
		"a key in a key":          {in: "? {a: b # " + tag + "\n }\n: 1.0.0\n", line: 1, policy: app, want: ProblemNoValue},
		"a key without value":     {in: "{a, b, # " + tag + "\n}\n", line: 1, policy: app, want: ProblemNoValue},
		"not of JSON":             {in: "a: 1 # {\"$imagepolicy\": apps:app}\n", line: 1, marker: `{"$imagepolicy": apps:app}`, want: ProblemBadMarker},
		"more text":               {in: "a: 1 # " + tag + " and more\n", line: 1, marker: tag + " and more", want: ProblemBadMarker},
		"not a string":            {in: "a: 1 # {\"$imagepolicy\": [\"apps:app\"]}\n", line: 1, marker: `{"$imagepolicy": ["apps:app"]}`, want: ProblemBadMarker},
		"only a namespace":        {in: "a: 1 # {\"$imagepolicy\": \"apps\"}\n", line: 1, marker: `{"$imagepolicy": "apps"}`, want: ProblemBadMarker},
		"no namespace":            {in: "a: 1 # {\"$imagepolicy\": \":app\"}\n", line: 1, marker: `{"$imagepolicy": ":app"}`, want: ProblemBadMarker},
		"an empty part":           {in: "a: 1 # {\"$imagepolicy\": \"apps:app:\"}\n", line: 1, marker: `{"$imagepolicy": "apps:app:"}`, want: ProblemBadMarker},
		"an unknown part":         {in: "a: 1 # {\"$imagepolicy\": \"apps:app:version\"}\n", line: 1, marker: `{"$imagepolicy": "apps:app:version"}`, want: ProblemBadMarker},
		"null":                    {in: "a: 1 # {\"$imagepolicy\": null}\n", line: 1, marker: `{"$imagepolicy": null}`, want: ProblemBadMarker},
		"behind carriage returns": {in: "a: 1\r\nb: 2\rc: &x 1\r\nd: *x # " + tag + "\r\n", line: 4, policy: app, want: ProblemAlias},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := []byte(tc.in)
			got, err := Set(content, someRefs())
			if err != nil {
				t.Fatal(err)
			}
			if tc.marker == "" {
				tc.marker = tag
			}
			want := []Note{{Line: tc.line, Marker: tc.marker, Policy: tc.policy, Problem: tc.want}}
			if diff := cmp.Diff(want, got.Notes); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			if len(got.Changes) != 0 || &got.Content[0] != &content[0] {
				t.Errorf("changed to %q", got.Content)
			}
		})
	}
}

func TestSetSaysNothingOfOtherComments(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a line that is switched off": "a: 1\n# tag: 1.0.0 # {\"$imagepolicy\": \"apps:app\"}\n",
		"a comment about markers":     "# Write {\"$imagepolicy\": \"namespace:name\"} behind the value.\na: 1\n",
		"text in a block":             "a: |\n  # {\"$imagepolicy\": \"apps:app\"}\n  b: 1 # {\"$imagepolicy\": \"apps:app\"}\n",
		"text in quotes":              "a: 'b # {\"$imagepolicy\": \"apps:app\"}'\n",
		"a value that is right":       "a: 2.0.0 # {\"$imagepolicy\": \"apps:app:tag\"}\n",
		"a number that is right":      "a: 1.10 # {\"$imagepolicy\": \"apps:short:tag\"}\n",
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Set([]byte(in), someRefs())
			if diff := cmp.Diff(Result{Content: []byte(in)}, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	const marked = `tag: 1.0.0 # {"$imagepolicy": "apps:app:tag"}` + "\n"
	tests := map[string]struct {
		why  string
		in   string
		want error
		text string
	}{
		"the template of a chart": {
			why: "its markers are not of the YAML that it renders",
			in:  marked + "a: b\n{{- if .Values.on }}\nc: d\n{{- end }}\n", want: ErrYAML, text: "line 3",
		},
		"a tab as indent":        {in: marked + "a:\n\tb: c\n", want: ErrYAML, text: "line 3"},
		"an alias of nothing":    {in: marked + "a: *nothing\n", want: ErrYAML, text: "nothing"},
		"an open quote":          {in: marked + "a: \"b\n", want: ErrYAML, text: "line 2"},
		"bytes that are no text": {in: marked + "a: \xff\n", want: ErrYAML, text: "line 2: not UTF-8"},
		"a NUL":                  {in: marked + "a: 1\r\nb: \x00\n", want: ErrYAML, text: "line 3: control"},
		"a second document":      {in: marked + "---\na: b: c\n", want: ErrYAML, text: "line 3"},
		"a large file":           {in: marked + strings.Repeat(strings.Repeat("#", 1023)+"\n", maxSize>>10), want: ErrLimit, text: "bytes"},
		"many nodes":             {in: marked + "a: [" + strings.Repeat(",1", maxIndicators) + "]\n", want: ErrLimit},
		"many documents":         {in: marked + strings.Repeat("---\n", maxDocuments+1), want: ErrLimit},
		"deep flows":             {in: marked + "a: " + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + "\n", want: ErrLimit, text: "line 2"},
		"deep blocks":            {in: strings.Repeat("- ", maxDepth+1) + marked, want: ErrLimit, text: "line 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Set([]byte(tc.in), someRefs())
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v, want %v with %q (%s)", err, tc.want, tc.text, tc.why)
			}
			if got.Content != nil || got.Changes != nil || got.Notes != nil {
				t.Errorf("refused, but gave %+v", got)
			}
		})
	}
}

func TestSetExpandsNoAlias(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 26; i++ {
		from, to := string(rune('a'+i-1)), string(rune('a'+i))
		bomb.WriteString(to + "0: &" + to + "0 [" + strings.Repeat("*"+from+"0, ", 9) + "*" + from + "0]\n")
	}
	bomb.WriteString("tag: 1 # {\"$imagepolicy\": \"apps:app:tag\"}\n")
	got, err := Set([]byte(bomb.String()), someRefs())
	if want := strings.Replace(bomb.String(), "tag: 1 ", "tag: 2.0.0 ", 1); err != nil || string(got.Content) != want {
		t.Errorf("%v, changes %+v", err, got.Changes)
	}
}

func TestSetGivesFewNotes(t *testing.T) {
	t.Parallel()
	long := `a: 1 # {"$imagepolicy":"` + strings.Repeat("é", 300) + `"}` + "\n"
	got, err := Set([]byte(strings.Repeat(long, 2*maxNotes)), someRefs())
	if err != nil || len(got.Notes) != maxNotes {
		t.Fatalf("%d notes, %v", len(got.Notes), err)
	}
	if last := got.Notes[maxNotes-1]; last.Line != maxNotes || len(last.Marker) > maxMarker+len("...") || !strings.HasSuffix(last.Marker, "é...") {
		t.Errorf("last note %+v", last)
	}
}
