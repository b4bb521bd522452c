package writeback

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/image-controller/internal/setters"
)

// sample is what two files change, with one change twice.
func sample() Data {
	app := setters.ObjectID{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "apps", Name: "app"}
	job := setters.ObjectID{APIVersion: "batch/v1", Kind: "CronJob", Namespace: "apps", Name: "job"}
	bump := func(id setters.ObjectID) setters.Change {
		return setters.Change{Object: id, Setter: "apps:app:tag", OldValue: "1.0.0", NewValue: "1.0.1"}
	}
	return Data{
		AutomationObject: Automation{Namespace: "apps", Name: "auto"},
		Changed: newChanged([]fileChanges{
			{path: "a.yaml", changes: []setters.Change{bump(job), {Object: app, Setter: "apps:other", OldValue: "x:1", NewValue: "x:2"}}},
			{path: "b.yaml", changes: []setters.Change{bump(app)}},
		}),
		Values: map[string]string{"cluster": "prod"},
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ why, template, want string }{
		"none":      {why: "users know this text", template: "", want: "Update from image update automation"},
		"the owner": {template: "{{ .AutomationObject.Namespace }}/{{ .AutomationObject.Name }}", want: "apps/auto"},
		"values":    {template: "{{ .Values.cluster }}", want: "prod"},
		"changes": {
			why:      "each once, in the order of files and lines",
			template: "{{ range .Changed.Changes }}{{ .OldValue }} -> {{ .NewValue }} ({{ .Setter }})\n{{ end }}",
			want:     "1.0.0 -> 1.0.1 (apps:app:tag)\nx:1 -> x:2 (apps:other)",
		},
		"objects": {
			why:      "in the order of their names, whatever file they are in",
			template: "{{ range $o, $changes := .Changed.Objects }}{{ $o.APIVersion }} {{ $o.Kind }} {{ $o.Namespace }}/{{ $o.Name }}:{{ range $changes }} {{ .NewValue }}{{ end }}\n{{ end }}",
			want:     "apps/v1 Deployment apps/app: x:2 1.0.1\nbatch/v1 CronJob apps/job: 1.0.1",
		},
		"files": {
			template: "{{ range $file, $objects := .Changed.FileChanges }}{{ $file }}{{ range $o, $changes := $objects }} {{ $o.Kind }}={{ len $changes }}{{ end }}\n{{ end }}",
			want:     "a.yaml Deployment=1 CronJob=1\nb.yaml Deployment=1",
		},
		"functions":       {template: `{{ "image" | upper | repeat 2 }} {{ list 3 1 | join "," }} {{ dict "b" 1 "a" 2 | keys }}`, want: "IMAGEIMAGE 3,1 [a b]"},
		"regexes":         {template: `{{ regexReplaceAll "1.0.([0-9]+)" "app:1.0.7" "v${1}" }}`, want: "app:v7"},
		"loops":           {template: `{{ range $i := until 3 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $i }}{{ else }}none{{ end }}`, want: "02"},
		"templates":       {template: `{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" 1 }}{{ template "x" 2 }}`, want: "<1><2>"},
		"text":            {why: "a message is no HTML", template: `{{ "<a> & \"b\"" }}`, want: `<a> & "b"`},
		"bytes":           {why: "git has no zero bytes in messages", template: `a{{ "\x00\xff" }}b`, want: "a\uFFFDb"},
		"another Updated": {why: "the values of a user may be called as they like", template: `{{ with .Values }}{{ .Updated }}{{ end }}x`, want: "<no value>x"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := Parse(tc.template)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				got, err := parsed.Message(sample())
				if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
					t.Errorf("%v, message (-want +got):\n%s%s", err, diff, tc.why)
				}
			}
		})
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, template string
		parse, make   error // by Parse, or by Message
	}{
		"malformed":                 {template: "{{ .Changed", parse: ErrTemplate},
		"an unknown function":       {template: "{{ nothing }}", parse: ErrTemplate},
		"the environment":           {why: "a message tells nothing of the controller", template: `{{ env "HOME" }}`, parse: ErrTemplate},
		"the time":                  {why: "the same makes the same", template: "{{ now }}", parse: ErrTemplate},
		"randomness":                {why: "the same makes the same", template: "{{ randInt 0 9 }}", parse: ErrTemplate},
		"a key":                     {why: "it takes long", template: `{{ genPrivateKey "rsa" }}`, parse: ErrTemplate},
		"recursion":                 {template: `{{ define "a" }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ if . }}{{ template "a" . }}{{ end }}{{ end }}{{ template "a" . }}`, parse: ErrTemplate},
		"too long":                  {template: strings.Repeat("x", maxTemplate+1), parse: ErrTemplate},
		"definitions only":          {template: `{{ define "a" }}{{ end }}`, make: ErrMessage},
		"nothing":                   {template: "  {{ if false }}x{{ end }}\n", make: ErrMessage},
		"an unknown field":          {template: "{{ .Nothing }}", make: ErrMessage},
		"fail":                      {template: `{{ fail "no" }}`, make: ErrMessage},
		"a panic":                   {why: "it is the user's", template: `{{ repeat -1 "x" }}`, make: ErrMessage},
		"a long loop":               {template: `{{ range 1000000000000 }}{{ end }}`, make: ErrMessage},
		"loops in loops":            {template: strings.Repeat("{{ range until 1000 }}", 4) + strings.Repeat("{{ end }}", 4), make: ErrMessage},
		"templates that multiply":   {template: multiplied(40), make: ErrMessage},
		"doubling a text":           {template: `{{ $x := "xx" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}`, make: ErrMessage},
		"doubling a list":           {template: `{{ $x := list 1 }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ $x }}`, make: ErrMessage},
		"a list in itself":          {template: `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toJson $d }}`, make: ErrMessage},
		"repeating":                 {template: `{{ repeat 1000000000 "x" }}`, make: ErrMessage},
		"indenting":                 {template: `{{ indent 1000000000 "x" }}`, make: ErrMessage},
		"replacing":                 {template: `{{ $x := repeat 100000 "x" }}{{ replace "" $x $x }}`, make: ErrMessage},
		"replacing by expression":   {template: `{{ $x := repeat 10000 "x" }}{{ regexReplaceAll "" $x $x }}`, make: ErrMessage},
		"joining":                   {template: `{{ join (repeat 100000 "x") (until 10000) }}`, make: ErrMessage},
		"many numbers":              {template: `{{ until 1000000000 }}`, make: ErrMessage},
		"numbers beyond all others": {template: `{{ untilStep 9223372036854775806 9223372036854775807 4611686018427387904 }}`, make: ErrMessage},
		"a sequence":                {template: `{{ seq 1 1000000000 }}`, make: ErrMessage},
		"a wide format":             {template: `{{ printf "%999999d" 1 }}`, make: ErrMessage},
		"a format by argument":      {template: `{{ printf "%*d" 999999 1 }}`, make: ErrMessage},
		"an address":                {why: "it is another each time", template: `{{ printf "%-5p" .Values }}`, make: ErrMessage},
		"a large expression":        {template: `{{ regexMatch "(a{900}b){2}" "x" }}`, make: ErrMessage},
		"removed":                   {template: "{{ range .Updated.Images }}{{ end }}", parse: ErrRemovedField},
		"removed, in a condition":   {template: "{{ if .Changed.ImageResult }}x{{ end }}", parse: ErrRemovedField},
		"removed, by the root":      {template: "{{ range .Values }}{{ $.Updated }}{{ end }}", parse: ErrRemovedField},
		"removed, in a call":        {template: "{{ len (.Updated.Files) }}", parse: ErrRemovedField},
		"removed, in a with":        {why: "what the dot is shows when it is executed", template: "{{ with .Changed }}{{ .ImageResult }}{{ end }}", make: ErrRemovedField},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := Parse(tc.template)
			if !errors.Is(err, tc.parse) || (err == nil) != (tc.parse == nil) {
				t.Fatalf("Parse: %v; want %v (%s)", err, tc.parse, tc.why)
			}
			if err != nil {
				return
			}
			data := sample()
			data.Values["long"] = "x"
			if got, err := parsed.Message(data); !errors.Is(err, tc.make) {
				t.Errorf("Message: %.80q, %v; want %v (%s)", got, err, tc.make, tc.why)
			}
		})
	}
}

