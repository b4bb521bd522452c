package blame_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/blame"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  managedFields:
  - {manager: kustomize-controller, operation: Apply, apiVersion: apps/v1, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}}}
  - {manager: kubectl-edit, operation: Update, apiVersion: apps/v1, time: "2026-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:paused": {}}}}
  - {manager: kube-controller-manager, operation: Update, subresource: status, apiVersion: apps/v1, fieldsType: FieldsV1, fieldsV1: {"f:status": {"f:replicas": {}}}}
spec:
  replicas: 2
  paused: true
  template: {spec: {containers: [{name: sidecar}, {name: app, image: web:1}]}}
status: {replicas: 2}
`

// TestChoose: a field is found by the paths that people write, and with all that is below.
func TestChoose(t *testing.T) {
	t.Parallel()
	obj := object(t, web)
	fields, err := blame.Fields(obj)
	if err != nil {
		t.Fatal(err)
	}
	const image, name = `spec.template.spec.containers[name="app"].image`, `spec.template.spec.containers[name="app"].name`
	tests := map[string]struct {
		why  string
		path string
		want []string
	}{
		"one field":          {path: "spec.replicas", want: []string{"spec.replicas=2 by kustomize-controller"}},
		"with a dot before":  {path: ".spec.replicas", want: []string{"spec.replicas=2 by kustomize-controller"}},
		"by the key":         {path: "spec.template.spec.containers[name=app].image", want: []string{image + `="web:1" by kustomize-controller`}},
		"by the key, quoted": {path: image, want: []string{image + `="web:1" by kustomize-controller`}},
		"by the place":       {path: "spec.template.spec.containers[1]", want: []string{image + `="web:1" by kustomize-controller`, name + `="app" by kustomize-controller`}},
		"by another place":   {path: "spec.template.spec.containers[0]"},
		"all of the spec": {path: "spec", want: []string{
			"spec.paused=true by kubectl-edit", "spec.replicas=2 by kustomize-controller",
			image + `="web:1" by kustomize-controller`, name + `="app" by kustomize-controller`,
		}},
		"part of a name": {why: "spec.rep is no field", path: "spec.rep"},
		"a subresource":  {path: "status", want: []string{"status.replicas=2 by kube-controller-manager"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range blame.Choose(obj, fields, tc.path) {
				got = append(got, f.Name+"="+f.Value+" by "+f.Manager)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want +got): %s\n%s", tc.why, diff)
			}
		})
	}
}

// TestSecretsStaySecret: neither a value nor the copy that kubectl keeps of it is told.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	fields, err := blame.Fields(object(t, `
apiVersion: v1
kind: Secret
metadata:
  name: login
  labels: {team: web}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: password-value}
  managedFields:
  - {manager: kubectl, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:password": {}}, "f:type": {}, "f:metadata": {"f:labels": {"f:team": {}}, "f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}}}
data: {password: password-value}
type: Opaque
`))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, f := range fields {
		got[f.Name] = f.Value
	}
	want := map[string]string{
		"data.password": "***", "type": `"Opaque"`, "metadata.labels.team": `"web"`,
		"metadata.annotations.kubectl.kubernetes.io/last-applied-configuration": "***",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// TestShow: what is hidden is so before a value is shortened, and what kubectl keeps a copy of may
// be secret in any object.
func TestShow(t *testing.T) {
	t.Parallel()
	obj := object(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: app, annotations: {kubectl.kubernetes.io/last-applied-configuration: all of it, other: plain}}
data: {long: "`+strings.Repeat("x", 75)+`password"}
`)
	hide := strings.NewReplacer("password", "***").Replace
	annotation := func(name string) fieldpath.Path { return fieldpath.MakePathOrDie("metadata", "annotations", name) }
	for name, tc := range map[string]struct {
		path fieldpath.Path
		want string
	}{
		"at the end":     {fieldpath.MakePathOrDie("data", "long"), `"` + strings.Repeat("x", 75) + `***"`},
		"the copy":       {annotation("kubectl.kubernetes.io/last-applied-configuration"), "***"},
		"another":        {annotation("other"), `"plain"`},
		"what is absent": {annotation("none"), ""},
	} {
		if got := blame.Show(obj, tc.path, hide); got != tc.want {
			t.Errorf("%s: Show = %q, want %q", name, got, tc.want)
		}
	}
}

// TestValueOf: what is like no other value by chance is found, and all else by its name.
func TestValueOf(t *testing.T) {
	t.Parallel()
	values := object(t, `
replicaCount: 3
image: {tag: "1.2.0", pullPolicy: Always}
debug: true
ingress: {enabled: true}
one: {same: twice}
two: {same: twice, other: twice}
port: 1
`).Object
	tests := map[string]struct {
		why   string
		field []string
		value any
		want  string
	}{
		"a number":              {field: []string{"spec", "replicas"}, value: int64(3), want: "replicaCount"},
		"a text":                {field: []string{"metadata", "labels", "version"}, value: "1.2.0", want: "image.tag"},
		"a flag by its name":    {field: []string{"spec", "debug"}, value: true, want: "debug"},
		"a flag":                {why: "others are true as well", field: []string{"spec", "paused"}, value: true},
		"a number by chance":    {field: []string{"spec", "replicas"}, value: int64(1)},
		"a value that is twice": {field: []string{"spec", "same"}, value: "twice"},
		"one of its name":       {field: []string{"spec", "other"}, value: "twice", want: "two.other"},
		"no value":              {field: []string{"spec", "x"}, value: "none"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := make([]any, len(tc.field))
			for i, f := range tc.field {
				parts[i] = f
			}
			got, ok := blame.ValueOf(fieldpath.MakePathOrDie(parts...), tc.value, values)
			if ok != (tc.want != "") || blame.NameOf(got) != tc.want {
				t.Errorf("ValueOf(%v) = %q, %t; want %q (%s)", tc.field, blame.NameOf(got), ok, tc.want, tc.why)
			}
		})
	}
	if got := blame.NameOf(blame.Below("spec.values", fieldpath.MakePathOrDie("image", "tag"))); got != "spec.values.image.tag" {
		t.Errorf("Below is %q", got)
	}
}
