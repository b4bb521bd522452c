package definitions_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"

	"weir.dev/helm-controller/internal/definitions"
)

// crd is a definition of a kind in a group; more is in its spec.
func crd(group, kind, more string) string {
	plural := strings.ToLower(kind) + "s"
	return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + plural + "." + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {plural: ` + plural + `, kind: ` + kind + `}
  versions:
  - name: v1
    served: true
    storage: true
    schema: &schema
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
` + more
}

// newChart is a chart with files and subcharts.
func newChart(name string, files map[string]string, subcharts ...*chart.Chart) *chart.Chart {
	c := &chart.Chart{Metadata: &chart.Metadata{APIVersion: chart.APIVersionV2, Name: name, Version: "1.0.0"}}
	for _, file := range sorted(files) {
		c.Files = append(c.Files, &chart.File{Name: file, Data: []byte(files[file])})
	}
	for _, sub := range subcharts {
		c.Metadata.Dependencies = append(c.Metadata.Dependencies, &chart.Dependency{Name: sub.Name(), Version: "*", Condition: sub.Name() + ".enabled"})
		c.AddDependency(sub)
	}
	return c
}

func TestOf(t *testing.T) {
	t.Parallel()
	const group = "example.com"
	inventory := func(kinds ...string) []string {
		out := []string{}
		for _, kind := range kinds {
			out = append(out, "CustomResourceDefinition/"+strings.ToLower(kind)+"s."+group+" v1")
		}
		return out
	}
	tests := map[string]struct {
		why      string
		chart    *chart.Chart
		values   map[string]any
		want     []string
		warnings []string
		says     string // an error
	}{
		"none":        {why: "most charts have none", chart: newChart("demo", map[string]string{"README.md": "x", "crds/README.md": "x"}), want: inventory()},
		"some":        {why: "files may have several", chart: newChart("demo", map[string]string{"crds/a.yaml": crd(group, "A", "") + "---\n" + crd(group, "B", ""), "crds/sub/c.yml": crd(group, "C", "")}), want: inventory("A", "B", "C")},
		"of subchart": {why: "it is part of the chart", chart: newChart("demo", nil, newChart("sub", map[string]string{"crds/a.yaml": crd(group, "A", "")})), want: inventory("A")},
		"of a subchart that is off": {
			why: "nothing of it is wanted", values: map[string]any{"sub": map[string]any{"enabled": false}},
			chart: newChart("demo", map[string]string{"crds/b.yaml": crd(group, "B", "")}, newChart("sub", map[string]string{"crds/a.yaml": crd(group, "A", "")})), want: inventory("B"),
		},
		"twice": {
			why: "charts that need the same kinds bring them all", want: inventory("A"),
			chart: newChart("demo", map[string]string{"crds/a.yaml": crd(group, "A", "")}, newChart("sub", map[string]string{"crds/a.yaml": crd(group, "A", "")})),
		},
		"something else": {
			why: "it would be applied without a release knowing of it",
			chart: newChart("demo", map[string]string{
				"crds/a.yaml": crd(group, "A", "") + "---\n{apiVersion: v1, kind: Secret, metadata: {name: s}}\n---\njust: text\n",
				"crds/k.yaml": "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [a.yaml]}\n",
				"crds/l.yaml": "# nothing\n",
			}),
			want: inventory("A"),
			warnings: []string{
				"demo/crds/a.yaml has a document that is no Kubernetes object: it is not applied",
				"demo/crds/a.yaml has Secret/s, which is no CustomResourceDefinition: it is not applied",
				"demo/crds/k.yaml has Kustomization/, which is no CustomResourceDefinition: it is not applied",
			},
		},
		"kind of another group": {
			why: "only the name is the same", want: inventory(), chart: newChart("demo", map[string]string{"crds/a.yaml": "{apiVersion: example.com/v1, kind: CustomResourceDefinition, metadata: {name: x}}"}),
			warnings: []string{"demo/crds/a.yaml has CustomResourceDefinition/x, which is no CustomResourceDefinition: it is not applied"},
		},
		"not YAML": {why: "the user must know which file", chart: newChart("demo", map[string]string{"crds/a.yaml": "a: b: c"}), says: "demo/crds/a.yaml: document at line 1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := definitions.Of(tc.chart, tc.values)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error = %v; want %q (%s)", err, tc.says, tc.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, id := range d.Inventory.IDs() {
				got = append(got, id.String()+" "+d.Inventory[id])
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.warnings, d.Warnings); diff != "" {
				t.Errorf("warnings (%s): -want +got\n%s", tc.why, diff)
			}
		})
	}
}
