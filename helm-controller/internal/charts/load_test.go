package charts_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"

	"weir.dev/helm-controller/internal/charts"
)

// tell writes what a chart consists of, one line each.
func tell(c *chart.Chart) []string {
	out := []string{fmt.Sprintf("%s %s %s values=%v", c.ChartFullPath(), c.Metadata.Version, c.Metadata.AppVersion, c.Values)}
	for _, f := range c.Templates {
		out = append(out, c.ChartFullPath()+" template "+f.Name)
	}
	for _, f := range c.Files {
		out = append(out, c.ChartFullPath()+" file "+f.Name)
	}
	for _, sub := range c.Dependencies() {
		out = append(out, tell(sub)...)
	}
	return out
}

func TestChartIsRead(t *testing.T) {
	t.Parallel()
	sub := func(name string) string {
		return string(pack(t, map[string]string{name + "/Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: 0.1.0\n", name + "/templates/a.yaml": "a"}))
	}
	tests := map[string]struct {
		why   string
		files map[string]string
		want  []string
	}{
		"a chart": {
			why: "it is what most are", files: with(simple(), map[string]string{"demo/README.md": "x", "demo/crds/a.yaml": "y"}),
			want: []string{
				"demo 1.2.3 7.8 values=map[replicas:1]", "demo template templates/_helpers.tpl", "demo template templates/config.yaml",
				"demo file README.md", "demo file crds/a.yaml",
			},
		},
		"folder of another name": {why: "the folder says nothing", files: map[string]string{"x/Chart.yaml": "apiVersion: v1\nname: demo\nversion: 1.0.0\n"}, want: []string{"demo 1.0.0  values=map[]"}},
		"not in a folder": {
			why: "some tools pack what is in the folder", files: map[string]string{"./Chart.yaml": "apiVersion: v2\nname: demo\nversion: 1.0.0\n", "./templates/a.yaml": "a", "x/Chart.yaml": "of no chart"},
			want: []string{"demo 1.0.0  values=map[]", "demo template templates/a.yaml", "demo file x/Chart.yaml"},
		},
		"old, without apiVersion": {
			why: "Helm 2 accepted it, and Helm 3 does", files: map[string]string{"x/Chart.yaml": "name: demo\nversion: 1.0.0\n"},
			want: []string{"demo 1.0.0  values=map[]"},
		},
		"made on Windows": {
			why: "some packagers write backslashes", files: map[string]string{`x\Chart.yaml`: "\uFEFFapiVersion: v2\nname: demo\nversion: 1.0.0\n", `x\templates\a.yaml`: "a"},
			want: []string{"demo 1.0.0  values=map[]", "demo template templates/a.yaml"},
		},
		"subcharts in folders and archives": {
			why: "both are common, also within each other",
			files: map[string]string{
				"x/Chart.yaml":             "apiVersion: v2\nname: x\nversion: 1.0.0\n",
				"x/charts/b/Chart.yaml":    "apiVersion: v2\nname: b\nversion: 0.2.0\n",
				"x/charts/b/charts/c.tgz":  sub("c"),
				"x/charts/a-0.1.0.tgz":     sub("a"),
				"x/charts/README.md":       "no chart",
				"x/charts/_off/Chart.yaml": "is left out",
				"x/charts/.off.tgz":        "is left out",
				"x/charts/a.tgz.prov":      "signature",
				"stray":                    "outside of any chart",
			},
			want: []string{
				"x 1.0.0  values=map[]", "x file charts/a.tgz.prov", "x/charts/a 0.1.0  values=map[]", "x/charts/a template templates/a.yaml",
				"x/charts/b 0.2.0  values=map[]", "x/charts/b/charts/c 0.1.0  values=map[]", "x/charts/b/charts/c template templates/a.yaml",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, charts.Options{}, tc.files)
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(tc.want, tell(got.Helm())); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
		})
	}
}

