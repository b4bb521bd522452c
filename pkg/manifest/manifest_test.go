package manifest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/manifest"
)

func TestID(t *testing.T) {
	tests := map[string]struct {
		why    string
		in     string
		want   manifest.ID
		text   string
		kindAs string
	}{
		"core object": {
			why: "the core API has no group",
			in:  `{apiVersion: v1, kind: Service, metadata: {namespace: ns, name: a}}`, want: manifest.ID{Kind: "Service", Namespace: "ns", Name: "a"},
			text: "Service/ns/a", kindAs: "Service",
		},
		"object of a group": {
			why: "the version is no part of the identity",
			in:  `{apiVersion: apps/v1beta2, kind: Deployment, metadata: {namespace: ns, name: a}}`, want: manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "a"},
			text: "Deployment/ns/a", kindAs: "Deployment.apps",
		},
		"cluster scoped": {
			why: "users know it without a namespace",
			in:  `{apiVersion: v1, kind: Namespace, metadata: {name: a}}`, want: manifest.ID{Kind: "Namespace", Name: "a"},
			text: "Namespace/a", kindAs: "Namespace",
		},
		"name of RBAC": {
			why: "these have colons, which stay",
			in:  `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "system:x"}}`, want: manifest.ID{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:x"},
			text: "ClusterRole/system:x", kindAs: "ClusterRole.rbac.authorization.k8s.io",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			objs, err := manifest.Read([]byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			got := manifest.IDOf(objs[0])
			if got != tc.want || got.String() != tc.text || got.GroupKind().String() != tc.kindAs {
				t.Errorf("IDOf() = %#v, %q of %q; want %#v, %q of %q (%s)", got, got, got.GroupKind(), tc.want, tc.text, tc.kindAs, tc.why)
			}
		})
	}
}

