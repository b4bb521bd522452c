package overlay_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/helm-controller/internal/overlay"
	"weir.dev/pkg/manifest"
)

// What charts render stays what it is, but for the labels, whether kustomize has a part in it
// or not.
func TestChartsStay(t *testing.T) {
	t.Parallel()
	specs := map[string]overlay.Spec{
		"labels only":   {Owner: owner},
		"post-rendered": {Owner: owner, PostRenderers: []helmv2.PostRenderer{targeted("[{op: test, path: /kind, value: None}]", kustomize.Selector{Kind: "None"})}},
	}
	for _, name := range charttest.Names(t) {
		for variant, v := range charttest.Variants(t, name) {
			rel, err := charttest.Render(t, charttest.Open(t, name).Load(), v)
			if err != nil {
				continue // which is what the variant is for
			}
			if _, err := manifest.Read([]byte(rel.Manifest)); err != nil {
				continue // what there is to compare with, we would not read
			}
			for kind, spec := range specs {
				t.Run(name+"/"+variant+"/"+kind, func(t *testing.T) {
					t.Parallel()
					o, err := overlay.New(spec)
					if err != nil {
						t.Fatal(err)
					}
					out, err := o.Manifests().Run(bytes.NewBufferString(rel.Manifest))
					if err != nil {
						t.Fatal(err)
					}
					made := &release.Release{Hooks: append([]*release.Hook(nil), rel.Hooks...)}
					if err := o.Hooks(made); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(contents(t, rel.Manifest), contents(t, out.String())); diff != "" {
						t.Errorf("objects: -chart +stored\n%s", diff)
					}
					if diff := cmp.Diff(hookContents(t, rel), hookContents(t, made)); diff != "" {
						t.Errorf("hooks: -chart +stored\n%s", diff)
					}
				})
			}
		}
	}
}

// contents returns the objects in a text by name, without what an overlay adds.
func contents(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	objects, err := manifest.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]map[string]any)
	for _, obj := range objects {
		labels := obj.GetLabels()
		delete(labels, helmv2.LabelName)
		delete(labels, helmv2.LabelNamespace)
		unstructured.RemoveNestedField(obj.Object, "metadata", "labels")
		if len(labels) > 0 {
			obj.SetLabels(labels)
		}
		if len(obj.GetAnnotations()) == 0 {
			unstructured.RemoveNestedField(obj.Object, "metadata", "annotations")
		}
		content, _ := unended(obj.Object).(map[string]any)
		out[obj.GetAPIVersion()+" "+manifest.IDOf(obj).String()] = content
	}
	return out
}

// unended takes the newlines off the ends of texts: a block at the end of an object keeps its
// own or not, depending on where it is in its template.
func unended(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = unended(value[key])
		}
	case []any:
		for i := range value {
			value[i] = unended(value[i])
		}
	case string:
		return strings.TrimRight(value, "\n")
	}
	return value
}

// hookContents tells what hooks there are, in order, and what each is for.
func hookContents(t *testing.T, r *release.Release) []any {
	t.Helper()
	var out []any
	for _, h := range r.Hooks {
		out = append(out, h.Name, h.Kind, h.Path, h.Events, h.Weight, h.DeletePolicies, contents(t, h.Manifest+"\n")) // which the SDK cuts off
	}
	return out
}