func TestWhatIsNoChart(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 100<<10)
	nested := pack(t, simple())
	for range 25 {
		nested = pack(t, with(simple(), map[string]string{"demo/charts/sub.tgz": string(nested)}))
	}
	bomb := string(pack(t, with(simple(), map[string]string{"demo/zeros": strings.Repeat("\x00", 4<<20)})))
	chartYAML := func(text string) map[string]string { return with(simple(), map[string]string{"demo/Chart.yaml": text}) }
	tests := map[string]struct {
		why   string
		opts  charts.Options
		files map[string]string
		says  []string
	}{
		"no Chart.yaml":         {why: "an artifact of manifests is no chart", files: with(simple(), map[string]string{"demo/Chart.yaml": "-"}), says: []string{"Chart.yaml is missing"}},
		"nothing":               {why: "an empty artifact is no chart", files: nil, says: []string{"Chart.yaml is missing"}},
		"unknown apiVersion":    {why: "it may mean anything", files: chartYAML("apiVersion: v3\nname: x\nversion: 1.0.0\n"), says: []string{"Chart.yaml", `apiVersion "v3" is not supported`}},
		"no version":            {why: "releases need it", files: chartYAML("apiVersion: v2\nname: x\n"), says: []string{"version is required"}},
		"no semantic version":   {why: "versions are compared", files: chartYAML("apiVersion: v2\nname: x\nversion: new\n"), says: []string{`version "new" is invalid`}},
		"no name":               {why: "releases need it", files: chartYAML("apiVersion: v2\nversion: 1.0.0\n"), says: []string{"name is required"}},
		"name that is a path":   {why: "templates are named after it", files: chartYAML("apiVersion: v2\nname: ../x\nversion: 1.0.0\n"), says: []string{"name"}},
		"broken Chart.yaml":     {why: "the user must know which file", files: chartYAML("a: b: c"), says: []string{"Chart.yaml"}},
		"broken values":         {why: "the user must know which file", files: with(simple(), map[string]string{"demo/values.yaml": "a: b: c"}), says: []string{"values.yaml"}},
		"values that are none":  {why: "values have names", files: with(simple(), map[string]string{"demo/values.yaml": "[a]"}), says: []string{"values.yaml"}},
		"broken Chart.lock":     {why: "the user must know which file", files: with(simple(), map[string]string{"demo/Chart.lock": "[a]"}), says: []string{"Chart.lock"}},
		"subchart without name": {why: "the user must know which file", files: with(simple(), map[string]string{"demo/charts/sub/values.yaml": "a: b"}), says: []string{"charts/sub/Chart.yaml is missing"}},
		"broken subchart":       {why: "the user must know which file", files: with(simple(), map[string]string{"demo/charts/sub/Chart.yaml": "name: [x]"}), says: []string{"charts/sub: ", "Chart.yaml"}},
		"subchart no archive":   {why: "the user must know which file", files: with(simple(), map[string]string{"demo/charts/sub.tgz": "text"}), says: []string{"charts/sub.tgz: "}},
		"dependency of null":    {why: "Helm would dereference it", files: chartYAML("apiVersion: v2\nname: x\nversion: 1.0.0\ndependencies: [null]\n"), says: []string{"dependencies must not contain empty or null nodes"}},
		"large file":            {why: "the helm command refuses it too", opts: charts.Options{MaxFile: 50 << 10}, files: with(simple(), map[string]string{"demo/big": big}), says: []string{"demo/big has 102400 bytes"}},
		"large file in a subchart": {
			why: "an archive within is no way round", opts: charts.Options{MaxFile: 50 << 10},
			files: with(simple(), map[string]string{"demo/charts/sub.tgz": string(pack(t, with(simple(), map[string]string{"demo/big": big})))}),
			says:  []string{"charts/sub.tgz/demo/big has 102400 bytes"},
		},
		"many bytes": {why: "all of it is kept in memory", opts: charts.Options{MaxUnpacked: 50 << 10}, files: with(simple(), map[string]string{"demo/big": big}), says: []string{"more than 51200 bytes"}},
		"many bytes in subcharts": {
			why: "small archives may be large inside", opts: charts.Options{MaxUnpacked: 10 << 20},
			files: with(simple(), map[string]string{"demo/charts/a.tgz": bomb, "demo/charts/b.tgz": bomb, "demo/charts/c.tgz": bomb}),
			says:  []string{"charts/c.tgz", "limit"},
		},
		"many files":  {why: "each takes memory however small", opts: charts.Options{MaxFiles: 3}, files: simple(), says: []string{"more than 3 files"}},
		"many depths": {why: "each takes stack", files: with(simple(), map[string]string{"demo/charts/sub.tgz": string(nested)}), says: []string{"more than 20 charts are within each other"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tc.opts, tc.files)
			if !errors.Is(err, charts.ErrInvalid) {
				t.Fatalf("error = %v; want ErrInvalid (%s)", err, tc.why)
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error = %v; want %q (%s)", err, part, tc.why)
				}
			}
		})
	}
}

// What a reader must survive: archives of anything under the names that mean something.
func FuzzLoad(f *testing.F) {
	f.Add("apiVersion: v2\nname: x\nversion: 1.0.0\n", "a: {b: c}", "dependencies: [{name: a, version: 1.0.0}]", "charts/sub/Chart.yaml", "name: sub")
	f.Add("name: x\nversion: 1.0.0", "a: &a [*a]", "generated: now", "charts/sub.tgz", "\x1f\x8b")
	f.Add("{}", "null", "null", "templates/../x", "x")
	f.Add("&a {a: *a}", "- a", "dependencies: [null]", `charts\x\Chart.yaml`, "version: 1")
	const limit = 64 << 10
	f.Fuzz(func(t *testing.T, metadata, values, lock, name, data string) {
		files := map[string]string{"x/Chart.yaml": metadata, "x/values.yaml": values, "x/Chart.lock": lock, "x/requirements.yaml": lock, "x/requirements.lock": lock, "x/charts/s/Chart.yaml": metadata, "x/charts/t.tgz": data}
		if len(name) < 90 && !strings.HasSuffix(name, "/") && !strings.Contains(name, "\x00") { // what an archive can hold
			files["x/"+name] = data
		}
		got, err := load(t, charts.Options{MaxUnpacked: limit, MaxFile: limit, MaxFiles: 100}, files)
		if err != nil {
			if !errors.Is(err, charts.ErrInvalid) {
				t.Errorf("%q is no error of a chart: %v", slices.Sorted(maps.Keys(files)), err)
			}
			return
		}
		if size := sizeOf(got.Helm()); size > limit {
			t.Errorf("the chart has %d bytes; no more than %d may be read", size, limit)
		}
	})
}

// sizeOf counts the bytes of files.
func sizeOf(c *chart.Chart) int {
	size := len(c.Schema)
	for _, f := range slices.Concat(c.Templates, c.Files) {
		size += len(f.Data)
	}
	for _, sub := range c.Dependencies() {
		size += sizeOf(sub)
	}
	return size
}
