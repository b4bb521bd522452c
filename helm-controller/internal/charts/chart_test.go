package charts_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"

	"weir.dev/helm-controller/internal/charts"
)

// umbrella is a chart in which the SDK has something to change: a subchart that is used under
// two other names, conditions, tags, values that are imported, globals and null values.
func umbrella() map[string]string {
	return map[string]string{
		"up/Chart.yaml": `apiVersion: v2
name: up
version: 1.0.0
annotations: {a: b}
dependencies:
- {name: base, version: 1.x.x, alias: one, condition: one.enabled, import-values: [shared, {child: deep, parent: taken}]}
- {name: base, version: 1.x.x, alias: two, tags: [off]}
- {name: other, version: "*", condition: other.enabled}
`,
		"up/values.yaml":                         "global: {region: here}\nnothing: null\nother: {enabled: false}\none: {enabled: true, list: [1, 2]}\ntags: {off: false}\n",
		"up/templates/all.yaml":                  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata: {values: {{ set .Values \"mine\" 1 | toJson | quote }}, version: {{ .Chart.Version }}}\n",
		"up/charts/base/Chart.yaml":              "apiVersion: v2\nname: base\nversion: 1.1.0\ndependencies: [{name: leaf, version: '*', condition: leaf.enabled}]\n",
		"up/charts/base/values.yaml":             "exports: {shared: {x: 1}}\ndeep: {y: {z: 2}}\nleaf: {enabled: true}\nlist: [3]\n",
		"up/charts/base/templates/a.yaml":        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Chart.Name }}}\ndata: {values: {{ unset .Values \"deep\" | toJson | quote }}}\n",
		"up/charts/base/charts/leaf/Chart.yaml":  "apiVersion: v2\nname: leaf\nversion: 2.0.0\n",
		"up/charts/base/charts/leaf/values.yaml": "k: {v: 1}\n",
		"up/charts/other/Chart.yaml":             "apiVersion: v2\nname: other\nversion: 3.0.0\n",
		"up/charts/loose/Chart.yaml":             "apiVersion: v2\nname: loose\nversion: 4.0.0\n",
	}
}

// picture writes down everything of a chart that can be reached.
func picture(t *testing.T, c *chart.Chart) []string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	parent := "none"
	if c.Parent() != nil {
		parent = c.Parent().ChartFullPath()
	}
	out := []string{c.ChartFullPath() + " in " + parent, string(text)}
	for _, sub := range c.Dependencies() {
		out = append(out, picture(t, sub)...)
	}
	return out
}

// configuration is what actions need, without a cluster.
func configuration(t *testing.T) *action.Configuration {
	t.Helper()
	return &action.Configuration{
		Releases: storage.Init(driver.NewMemory()), KubeClient: &kubefake.PrintingKubeClient{Out: t.Output()},
		Capabilities: chartutil.DefaultCapabilities.Copy(), Log: func(string, ...any) {},
	}
}

// act installs a chart and upgrades it in the ways that change most, and returns what was
// rendered.
func act(t *testing.T, c *charts.Chart) string {
	t.Helper()
	cfg := configuration(t)
	install := action.NewInstall(cfg)
	install.ReleaseName, install.Namespace = "r", "ns"
	copied := c.Helm()
	if err := charts.Pin(copied, "1.0.0", "sha256:0123456789abcdef", true); err != nil {
		t.Errorf("Pin() fails: %v", err)
	}
	first, err := install.Run(copied, map[string]any{"one": map[string]any{"leaf": map[string]any{"enabled": false}}})
	if err != nil {
		t.Errorf("installing fails: %v", err)
		return ""
	}
	upgrade := func(how func(*action.Upgrade)) *release.Release {
		u := action.NewUpgrade(cfg)
		u.Namespace = "ns"
		how(u)
		r, err := u.Run("r", c.Helm(), map[string]any{"one": nil, "tags": map[string]any{"off": true}})
		if err != nil {
			t.Errorf("upgrading fails: %v", err)
			return first
		}
		return r
	}
	second := upgrade(func(u *action.Upgrade) { u.ReuseValues = true })
	third := upgrade(func(u *action.Upgrade) { u.ResetValues = true })
	return first.Manifest + second.Manifest + third.Manifest
}

func TestActionsChangeCopiesOnly(t *testing.T) {
	t.Parallel()
	data := pack(t, umbrella())
	s := serve(t, content(data))
	cache := newCache(t, charts.Options{})
	c := get(t, cache, s.URL, digestOf(data))
	before := picture(t, c.Helm())

	want := act(t, c)
	if want == "" {
		t.Fatal("nothing was rendered")
	}
	if diff := cmp.Diff(before, picture(t, c.Helm())); diff != "" {
		t.Errorf("actions have changed what all share: -before +after\n%s", diff)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := act(t, c); got != want {
				t.Errorf("actions that run at once render something else: -want +got\n%s", cmp.Diff(want, got))
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(before, picture(t, c.Helm())); diff != "" {
		t.Errorf("actions at once have changed what all share: -before +after\n%s", diff)
	}
}

func TestCopiesShareContent(t *testing.T) {
	t.Parallel()
	got, err := load(t, charts.Options{}, simple())
	if err != nil {
		t.Fatal(err)
	}
	a, b := got.Helm(), got.Helm()
	if &a.Templates[0].Data[0] != &b.Templates[0].Data[0] {
		t.Error("each copy has the files of its own")
	}
	if a.Raw != nil {
		t.Error("the files are kept twice")
	}
	if got.Name() != "demo" || got.Version() != "1.2.3" || got.AppVersion() != "7.8" {
		t.Errorf("it is %s %s %s", got.Name(), got.Version(), got.AppVersion())
	}
}