// What is written first decides, and equal identities only compare as equal.
func TestCompare(t *testing.T) {
	ascending := []manifest.ID{
		{},
		{Name: "z"},
		{Namespace: "a", Name: "a"},
		{Namespace: "b"},
		{Kind: "A", Namespace: "z", Name: "z"},
		{Kind: "B"},
		{Group: "a", Kind: "A"},
		{Group: "a", Kind: "B"},
		{Group: "b", Kind: "A"},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := sign(a.Compare(b)), sign(i-j); got != want {
				t.Errorf("%#v.Compare(%#v) is %d, want %d", a, b, got, want)
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestRead(t *testing.T) {
	const a, b = "{apiVersion: v1, kind: A, metadata: {name: a}}\n", "{apiVersion: v1, kind: B, metadata: {name: b}}\n"
	tests := map[string]struct {
		why  string
		in   string
		want []string
	}{
		"nothing":                   {why: "an empty file is no mistake", in: "", want: nil},
		"comments only":             {why: "nor is one that is commented out", in: "# apiVersion: v1\n---\n\n# b\n", want: nil},
		"empty documents":           {why: "generators leave them", in: "---\n---\n" + a + "---\n\n---\nnull\n---\n" + b, want: []string{"A/a", "B/b"}},
		"no newline at the end":     {why: "editors leave it out", in: a + "---\n" + strings.TrimSpace(b), want: []string{"A/a", "B/b"}},
		"lines that end by CRLF":    {why: "editors write them", in: strings.ReplaceAll(a+"---\n"+b, "\n", "\r\n"), want: []string{"A/a", "B/b"}},
		"comment on a separator":    {why: "Helm writes it so", in: a + "--- # Source: x\n" + b, want: []string{"A/a", "B/b"}},
		"spaces behind a separator": {why: "they cannot be seen", in: a + "---  \t\n" + b, want: []string{"A/a", "B/b"}},
		"object on a separator":     {why: "YAML has it so", in: "--- " + a + "---\t" + b, want: []string{"A/a", "B/b"}},
		"end of a document":         {why: "what follows must not be lost", in: a + "...\n" + b + "...\n---\n" + a, want: []string{"A/a", "B/b", "A/a"}},
		"separator in a text":       {why: "only the first column separates", in: "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata: |\n  ---\n  x: y\n", want: []string{"A/a"}},
		"dashes that separate nothing": {
			why: "they are the beginning of a key", in: "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---x: y\n", want: []string{"A/a"},
		},
		"list":           {why: "a list stands for its items", in: "apiVersion: v1\nkind: List\nitems:\n- " + a + "- " + b, want: []string{"A/a", "B/b"}},
		"typed list":     {why: "a list of any kind", in: "apiVersion: v1\nkind: AList\nitems:\n- " + a, want: []string{"A/a"}},
		"list of lists":  {why: "to any depth", in: "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: [" + strings.TrimSpace(a) + "]}]\n", want: []string{"A/a"}},
		"empty list":     {why: "it stands for nothing", in: "apiVersion: v1\nkind: List\nitems: []\n", want: nil},
		"JSON":           {why: "it is YAML", in: `{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}}`, want: []string{"A/a"}},
		"indented text":  {why: "YAML by itself", in: "  apiVersion: v1\n  kind: A\n  metadata: {name: a}\n", want: []string{"A/a"}},
		"line of 1 MiB":  {why: "ConfigMaps have such", in: "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata: {x: " + strings.Repeat("x", 1<<20) + "}\n", want: []string{"A/a"}},
		"order":          {why: "it is the caller's to sort", in: b + "---\n" + a, want: []string{"B/b", "A/a"}},
		"the same twice": {why: "it is the caller's to refuse", in: a + "---\n" + a, want: []string{"A/a", "A/a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			objs, err := manifest.Read([]byte(tc.in))
			if err != nil {
				t.Fatalf("Read() fails, %s: %v", tc.why, err)
			}
			if diff := cmp.Diff(tc.want, names(objs)); diff != "" {
				t.Errorf("Read() differs (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const a = "{apiVersion: v1, kind: A, metadata: {name: a}}\n"
	tests := map[string]struct {
		why      string
		in       string
		line     int
		noObject bool
	}{
		"no kind":                   {why: "nobody could say what it is", in: "apiVersion: v1\nmetadata: {name: a}\n", line: 1, noObject: true},
		"no version":                {why: "nobody could say what it is", in: "kind: A\nmetadata: {name: a}\n", line: 1, noObject: true},
		"a text":                    {why: "no object", in: a + "---\njust text\n", line: 3, noObject: true},
		"a sequence":                {why: "no object", in: a + "---\n- a\n- b\n", line: 3, noObject: true},
		"the same key twice":        {why: "one of the two would be lost", in: a + "---\n\napiVersion: v1\nkind: A\nkind: B\n", line: 4},
		"no YAML":                   {why: "comments do not begin a document", in: a + "---\n" + a + "---\n# comment\nx: {\n", line: 6},
		"no newline at the end":     {why: "the line is the same then", in: a + "---\nkind: A", line: 3, noObject: true},
		"lines that end by CRLF":    {why: "the line is the same then", in: strings.ReplaceAll(a+"---\n"+a+"---\nkind: A\n", "\n", "\r\n"), line: 5, noObject: true},
		"a document twice":          {why: "the line is that of the second", in: a + "---\nkind: A\n", line: 3, noObject: true},
		"object on a separator":     {why: "it would be easy to miss", in: a + "--- {kind: A}\n", line: 2, noObject: true},
		"behind a document's end":   {why: "documents end by dots, too", in: a + "...\nkind: A\n", line: 3, noObject: true},
		"item of a list is a text":  {why: "no object", in: "apiVersion: v1\nkind: List\nitems: [a]\n", line: 1, noObject: true},
		"item of a list is nothing": {why: "no object", in: "apiVersion: v1\nkind: List\nitems: [null]\n", line: 1, noObject: true},
		"item of a list, no kind":   {why: "nobody could say what it is", in: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, metadata: {name: a}}\n", line: 1, noObject: true},
		"item of a list, no version": {
			why: "nobody could say what it is", in: "apiVersion: v1\nkind: List\nitems:\n- {kind: A, metadata: {name: a}}\n", line: 1, noObject: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			objs, err := manifest.Read([]byte(tc.in))
			if err == nil {
				t.Fatalf("Read() = %q, want an error (%s)", names(objs), tc.why)
			}
			if errors.Is(err, manifest.ErrNoObject) != tc.noObject {
				t.Errorf("Read() fails by %v; is it ErrNoObject: want %t", err, tc.noObject)
			}
			if want := fmt.Sprintf("document at line %d: ", tc.line); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Read() fails by %q, want %q first (%s)", err, want, tc.why)
			}
			if objs != nil {
				t.Errorf("Read() = %q along with the error", names(objs))
			}
		})
	}
}

// names returns kind and name of objects.
func names(objs []*unstructured.Unstructured) []string {
	var out []string
	for _, obj := range objs {
		out = append(out, obj.GetKind()+"/"+obj.GetName())
	}
	return slices.Clip(out)
}
