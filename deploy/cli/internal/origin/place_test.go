package origin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/deploy/cli/internal/origin"
)

// files are those of a base and an overlay.
func files() []origin.File {
	return []origin.File{
		{Path: "base/web.yaml", Content: []byte(`# two objects
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    tier: ${tier}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: side
        image: side:1
      - name: app
        image: web:1
        ports:
        - containerPort: 80
`)},
		{Path: "kustomization.yaml", Content: []byte(`resources: [base/web.yaml]
namePrefix: my-
images:
- name: side
  newTag: "2"
- name: web
  newTag: "2"
replicas:
- {name: other, count: 4}
- {name: web, count: 4}
labels:
- pairs:
    team: shop
patches:
- path: patch.yaml
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
    spec:
      paused: true
- target: {kind: StatefulSet}
  patch: |
    - op: add
      path: /spec/strategy
      value:
        type: Recreate
- target: {kind: Deployment, name: web}
  patch: |
    - op: add
      path: /spec/strategy
      value:
        type: Recreate
- target: {kind: Deployment}
  patch: '[{op: add, path: /spec/minReadySeconds, value: 7}]'
- target: {kind: Deployment}
  patch: |-
    kind: ""
    metadata: {name: any, labels: {tier: back}}
`)},
		// It is no patch of this build.
		{Path: "other.yaml", Content: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {minReadySeconds: 7, replicas: 3}\n")},
		{Path: "patch.yaml", Content: []byte(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
`)},
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	container := fieldpath.KeyByFields("name", "app")
	const base, overlay = "base/web.yaml", "kustomization.yaml"
	tests := map[string]struct {
		why   string
		path  fieldpath.Path
		value any
		want  origin.Place
	}{
		"in the file of the object": {path: fieldpath.MakePathOrDie("spec", "template", "spec", "containers", container, "name"), value: "app", want: origin.Place{File: base, Line: 19, Exact: true}},
		"an item by part of its key": {
			why:  "the API server adds the protocol",
			path: fieldpath.MakePathOrDie("spec", "template", "spec", "containers", container, "ports", fieldpath.KeyByFields("containerPort", 80, "protocol", "TCP"), "containerPort"), value: int64(80),
			want: origin.Place{File: base, Line: 22, Exact: true},
		},
		"a variable": {
			path: fieldpath.MakePathOrDie("metadata", "labels", "tier"), value: "front", want: origin.Place{File: base, Line: 11, Variables: []string{"tier"}, Exact: true},
		},
		"a variable that a patch replaces": {
			why: "what the patch says is what was set", path: fieldpath.MakePathOrDie("metadata", "labels", "tier"), value: "back", want: origin.Place{File: overlay, Line: 40, Exact: true},
		},
		"in a patch":        {path: fieldpath.MakePathOrDie("spec", "replicas"), value: int64(3), want: origin.Place{File: "patch.yaml", Line: 6, Exact: true}},
		"in a patch within": {path: fieldpath.MakePathOrDie("spec", "paused"), value: true, want: origin.Place{File: overlay, Line: 22, Exact: true}},
		"in a JSON patch": {
			why: "that of another kind is not it", path: fieldpath.MakePathOrDie("spec", "strategy", "type"), value: "Recreate", want: origin.Place{File: overlay, Line: 34, Exact: true},
		},
		"in a patch in a line": {
			why: "a file that is no patch of the build is not it", path: fieldpath.MakePathOrDie("spec", "minReadySeconds"), value: int64(7),
			want: origin.Place{File: overlay, Line: 36, Exact: true},
		},
		"an image": {
			why: "another image has the same tag", path: fieldpath.MakePathOrDie("spec", "template", "spec", "containers", container, "image"), value: "web:2",
			want: origin.Place{File: overlay, Line: 7, Exact: true},
		},
		"a count": {path: fieldpath.MakePathOrDie("spec", "replicas"), value: int64(4), want: origin.Place{File: overlay, Line: 10, Exact: true}},
		"a label": {path: fieldpath.MakePathOrDie("metadata", "labels", "team"), value: "shop", want: origin.Place{File: overlay, Line: 13, Exact: true}},
		"nowhere": {why: "then where the object is", path: fieldpath.MakePathOrDie("metadata", "labels", "other"), value: "unheard of", want: origin.Place{File: base, Line: 6}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := origin.Find(origin.Wanted{
				Kind: "Deployment", Name: "my-web", Path: tc.path, Value: tc.value, Known: true, From: base, Through: []string{overlay},
			}, files())
			if diff := cmp.Diff(tc.want, got); !ok || diff != "" {
				t.Errorf("Find = %t, (-want +got):\n%s (%s)", ok, diff, tc.why)
			}
		})
	}
}

// TestFindAnObject: without a field, it is the object that is found; what is generated is
// where it is asked for.
func TestFindAnObject(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   origin.Wanted
		want origin.Place
	}{
		"an object":       {origin.Wanted{Kind: "Service", Name: "my-web", From: "base/web.yaml"}, origin.Place{File: "base/web.yaml", Line: 2, Exact: true}},
		"as it is called": {origin.Wanted{Kind: "Service", Name: "web", From: "base/web.yaml"}, origin.Place{File: "base/web.yaml", Line: 2, Exact: true}},
		"generated":       {origin.Wanted{Kind: "ConfigMap", Name: "generated", Through: []string{"kustomization.yaml"}}, origin.Place{File: "kustomization.yaml"}},
		"in no file":      {origin.Wanted{Kind: "ConfigMap", Name: "other"}, origin.Place{}},
		"a whole file": {
			origin.Wanted{Kind: "ConfigMap", Name: "generated", Through: []string{"kustomization.yaml"}, Path: fieldpath.MakePathOrDie("data", "it"), Value: string(files()[3].Content), Known: true},
			origin.Place{File: "patch.yaml", Exact: true},
		},
	}
	for name, tc := range tests {
		got, ok := origin.Find(tc.in, files())
		if diff := cmp.Diff(tc.want, got); ok != (tc.want.File != "") || diff != "" {
			t.Errorf("%s: Find = %t, (-want +got):\n%s", name, ok, diff)
		}
	}
}

// TestFindBetweenNamespaces: of objects with the same kind and name in a file, that in the
// namespace is the one, and else one that leaves it to the build.
func TestFindBetweenNamespaces(t *testing.T) {
	t.Parallel()
	all := []origin.File{
		{Path: "all.yaml", Content: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: test}
spec: {replicas: 1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: live}
spec: {replicas: 1}
---
apiVersion: example.com/v1
kind: Deployment
metadata: {name: web, namespace: live}
spec: {replicas: 1}
`)},
		{Path: "kustomization.yaml", Content: []byte(`resources: [all.yaml]
patches:
- path: live.yaml
- path: test.yaml
- target: {kind: Deployment, namespace: live}
  patch: '[{op: add, path: /spec/minReadySeconds, value: 7}]'
- target: {kind: Deployment, namespace: test}
  patch: '[{op: add, path: /spec/minReadySeconds, value: 7}]'
`)},
		{Path: "live.yaml", Content: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: live}\nspec: {paused: true}\n")},
		{Path: "test.yaml", Content: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: test}\nspec: {paused: true}\n")},
	}
	replicas := fieldpath.MakePathOrDie("spec", "replicas")
	tests := map[string]struct {
		why              string
		group, namespace string
		path             fieldpath.Path
		value            any
		want             origin.Place
	}{
		"the first":             {group: "apps", namespace: "test", path: replicas, value: int64(1), want: origin.Place{File: "all.yaml", Line: 4, Exact: true}},
		"the last":              {group: "apps", namespace: "live", path: replicas, value: int64(1), want: origin.Place{File: "all.yaml", Line: 14, Exact: true}},
		"in another group":      {group: "example.com", namespace: "live", path: replicas, value: int64(1), want: origin.Place{File: "all.yaml", Line: 19, Exact: true}},
		"without a namespace":   {why: "the build has set it", group: "apps", namespace: "other", path: replicas, value: int64(1), want: origin.Place{File: "all.yaml", Line: 9, Exact: true}},
		"the object":            {group: "apps", namespace: "live", want: origin.Place{File: "all.yaml", Line: 11, Exact: true}},
		"a patch of it":         {why: "the last one is of another", group: "apps", namespace: "live", path: fieldpath.MakePathOrDie("spec", "paused"), value: true, want: origin.Place{File: "live.yaml", Line: 4, Exact: true}},
		"a patch with a target": {group: "apps", namespace: "live", path: fieldpath.MakePathOrDie("spec", "minReadySeconds"), value: int64(7), want: origin.Place{File: "kustomization.yaml", Line: 6, Exact: true}},
		"a patch by the name before": {
			why: "the build has changed the namespace", group: "apps", namespace: "other", path: fieldpath.MakePathOrDie("spec", "paused"), value: true,
			want: origin.Place{File: "test.yaml", Line: 4, Exact: true},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := origin.Find(origin.Wanted{
				Group: tc.group, Kind: "Deployment", Namespace: tc.namespace, Name: "web", Path: tc.path, Value: tc.value, Known: tc.value != nil, From: "all.yaml",
			}, all)
			if diff := cmp.Diff(tc.want, got); !ok || diff != "" {
				t.Errorf("Find = %t, (-want +got):\n%s (%s)", ok, diff, tc.why)
			}
		})
	}
}