// multiplied is a template that calls the one before twice, n times over.
func multiplied(n int) string {
	text := `{{ define "t0" }}{{ end }}`
	for i := range n {
		text += fmt.Sprintf(`{{ define "t%d" }}{{ template "t%d" }}{{ template "t%[2]d" }}{{ end }}`, i+1, i)
	}
	return text + fmt.Sprintf(`{{ template "t%d" }}`, n)
}

// TestLongMessage is cut: a commit is worth more than all of its message.
func TestLongMessage(t *testing.T) {
	t.Parallel()
	parsed, err := Parse(`{{ range until 5000 }}line of some length
{{ end }}`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsed.Message(sample())
	if err != nil || len(got) > MaxMessage+10 || len(got) < MaxMessage/2 || !strings.HasSuffix(got, "…") {
		t.Errorf("a message of %d bytes, %v; want it cut at %d", len(got), err, MaxMessage)
	}
}

// FuzzMessage: whatever a template is, it ends, and its message is a bounded text.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		"", "{{ range .Changed.Changes }}{{ .OldValue }}{{ end }}", "{{ .Updated }}", `{{ repeat 99 "x" | indent 4 }}`,
		`{{ define "a" }}{{ . }}{{ end }}{{ template "a" 1 }}`, "{{ range 99999999 }}x{{ end }}",
		`{{ $x := list }}{{ range until 9 }}{{ $x = append $x $x }}{{ end }}{{ toPrettyJson $x }}`,
		`{{ regexReplaceAll "(a*)*" "aaaa" "$1$1" }}`, `{{ printf "%[3]*.[2]*[1]f" 12.0 2 6 }}`, "{{- /* x */ -}}",
		`{{ with $x := dict "a" (dict "b" 1) }}{{ dig "a" "b" 0 $x }}{{ end }}`, `{{ seq 1 -1 -9 }}{{ untilStep 1 9 2 }}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrTemplate) && !errors.Is(err, ErrRemovedField) {
				t.Errorf("Parse(%q): %v, which is of no kind", text, err)
			}
			return
		}
		first, err := parsed.Message(sample())
		if err != nil && !errors.Is(err, ErrMessage) && !errors.Is(err, ErrRemovedField) {
			t.Errorf("Message of %q: %v, which is of no kind", text, err)
		}
		if len(first) > MaxMessage+len("\n…") || strings.ContainsRune(first, 0) || err == nil && strings.TrimSpace(first) == "" {
			t.Errorf("Message of %q: %d bytes: %.100q", text, len(first), first)
		}
		if again, _ := parsed.Message(sample()); again != first {
			t.Errorf("Message of %q is first\n%.200q\nand then\n%.200q", text, first, again)
		}
	})
}
