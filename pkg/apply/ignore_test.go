package apply_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/apply"
)

func TestIgnoreRulesThatAreNone(t *testing.T) {
	t.Parallel()
	path := func(p string) []apply.IgnoreRule { return []apply.IgnoreRule{{Paths: []string{"/data/a", p}}} }
	target := func(s kustomize.Selector) []apply.IgnoreRule {
		return []apply.IgnoreRule{{Paths: []string{"/data/a"}}, {Paths: []string{"/data/a"}, Target: &s}}
	}
	tests := map[string]struct {
		rules []apply.IgnoreRule
		want  string
	}{
		"no paths": {rules: []apply.IgnoreRule{{}}, want: "spec.ignore[0].paths: at least one is needed, such as /spec/replicas"},
		"of another field": {
			rules: []apply.IgnoreRule{{Field: "spec.driftDetection.ignore[3]", Paths: []string{""}}},
			want:  `spec.driftDetection.ignore[3].paths[0]: "" is no JSON pointer to a field, such as /spec/replicas`,
		},
		"empty":           {rules: path(""), want: `spec.ignore[0].paths[1]: "" is no JSON pointer to a field, such as /spec/replicas`},
		"everything":      {rules: path("/"), want: `spec.ignore[0].paths[1]: "/" is no JSON pointer to a field, such as /spec/replicas`},
		"dotted":          {rules: path("spec.replicas"), want: `spec.ignore[0].paths[1]: "spec.replicas" is no JSON pointer to a field, such as /spec/replicas`},
		"bad escape":      {rules: path("/data/a~2b"), want: `spec.ignore[0].paths[1]: "/data/a~2b" is no JSON pointer: ~ is written ~0, and / in a name ~1`},
		"escape at end":   {rules: path("/data/a~"), want: `spec.ignore[0].paths[1]: "/data/a~" is no JSON pointer: ~ is written ~0, and / in a name ~1`},
		"the name":        {rules: path("/metadata/name"), want: `spec.ignore[0].paths[1]: "/metadata/name" is what tells which object it is, and cannot be ignored`},
		"all metadata":    {rules: path("/metadata"), want: `spec.ignore[0].paths[1]: "/metadata" is what tells which object it is, and cannot be ignored`},
		"bad pattern":     {rules: target(kustomize.Selector{Kind: "("}), want: `spec.ignore[1].target.kind: "(" is no regular expression: error parsing regexp: missing closing ): ` + "`^(?:()$`"},
		"bad labels":      {rules: target(kustomize.Selector{LabelSelector: "a in"}), want: `spec.ignore[1].target.labelSelector: unable to parse requirement: found '' expected: '('`},
		"bad annotations": {rules: target(kustomize.Selector{AnnotationSelector: "=b"}), want: `spec.ignore[1].target.annotationSelector: found '=', expected: !, identifier, or 'end of string'`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newPlan(nil, newRecorder(), apply.Options{Ignore: tc.rules})
			if diff := cmp.Diff(tc.want, text(err)); diff != "" {
				t.Errorf("the error differs (-want +got):\n%s", diff)
			}
		})
	}
}

// What is ignored does not count as content, for the objects that the rule is about.
func TestIgnoredIsNoContent(t *testing.T) {
	t.Parallel()
	obj := func(value string) *unstructured.Unstructured {
		out := configMap("ns", "a", value)
		out.SetLabels(map[string]string{"app": "web"})
		out.SetAnnotations(map[string]string{"team/a~b": value})
		out.Object["list"] = []any{"first", map[string]any{"x": value}}
		return out
	}
	all := []string{"/data/key", "/metadata/annotations/team~1a~0b", "/list/1/x", "/list/9", "/list/x", "/missing/field"}
	tests := map[string]struct {
		why    string
		paths  []string
		target *kustomize.Selector
		same   bool
	}{
		"no target":           {why: "it is about all objects", paths: all, same: true},
		"some paths":          {why: "the others count", paths: all[:2]},
		"all of it matches":   {why: "each part selects it", paths: all, target: &kustomize.Selector{Version: "v1", Kind: "ConfigMap", Name: "a", Namespace: "n.", LabelSelector: "app in (web)", AnnotationSelector: "!other"}, same: true},
		"another kind":        {why: "it is not about this one", paths: all, target: &kustomize.Selector{Kind: "Secret"}},
		"another group":       {why: "it is not about this one", paths: all, target: &kustomize.Selector{Group: "apps", Kind: "ConfigMap"}},
		"another version":     {why: "it is not about this one", paths: all, target: &kustomize.Selector{Version: "v2"}},
		"a part of the kind":  {why: "patterns are anchored", paths: all, target: &kustomize.Selector{Kind: "Config"}},
		"alternatives":        {why: "each of them is anchored", paths: all, target: &kustomize.Selector{Kind: "Config|Map"}},
		"another name":        {why: "it is not about this one", paths: all, target: &kustomize.Selector{Name: "b"}},
		"another namespace":   {why: "it is not about this one", paths: all, target: &kustomize.Selector{Namespace: "default"}},
		"another label":       {why: "it is not about this one", paths: all, target: &kustomize.Selector{LabelSelector: "app=db"}},
		"another annotation":  {why: "it is not about this one", paths: all, target: &kustomize.Selector{AnnotationSelector: "other"}},
		"a parent of them":    {why: "all below is ignored", paths: []string{"/data", "/metadata/annotations", "/list"}, same: true},
		"an item of the list": {why: "all below is ignored", paths: []string{"/data", "/metadata/annotations", "/list/1"}, same: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := func(o *unstructured.Unstructured) string {
				before := o.DeepCopy()
				p, err := newPlan([]*unstructured.Unstructured{o}, newRecorder(), apply.Options{Ignore: []apply.IgnoreRule{{Paths: tc.paths, Target: tc.target}}})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(before, o); diff != "" {
					t.Errorf("planning changes the object:\n%s", diff)
				}
				return p.Stages[0].Items[0].Content
			}
			if same := content(obj("1")) == content(obj("2")); same != tc.same {
				t.Errorf("the same content: %t; want %t (%s)", same, tc.same, tc.why)
			}
		})
	}
}

