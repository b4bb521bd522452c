package apply_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/apply"
)

// Once a definition has a version with a field that an older one lacks, an object with
// that field cannot be applied any more if its managedFields are of the older version.
func TestMigrateAPIVersion(t *testing.T) {
	t.Parallel()
	const second = "  - {name: v2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {free: {type: string}, fixed: {type: string}, more: {type: string}}}}}}}\n"
	widget := func(name, version, more string) string {
		return "---\n{apiVersion: NS.example.com/" + version + ", kind: Widget, metadata: {name: " + name + ", namespace: NS}, spec: {free: a" + more + "}}\n"
	}
	tests := map[string]struct {
		why      string
		gate     bool
		siblings bool
		typo     bool
		requests []string // about widgets
		err      string
	}{
		"not allowed": {why: "the gate is off", err: "field not declared in schema"},
		"allowed": {
			why: "it is mended once", gate: true,
			requests: []string{"GET w", "GET w", "PATCH w", "PATCH w", "PATCH w"},
		},
		"found by validation": {
			why: "it is mended when the siblings are validated", gate: true, siblings: true,
			requests: []string{"GET w", "GET w", "PATCH a", "PATCH w", "PATCH w", "PATCH w (dry run)"},
		},
		"a field that is none": {why: "no version has it", gate: true, typo: true, err: "field not declared in schema"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.with.MigrateAPIVersion = tc.gate
			c.restart()
			c.apply(apply.Request{}, c.read(definition("")+widget("w", "v1", ""))...)
			crd := strings.Replace(definition(second), "storage: true", "storage: false", 1)
			c.apply(apply.Request{}, c.read(crd)...)
			served := &unstructured.UnstructuredList{}
			served.SetGroupVersionKind(c.read(widget("w", "v2", ""))[0].GroupVersionKind())
			c.Eventually("the new version to be served", func() bool {
				return c.Client.List(t.Context(), served, client.InNamespace(c.Namespace)) == nil
			})
			git := widget("w", "v2", ", more: b")
			if tc.typo {
				git = widget("w", "v2", ", mroe: b")
			}
			if tc.siblings {
				git = widget("a", "v2", "") + git
			}
			objs := c.read(git)
			if tc.err != "" {
				if err := c.refused(apply.Request{}, objs...); !strings.Contains(err, tc.err) {
					t.Errorf("Apply() fails by %s (%s)", err, tc.why)
				}
				return
			}
			c.apply(apply.Request{}, objs...)
			if diff := cmp.Diff(tc.requests, c.requests()); diff != "" {
				t.Errorf("requests differ (-want +got), %s:\n%s", tc.why, diff)
			}
			live := c.live(objs[len(objs)-1])
			if got, _, _ := unstructured.NestedString(live.Object, "spec", "more"); got != "b" {
				t.Errorf("the field is %q", got)
			}
			if got := owners(live); !slices.Equal(got, []string{"engine Apply"}) {
				t.Errorf("owners are %q", got)
			}
		})
	}
}
