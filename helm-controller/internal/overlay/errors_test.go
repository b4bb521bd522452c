package overlay_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/overlay"
)

// patchAll is a post-renderer of one patch for all ConfigMaps.
func patchAll(text string) helmv2.PostRenderer {
	return targeted(text, kustomize.Selector{Kind: "ConfigMap"})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	const secret = "aHVudGVyMg=="
	templates := map[string]string{
		"a.yaml": configMap("a", "data: {k: v}\n"), "h.yaml": hook("h", "pre-install"),
		"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: n}\ndata: {p: " + secret + "}\n",
	}
	one := func(text string) map[string]string { return map[string]string{"a.yaml": text} }
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += strings.NewReplacer("N", string(c), "P", string(c-1)).Replace("N: &N [*P, *P, *P, *P, *P, *P, *P, *P, *P, *P]\n")
	}
	double := `[{op: add, path: /data/l, value: [` + strings.Repeat("x", 1000) + `]}` + strings.Repeat(`, {op: copy, from: /data, path: /data/l/0}`, 30) + "]"
	tests := map[string]struct {
		why       string
		renderers []helmv2.PostRenderer
		templates map[string]string // nil means those above
		object    string            // which the SDK would not get as far as this with
		says      []string
	}{
		"not YAML":              {why: "the user must know which template", object: configMap("a", "data:\n  - a\n  b: c\n"), says: []string{"a.yaml"}},
		"no object":             {why: "the user must know which template", templates: one("just: text\n"), says: []string{"demo/templates/a.yaml: not a Kubernetes object: it has no kind"}},
		"no name":               {why: "an object without cannot be applied", templates: one("apiVersion: v1\nkind: ConfigMap\n"), says: []string{"demo/templates/a.yaml: not a Kubernetes object: it has no metadata.name"}},
		"twice":                 {why: "one would overwrite the other", templates: map[string]string{"a.yaml": configMap("a"), "b.yaml": configMap("a")}, says: []string{"demo/templates/b.yaml: ConfigMap a is already defined in demo/templates/a.yaml"}},
		"not a number":          {why: "kustomize would end the process", object: configMap("a", "data: {k: .nan}\n"), says: []string{"ConfigMap a in demo/templates/a.yaml", ".nan"}},
		"key of a number":       {why: "kustomize would end the process", object: configMap("a", "data: {{1: 2}: x}\n"), says: []string{"a.yaml"}},
		"alias bomb":            {why: "it would take all memory", object: configMap("a") + bomb, says: []string{"a.yaml"}},
		"anchor in itself":      {why: "it would overflow the stack", object: configMap("a", "data: &x {k: *x}\n"), says: []string{`demo/templates/a.yaml: the YAML anchor "x" contains itself`}},
		"hook that is none now": {why: "its objects are applied already when hooks are seen", renderers: []helmv2.PostRenderer{patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: h, annotations: {helm.sh/hook: null}}}")}, says: []string{"ConfigMap h in demo/templates/h.yaml is no hook any more"}},

		"empty patch":         {why: "it cannot be meant", renderers: []helmv2.PostRenderer{patches(" ")}, says: []string{"postRenderers[0].kustomize.patches[0]: the patch is empty"}},
		"patch of text":       {why: "it cannot be meant", renderers: []helmv2.PostRenderer{patches("some text")}, says: []string{"postRenderers[0].kustomize.patches[0]: the patch cannot be read"}},
		"patch without kind":  {why: "it patches nothing", renderers: []helmv2.PostRenderer{{}, patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", "{metadata: {name: x}}")}, says: []string{"postRenderers[1].kustomize.patches[1]: the patch cannot be read", "it has no kind"}},
		"patch in itself":     {why: "kustomize would overflow the stack", renderers: []helmv2.PostRenderer{patches("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: &x {k: *x}\n")}, says: []string{"postRenderers[0].kustomize.patches[0]", `"x"`}},
		"list without target": {why: "operations do not say what they are for", renderers: []helmv2.PostRenderer{patches("[{op: remove, path: /data}]")}, says: []string{"postRenderers[0].kustomize.patches[0]: a list of operations needs a target"}},
		"two with a target":   {why: "which is meant for the target?", renderers: []helmv2.PostRenderer{patchAll("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}")}, says: []string{"a patch with a target can be one object only: make 2 patches of it"}},
		"bad target":          {why: "names are regular expressions", renderers: []helmv2.PostRenderer{targeted("[{op: remove, path: /data}]", kustomize.Selector{Name: "a("})}, says: []string{"postRenderers[0].kustomize.patches[0].target", "missing closing )"}},
		"bad label selector":  {why: "the user must know which patch", renderers: []helmv2.PostRenderer{targeted("[{op: remove, path: /data}]", kustomize.Selector{LabelSelector: "a in"})}, says: []string{"postRenderers[0].kustomize.patches[0]"}},
		"no such path":        {why: "the user must know which patch and object", renderers: []helmv2.PostRenderer{patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: y}}"), patchAll("[{op: remove, path: /data/x}, {op: remove, path: /data/z}]")}, says: []string{"postRenderers[1].kustomize.patches[0]: ConfigMap/a: the patch does not apply", "/data/z"}},
		"test fails":          {why: "the user must know which patch and object", renderers: []helmv2.PostRenderer{patchAll("[{op: test, path: /data/k, value: w}]")}, says: []string{"postRenderers[0].kustomize.patches[0]: ConfigMap/a: the patch does not apply", "/data/k"}},
		"list of text":        {why: "it cannot be meant", renderers: []helmv2.PostRenderer{patchAll("[a]")}, says: []string{"postRenderers[0].kustomize.patches[0]: the patch cannot be read: it is a list, but not of operations"}},
		"unknown operation":   {why: "it cannot be meant", renderers: []helmv2.PostRenderer{patchAll("[{op: drop, path: /data/k}]")}, says: []string{"postRenderers[0].kustomize.patches[0]", "drop"}},
		"wrong type":          {why: "the user must know which patch and object", renderers: []helmv2.PostRenderer{patches("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: [x]}")}, says: []string{"postRenderers[0].kustomize.patches[0]: ConfigMap/a"}},
		"copies":              {why: "each doubles the object", renderers: []helmv2.PostRenderer{targeted(double, kustomize.Selector{Name: "a"})}, says: []string{"postRenderers[0].kustomize.patches[0]: ConfigMap/a", "copy"}},
		"Secret":              {why: "its values are nobody's business", renderers: []helmv2.PostRenderer{targeted("[{op: test, path: /data/p, value: "+secret+"x}]", kustomize.Selector{Kind: "Secret"})}, says: []string{"postRenderers[0].kustomize.patches[0]: Secret/n/s: the patch does not apply"}},
		"Secret, merged":      {why: "its values are nobody's business", renderers: []helmv2.PostRenderer{patches("{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: n}, data: [" + secret + "]}")}, says: []string{"postRenderers[0].kustomize.patches[0]: Secret/n/s: the patch does not apply"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.templates == nil {
				tc.templates = templates
			}
			_, err := layOver(t, overlay.Spec{PostRenderers: tc.renderers}, tc.templates)
			if tc.object != "" {
				err = raw(t, tc.object)
			}
			if err == nil {
				t.Fatalf("no error: %s", tc.why)
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error = %v; want %q (%s)", err, part, tc.why)
				}
			}
			if len(err.Error()) > 800 || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// raw lays over one object that the SDK would refuse.
func raw(t *testing.T, object string) error {
	t.Helper()
	o, err := overlay.New(overlay.Spec{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Manifests().Run(bytes.NewBufferString("---\n# Source: demo/templates/a.yaml\n" + object + "\n"))
	return err
}
