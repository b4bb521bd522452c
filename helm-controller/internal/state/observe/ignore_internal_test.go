package observe

import (
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/apply"
)

// web is an object that rules may be about.
func web() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{
			"namespace": "shop", "name": "web-1", "labels": map[string]any{"app": "web"}, "annotations": map[string]any{"note": "x"},
		},
	}}
}

// TestSelector: patterns are anchored, and what is not set selects all.
func TestSelector(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		target *kustomize.Selector
		want   bool
	}{
		"nothing":              {why: "a rule without a target is about all", want: true},
		"empty":                {why: "the same", target: &kustomize.Selector{}, want: true},
		"kind":                 {target: &kustomize.Selector{Kind: "Deployment"}, want: true},
		"another kind":         {target: &kustomize.Selector{Kind: "StatefulSet"}},
		"part of a kind":       {why: "patterns are anchored", target: &kustomize.Selector{Kind: "Deploy"}},
		"pattern of kinds":     {target: &kustomize.Selector{Kind: "Deploy.*"}, want: true},
		"group":                {target: &kustomize.Selector{Group: "apps"}, want: true},
		"another group":        {target: &kustomize.Selector{Group: "batch"}},
		"another version":      {target: &kustomize.Selector{Version: "v1beta1"}},
		"name":                 {target: &kustomize.Selector{Name: "web-[0-9]"}, want: true},
		"end of a name":        {why: "patterns are anchored", target: &kustomize.Selector{Name: "1"}},
		"namespace":            {target: &kustomize.Selector{Namespace: "shop"}, want: true},
		"another namespace":    {target: &kustomize.Selector{Namespace: "sho"}},
		"label":                {target: &kustomize.Selector{LabelSelector: "app=web"}, want: true},
		"another label":        {target: &kustomize.Selector{LabelSelector: "app!=web"}},
		"annotation":           {target: &kustomize.Selector{AnnotationSelector: "note"}, want: true},
		"another annotation":   {target: &kustomize.Selector{AnnotationSelector: "note=y"}},
		"all of it":            {target: &kustomize.Selector{Group: "apps", Version: "v1", Kind: "Deployment", Name: "web-1", Namespace: "shop", LabelSelector: "app"}, want: true},
		"all of it, but a one": {why: "each must hold", target: &kustomize.Selector{Kind: "Deployment", Name: "web-1", LabelSelector: "tier"}},
	}
	for name, tc := range tests {
		selects, err := selectorOf(tc.target)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := selects(web()); got != tc.want {
			t.Errorf("%s: selects %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

// TestRules: those with an empty path are about objects as a whole.
func TestRules(t *testing.T) {
	t.Parallel()
	deployments := &kustomize.Selector{Kind: "Deployment"}
	fields, whole, err := rulesOf([]helmv2.IgnoreRule{
		{Paths: []string{"/spec/replicas"}, Target: deployments},
		{Paths: []string{""}, Target: deployments},
		{Paths: []string{"/data/a", "", "/data/b"}, Target: &kustomize.Selector{Kind: "ConfigMap"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []apply.IgnoreRule{
		{Paths: []string{"/spec/replicas"}, Target: deployments, Field: "spec.driftDetection.ignore[0]"},
		{Paths: []string{"/data/a", "/data/b"}, Target: &kustomize.Selector{Kind: "ConfigMap"}, Field: "spec.driftDetection.ignore[2]"},
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("rules about fields (-want +got):\n%s", diff)
	}
	var selected []bool
	for _, selects := range whole {
		selected = append(selected, selects(web()))
	}
	if !slices.Equal(selected, []bool{true, false}) {
		t.Errorf("the rules about wholes select %v; want the first of two", selected)
	}
}

func TestRulesThatMeanNothing(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]*kustomize.Selector{
		"pattern": {Name: "("}, "labelSelector": {LabelSelector: "a in ("}, "annotationSelector": {AnnotationSelector: "a in ("},
	} {
		_, _, err := rulesOf([]helmv2.IgnoreRule{{Paths: []string{"/data"}}, {Paths: []string{""}, Target: target}})
		if err == nil || !strings.Contains(err.Error(), "spec.driftDetection.ignore[1].target") {
			t.Errorf("%s: the error is %v; want one that names the rule", name, err)
		}
	}
}

// TestExempt: an object may ask to be left alone, in either way.
func TestExempt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		of, value string
		want      bool
	}{
		{of: "labels", value: "disabled", want: true}, {of: "annotations", value: "disabled", want: true},
		{of: "annotations", value: "Disabled", want: true}, {of: "annotations", value: "enabled"}, {of: "labels", value: ""},
	} {
		obj := web()
		if err := unstructured.SetNestedField(obj.Object, tc.value, "metadata", tc.of, helmv2.KeyDriftDetection); err != nil {
			t.Fatal(err)
		}
		if got := exempt(obj); got != tc.want {
			t.Errorf("%s of %q: exempt %t; want %t", tc.of, tc.value, got, tc.want)
		}
	}
	if exempt(web()) {
		t.Error("an object that says nothing is left alone")
	}
}

// TestNoDrift: nil is what a release has that nobody looks at.
func TestNoDrift(t *testing.T) {
	t.Parallel()
	var d *Drift
	if d.Any() || d.Changes() != nil {
		t.Errorf("there is drift: %v", d.Changes())
	}
}

// TestLabelsOfFirst: a manifest may begin with anything.
func TestLabelsOfFirst(t *testing.T) {
	t.Parallel()
	const object = "kind: ConfigMap\nmetadata: {labels: {a: b}}\n"
	for name, tc := range map[string]struct {
		manifest string
		found    bool
		label    any
	}{
		"nothing":           {},
		"a comment":         {manifest: "---\n# Source: a\n---\n# Source: b\n" + object, found: true, label: "b"},
		"one":               {manifest: object, found: true, label: "b"},
		"none with a label": {manifest: "---\nkind: ConfigMap\nmetadata: {name: a}\n---\n" + object, found: true},
		"no object":         {manifest: "---\na: b\n"},
		"no YAML, and one":  {manifest: "---\na: b: c\n---\n" + object, found: true, label: "b"},
	} {
		labels, found := labelsOfFirst(tc.manifest)
		if found != tc.found || labels["a"] != tc.label {
			t.Errorf("%s: found %t, %v; want %t, %v", name, found, labels, tc.found, tc.label)
		}
	}
}