const workload = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: NS}, spec: {replicas: 1, selector: {matchLabels: {a: b}},
  template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {no: where}, containers: [{name: main, image: old, env: [{name: LEVEL, value: info}]}]}}}}`

// ignoring applies objects under rules that ignore paths of all objects.
func (c *cluster) ignoring(paths []string, objs ...*unstructured.Unstructured) []apply.Change {
	c.t.Helper()
	p := c.planWith(apply.Options{Ignore: []apply.IgnoreRule{{Paths: paths}}}, objs...)
	c.Traffic.Reset()
	changes, err := c.engine.Apply(c.t.Context(), p, apply.Request{})
	if err != nil {
		c.t.Fatalf("Apply() fails: %v", err)
	}
	return changes
}

// An ignored field is written with the object and keeps its value then, whoever sets it.
func TestIgnoredFieldsKeepTheirValues(t *testing.T) {
	t.Parallel()
	const image = "/spec/template/spec/containers/0/image"
	tests := map[string]struct {
		why    string
		paths  []string
		change func(*cluster, *unstructured.Unstructured) // by somebody, of what was applied
		git    func(string) string                        // the next content; "" is the same
		want   map[string]any
		owner  bool // of the field that is looked at, afterwards
	}{
		"set by an update": {
			why: "the value stays", paths: []string{"/spec/replicas"},
			change: func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "tool", "spec: {replicas: 7}") },
			git:    func(s string) string { return strings.Replace(s, "image: old", "image: new", 1) },
			want:   map[string]any{"replicas": int64(7), "image": "new"}, owner: true,
		},
		"set by a subresource": {
			why: "that is what autoscalers do", paths: []string{"/spec/replicas"},
			change: func(c *cluster, obj *unstructured.Unstructured) {
				scale := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":7}}`))
				if err := c.Client.SubResource("scale").Patch(c.t.Context(), obj.DeepCopy(), scale, client.FieldOwner("scaler")); err != nil {
					c.t.Fatal(err)
				}
			},
			git:  func(s string) string { return strings.Replace(s, "image: old", "image: new", 1) },
			want: map[string]any{"replicas": int64(7), "image": "new"}, owner: true,
		},
		"set by an apply": {
			why: "it is theirs from then on", paths: []string{"/spec/replicas"},
			change: func(c *cluster, _ *unstructured.Unstructured) {
				c.applied("scaler", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: NS}, spec: {replicas: 7}}")
			},
			git:  func(s string) string { return strings.Replace(s, "image: old", "image: new", 1) },
			want: map[string]any{"replicas": int64(7), "image": "new"},
		},
		"set by kubectl": {
			why: "it is not taken over", paths: []string{"/spec/replicas"},
			change: func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "kubectl-edit", "spec: {replicas: 7}") },
			git:    func(s string) string { return strings.Replace(s, "image: old", "image: new", 1) },
			want:   map[string]any{"replicas": int64(7), "image": "new"}, owner: true,
		},
		"changed in the source": {
			why: "the value in the cluster stays", paths: []string{"/spec/replicas"},
			change: func(*cluster, *unstructured.Unstructured) {},
			git: func(s string) string {
				return strings.Replace(strings.Replace(s, "replicas: 1", "replicas: 3", 1), "old", "new", 1)
			},
			want: map[string]any{"replicas": int64(1), "image": "new"}, owner: true,
		},
		"removed from the source": {
			why: "the value in the cluster stays", paths: []string{"/spec/replicas"},
			change: func(c *cluster, obj *unstructured.Unstructured) {
				c.Patch(obj, "tool", "metadata: {labels: {more: x}}")
			},
			git: func(s string) string {
				return strings.Replace(strings.Replace(s, "replicas: 1,", "", 1), "old", "new", 1)
			},
			want: map[string]any{"replicas": int64(1), "image": "new"}, owner: true,
		},
		"in an item that has moved": {
			why: "items go by their names", paths: []string{image},
			change: func(c *cluster, obj *unstructured.Unstructured) {
				c.Patch(obj, "tool", "spec: {template: {spec: {containers: [{name: sidecar, image: other}, {name: main, image: tuned}]}}}")
			},
			git:  func(s string) string { return strings.Replace(s, "value: info", "value: debug", 1) },
			want: map[string]any{"replicas": int64(1), "image": "tuned", "level": "debug"}, owner: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			first := c.read(workload)[0]
			c.ignoring(tc.paths, first)
			if diff := cmp.Diff([]string{"GET a", "PATCH a"}, c.requests()); diff != "" {
				t.Errorf("requests of the creation differ (-want +got):\n%s", diff)
			}
			tc.change(c, c.live(first))
			next := c.read(tc.git(workload))[0]
			c.ignoring(tc.paths, next)
			// The status may move between the two; then they are repeated.
			if got := slices.Compact(c.requests()); !slices.Equal(got, []string{"GET a", "PATCH a"}) {
				t.Errorf("the write costs %q; want a look and an apply", got)
			}
			live := c.live(first)
			if diff := cmp.Diff(tc.want, facts(live, tc.want)); diff != "" {
				t.Errorf("the object differs (-want +got), %s:\n%s", tc.why, diff)
			}
			field := `"f:replicas":{}`
			if tc.paths[0] == image {
				field = `"f:image":{}`
			}
			if got := strings.Contains(entryOf(live, "engine"), field); got != tc.owner {
				t.Errorf("the field is ours: %t; want %t (%s)", got, tc.owner, tc.why)
			}
			if c.ignoring(tc.paths, next); len(c.requests()) > 0 {
				t.Errorf("the same again costs %q", c.requests())
			}
		})
	}
}

