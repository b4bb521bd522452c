package build

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// Builds of all cases, those with their own schema among them, do not disturb each other.
func TestBuildsRunSideBySide(t *testing.T) {
	cases := buildCases(t)
	want := map[string]string{}
	for name, tc := range cases {
		result, err := Run(tc.src, tc.spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = result.Digest
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, name := range slices.Sorted(maps.Keys(cases)) {
				src := newMemory(nil)
				src.MapFS = cases[name].src.MapFS
				result, err := Run(src, cases[name].spec, nil)
				if err != nil || result.Digest != want[name] {
					t.Errorf("%s: %s, %v; alone it gives %s", name, result.Digest, err, want[name])
				}
			}
		})
	}
	wg.Wait()
}

// A definition that a test puts into the schema is there until the schema is parsed again.
func TestSchemaIsParsedOnce(t *testing.T) {
	const marked = "io.k8s.api.core.v1.ConfigMap"
	t.Cleanup(func() { schema.lock(true)() })
	cases := buildCases(t)
	build := func(name string) time.Duration {
		t.Helper()
		start := time.Now()
		if _, err := Run(cases[name].src, cases[name].spec, nil); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	schema.lock(true)()
	parses := schema.parses
	first := build("override")
	definition := openapi.Schema().Definitions[marked]
	definition.Description = "marked"
	openapi.AddDefinitions(spec.Definitions{marked: definition})
	later := build("override")
	for _, name := range []string{"legacy", "images", "generate", "override"} {
		build(name)
	}
	if got := openapi.Schema().Definitions[marked].Description; got != "marked" {
		t.Error("kustomize parsed the schema again")
	}
	if got := schema.parses - parses; got != 1 {
		t.Errorf("%d parses of the schema, want 1", got)
	}
	t.Logf("first build %v, later %v", first, later)

	build("schema")
	build("override")
	if got := schema.parses - parses; got != 2 {
		t.Errorf("%d parses of the schema after a build with another one, want 2", got)
	}
	if got := openapi.Schema().Definitions[marked].Description; got == "marked" {
		t.Error("the schema was not reset")
	}
}

// A panic of kustomize is an error of that build, and leaves the schema to others.
func TestPanicIsAnError(t *testing.T) {
	for _, own := range []string{"", "openapi: {version: v1.99.0}\n"} {
		src := newMemory(map[string]string{"kustomization.yaml": own + "crds: [c.json]\n", "c.json": ""})
		if _, err := Run(src, Spec{}, nil); err == nil {
			t.Error("no error")
		}
		if _, err := Run(newMemory(map[string]string{"a.yaml": configMap}), Spec{}, nil); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	objects := ""
	for i, kind := range []string{"ServiceAccount", "Service", "ConfigMap"} {
		objects += fmt.Sprintf("apiVersion: v1\nkind: %s\nmetadata: {name: web, namespace: app, labels: {app: web}}\nspec: {number: %d}\n---\n", kind, i)
	}
	objects += `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: app, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: registry.example.com/web:1.0.0
        ports: [{containerPort: 8080}]
        envFrom: [{configMapRef: {name: web}}]
        resources: {requests: {cpu: 10m, memory: 32Mi}}
`
	src := newMemory(map[string]string{
		"plain/all.yaml":          objects,
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml":           objects,
		"overlay/kustomization.yaml": "resources: [../base]\nnameSuffix: -eu\nreplicas: [{name: web, count: 3}]\nimages: [{name: registry.example.com/web, newTag: 1.1.0}]\n" +
			"patches:\n- patch: |\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: app}, spec: {minReadySeconds: 5}}\n",
	})
	for _, path := range []string{"plain", "overlay"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(src, Spec{Path: path, TargetNamespace: "shop"}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("unchanged", func(b *testing.B) {
		result, err := Run(src, Spec{Path: "overlay"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if !result.Reads.Unchanged(src) {
				b.Fatal("changed")
			}
		}
	})
	b.Run("schema", func(b *testing.B) {
		for b.Loop() {
			schema.lock(true)()
			schema.parse()
		}
	})
}
