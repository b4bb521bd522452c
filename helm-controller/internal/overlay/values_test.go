package overlay_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/overlay"
	"weir.dev/pkg/manifest"
)

// values are hard to write: blocks that end in empty lines, what looks like other types, or
// like the end of a document.
func values() []string {
	return []string{
		"", " ", "\n", "\n\n", "a\n", "a\n\n", "a\n\n\n", "\na", "\n\na\n\n", "  a", "a  ", "a  \n", "  a\n b\n", "\ta", "a\tb\n\tc\n",
		"yes", "No", "on", "y", "~", "null", "true", "1", "0x1f", "0o7", "1e3", ".5", "-.inf", ".nan", "1_000", "12:30:45", "2001-01-01", "=", "<<",
		"---", "---\n", "a\n---\nb\n", "...\n", "# Source: x\n", "---\n# Source: demo/templates/a.yaml\nx\n", "a: b", "a #b", "- a", "[a", "{a", "&a", "*a", "!a", "%a", "@a", "`a", "'a'", "\"a\"", "a\\b", "|", ">",
		"a\r\nb\r\n", "a\rb", "\u00e9\u4e16\U0001F600", "\u2028", "\x01", "\uFEFFa", strings.Repeat("word ", 60), strings.Repeat("long", 60), "x\n" + strings.Repeat("word ", 60) + "\n", "{{ x }}", "$(A) ${B}",
	}
}

// No value may change on its way into the stored release, wherever it stands: last in a
// template or not, last of all or not.
func TestValuesStay(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]overlay.Spec{
		"labels only": {}, "post-rendered": {PostRenderers: []helmv2.PostRenderer{patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: c0}, other: 1}")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			templates, hooks := map[string]string{}, map[string]string{}
			want := map[string]string{}
			for i, value := range values() {
				id := fmt.Sprintf("c%d", i)
				want[id] = value
				text := configMap(id, "zdata:\n  k: "+strconv.QuoteToASCII(value)+"\n")
				// The SDK cuts empty lines off the end of what it renders, so there is something after it.
				file := fmt.Sprintf("%d.yaml", i/3)
				templates[file] += "---\n" + text + "zz: end\n"
				hooks["h"+file] += "---\n" + strings.Replace(text, "metadata:", "metadata:\n  annotations: {helm.sh/hook: pre-install}", 1) + "zz: end\n"
			}
			// That is taken off again, so that the value is the last.
			spec.PostRenderers = append(spec.PostRenderers, patchAll(`[{op: remove, path: /zz}]`))
			for name, content := range hooks {
				templates[name] = content
			}
			r := must(t, spec, templates)
			if diff := cmp.Diff(want, read(t, r.Manifest)); diff != "" {
				t.Errorf("objects: -want +got\n%s", diff)
			}
			got := map[string]string{}
			for _, h := range r.Hooks {
				for id, value := range read(t, h.Manifest) {
					got[id] = value
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("hooks: -want +got\n%s", diff)
			}
		})
	}
}

// read returns the values in ConfigMaps.
func read(t *testing.T, text string) map[string]string {
	t.Helper()
	objects, err := manifest.Read([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	out := map[string]string{}
	for _, obj := range objects {
		data, _ := obj.Object["zdata"].(map[string]any)
		out[obj.GetName()], _ = data["k"].(string)
	}
	return out
}