// facts are what tests look at in a workload, as far as want has them.
func facts(live *unstructured.Unstructured, want map[string]any) map[string]any {
	out := make(map[string]any)
	if n, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); ok {
		out["replicas"] = n
	}
	containers, _, _ := unstructured.NestedSlice(live.Object, "spec", "template", "spec", "containers")
	for _, item := range containers {
		if c := item.(map[string]any); c["name"] == "main" {
			out["image"] = c["image"]
			if _, ok := want["level"]; ok {
				out["level"] = c["env"].([]any)[0].(map[string]any)["value"]
			}
		}
	}
	return out
}

// entryOf returns what a manager owns by apply, as JSON.
func entryOf(obj *unstructured.Unstructured, manager string) string {
	for _, e := range obj.GetManagedFields() {
		if e.Manager == manager && e.Operation == "Apply" {
			return string(e.FieldsV1.GetRawBytes())
		}
	}
	return ""
}

// A rule about all annotations or labels leaves each to whoever has it, and the object
// goes on to name its owner.
func TestIgnoredMaps(t *testing.T) {
	t.Parallel()
	const owner = "owner.example.com/name"
	c := newCluster(t)
	paths := []string{"/metadata/annotations", "/metadata/labels"}
	git := func(value string) *unstructured.Unstructured {
		return c.read("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, annotations: {ours: git, both: git}, labels: {" + owner + ": app}}, data: {key: v" + value + "}}")[0]
	}
	c.ignoring(paths, git("1"))
	c.Patch(c.live(git("1")), "tool", "metadata: {annotations: {ours: tuned, theirs: x}, labels: {"+owner+": other, more: x}}")
	c.applied("scaler", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, annotations: {both: scaled}}}")
	c.ignoring(paths, git("2"))
	live := c.live(git("2"))
	if diff := cmp.Diff(map[string]string{"ours": "tuned", "theirs": "x", "both": "scaled"}, live.GetAnnotations()); diff != "" {
		t.Errorf("annotations differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{owner: "app", "more": "x", keyOwner: c.Namespace}, live.GetLabels()); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}
	if fields := entryOf(live, "engine"); strings.Contains(fields, "f:theirs") || strings.Contains(fields, "f:both") || !strings.Contains(fields, "f:ours") {
		t.Errorf("we own %s", fields)
	}
}

// Of several objects, each that exists is read once, and no value is older than the
// write.
func TestIgnoredFieldThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	paths := []string{"/data/level"}
	git := func(value string) []*unstructured.Unstructured {
		return c.read(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {key: %[1]q, level: low}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: NS}, data: {key: %[1]q, level: low}}", value))
	}
	c.ignoring(paths, git("1")...)
	b := c.live(git("1")[1])
	once := false
	c.before = func(req *http.Request) error {
		if req.Method == http.MethodPatch && req.URL.Query().Get("dryRun") == "" && strings.HasSuffix(req.URL.Path, "/b") && !once {
			once = true
			c.Patch(b, "tool", "data: {level: high}")
		}
		return nil
	}
	c.ignoring(paths, git("2")...)
	want := []string{"GET a", "GET b", "GET b", "PATCH a", "PATCH b", "PATCH b", "PATCH b (dry run)"}
	if diff := cmp.Diff(want, c.requests()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	data, _, _ := unstructured.NestedStringMap(c.live(b).Object, "data")
	if diff := cmp.Diff(map[string]string{"key": "2", "level": "high"}, data); diff != "" {
		t.Errorf("data differ (-want +got):\n%s", diff)
	}
}
