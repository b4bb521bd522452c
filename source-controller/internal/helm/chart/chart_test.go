package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"

	"weir.dev/pkg/artifact/archive"
	"weir.dev/source-controller/internal/helm/chart"
)

// archiveOf writes entries as they are told, however odd.
func archiveOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for _, h := range headers {
		content := h.PAXRecords["WEIR.content"]
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, PAXRecords: map[string]string{"WEIR.content": content}}
}

const meta = "apiVersion: v2\nname: demo\nversion: 1.0.0\n"

// demo is the files of a small chart, and more.
func demo(more map[string]string) map[string]string {
	content := map[string]string{"Chart.yaml": meta, "values.yaml": "a: b\n", "templates/app.yaml": "kind: ConfigMap\n", "ci/test-values.yaml": "a: c\n"}
	maps.Copy(content, more)
	return content
}

func TestReadsPackages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		data  []byte
		files []string
		err   error
	}{
		"as Helm writes them":                  {data: archiveOf(t, file("demo/Chart.yaml", meta), file("demo/templates/a.yaml", "a")), files: []string{"Chart.yaml", "templates/a.yaml"}},
		"with folders":                         {data: archiveOf(t, tar.Header{Name: "demo/", Typeflag: tar.TypeDir}, file("demo/Chart.yaml", meta)), files: []string{"Chart.yaml"}},
		"in another folder":                    {why: "the name of the folder is nobody's business", data: archiveOf(t, file("x/Chart.yaml", meta)), files: []string{"Chart.yaml"}},
		"from here":                            {why: "tar -C writes it so", data: archiveOf(t, file("./demo/Chart.yaml", meta)), files: []string{"Chart.yaml"}},
		"of Windows":                           {data: archiveOf(t, file(`demo\Chart.yaml`, meta), file(`demo\templates\a`, "a")), files: []string{"Chart.yaml", "templates/a"}},
		"without a folder":                     {data: archiveOf(t, file("Chart.yaml", meta)), err: chart.ErrInvalid},
		"absolute":                             {data: archiveOf(t, file("demo/Chart.yaml", meta), file("/etc/passwd", "a")), err: chart.ErrInvalid},
		"of a drive":                           {data: archiveOf(t, file("demo/Chart.yaml", meta), file("demo/c:/x", "a")), err: chart.ErrInvalid},
		"leading out":                          {data: archiveOf(t, file("demo/Chart.yaml", meta), file("demo/../../x", "a")), err: chart.ErrInvalid},
		"leading out and back":                 {why: "no tool writes it", data: archiveOf(t, file("demo/Chart.yaml", meta), file("demo/a/../../b", "a")), err: chart.ErrInvalid},
		"leading out in the manner of Windows": {data: archiveOf(t, file("demo/Chart.yaml", meta), file(`demo/..\..\x`, "a")), err: chart.ErrInvalid},
		"with a link":                          {why: "there is nothing to follow", data: archiveOf(t, file("demo/Chart.yaml", meta), tar.Header{Name: "demo/x", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), err: chart.ErrInvalid},
		"with a device":                        {data: archiveOf(t, file("demo/Chart.yaml", meta), tar.Header{Name: "demo/x", Typeflag: tar.TypeChar}), err: chart.ErrInvalid},
		"of no files":                          {data: archiveOf(t), err: chart.ErrInvalid},
		"no chart":                             {data: archiveOf(t, file("demo/x", "a")), err: chart.ErrInvalid},
		"no archive":                           {data: []byte("hello"), err: chart.ErrInvalid},
		"nothing":                              {err: chart.ErrInvalid},
		"cut":                                  {data: archiveOf(t, file("demo/Chart.yaml", meta))[:60], err: chart.ErrInvalid},
		"too large":                            {data: archiveOf(t, file("demo/Chart.yaml", meta), file("demo/x", strings.Repeat("x", 2001))), err: chart.ErrTooLarge},
		"too many bytes":                       {data: bytes.Repeat([]byte{0}, 100_001), err: chart.ErrTooLarge},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := chart.FromPackage(tc.data, chart.Limits{Package: 100_000, File: 2000})
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v; want %v (%s)", err, tc.err, tc.why)
			}
			if tc.err != nil {
				return
			}
			for _, f := range tc.files {
				if _, ok := c.File(f); !ok {
					t.Errorf("there is no file %q (%s)", f, tc.why)
				}
			}
			if c.Name() != "demo" || c.Version() != "1.0.0" {
				t.Errorf("it is %s %s", c.Name(), c.Version())
			}
		})
	}
}

// TestBombs: what little a bomb has unpacks to more than is read.
func TestBombs(t *testing.T) {
	t.Parallel()
	var headers []tar.Header
	headers = append(headers, file("demo/Chart.yaml", meta))
	zeros := strings.Repeat("\x00", 100_000)
	for i := range 11 {
		headers = append(headers, file("demo/"+string(rune('a'+i)), zeros))
	}
	data := archiveOf(t, headers...)
	limits := chart.Limits{Package: 10_000, File: 200_000, Unpacked: 1_000_000}
	if _, err := chart.FromPackage(data, limits); !errors.Is(err, chart.ErrTooLarge) {
		t.Errorf("%d bytes that unpack to 1.1 MB: error %v; want %v", len(data), err, chart.ErrTooLarge)
	}
	limits.Unpacked = 1_200_000
	if _, err := chart.FromPackage(data, limits); err != nil {
		t.Errorf("within the limit: %v", err)
	}
}

// pack packages a chart.
func pack(t testing.TB, c *chart.Chart) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := c.Package(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func fromFiles(t testing.TB, content map[string]string) *chart.Chart {
	t.Helper()
	data := make(map[string][]byte, len(content))
	for name, text := range content {
		data[name] = []byte(text)
	}
	c, err := chart.FromFiles(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPackagesAreTheSameAndHelms: Helm reads what is packaged, and equal charts have
// equal bytes.
func TestPackagesAreTheSameAndHelms(t *testing.T) {
	t.Parallel()
	content := demo(map[string]string{
		"charts/sub/Chart.yaml": "apiVersion: v1\nname: sub\nversion: 2.0.0\n", "charts/sub/templates/a.yaml": "a", "crds/x.yaml": "x", "a/b.txt": "b", "a.txt": "a",
	})
	first, second := pack(t, fromFiles(t, content)), pack(t, fromFiles(t, maps.Clone(content)))
	if !bytes.Equal(first, second) {
		t.Error("one chart has two packages")
	}
	loaded, err := loader.LoadArchive(bytes.NewReader(first))
	if err != nil {
		t.Fatalf("Helm reads the package: %v", err)
	}
	got := make(map[string]string)
	for _, f := range loaded.Raw {
		got[f.Name] = string(f.Data)
	}
	if diff := cmp.Diff(content, got); diff != "" {
		t.Errorf("files that Helm finds (-want +got):\n%s", diff)
	}
	if len(loaded.Dependencies()) != 1 {
		t.Errorf("Helm finds %d charts in it; want 1", len(loaded.Dependencies()))
	}
}

func TestSetVersionKeepsTheRest(t *testing.T) {
	t.Parallel()
	c := fromFiles(t, map[string]string{"Chart.yaml": "# what it is\napiVersion: v2\nname: demo\nversion: 1.0\nappVersion: 1.10\nunknown:\n  x: 0x10\n"})
	if err := c.SetVersion("1.0.0+abc.1"); err != nil {
		t.Fatal(err)
	}
	got, _ := c.File("Chart.yaml")
	if want := "# what it is\napiVersion: v2\nname: demo\nversion: 1.0.0+abc.1\nappVersion: 1.10\nunknown:\n  x: 0x10\n"; string(got) != want || c.Version() != "1.0.0+abc.1" {
		t.Errorf("Chart.yaml is %q, the version %s; want %q", got, c.Version(), want)
	}
	if err := c.SetVersion("no version"); !errors.Is(err, chart.ErrMetadata) {
		t.Errorf("error %v; want %v", err, chart.ErrMetadata)
	}
}

func TestMergeValues(t *testing.T) {
	t.Parallel()
	parse := func(text string) map[string]any {
		v, err := chart.ParseValues([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := map[string]struct{ why, a, b, want string }{
		"mappings":            {a: "x: {a: 1, b: 2}", b: "x: {b: 3, c: 4}", want: "x: {a: 1, b: 3, c: 4}"},
		"lists":               {why: "are replaced", a: "x: [1, 2]", b: "x: [3]", want: "x: [3]"},
		"a mapping by a text": {a: "x: {a: 1}", b: "x: text", want: "x: text"},
		"a text by a mapping": {a: "x: text", b: "x: {a: 1}", want: "x: {a: 1}"},
		"null":                {why: "stays, so that Helm removes the default", a: "x: {a: 1}", b: "x: {a: null}", want: "x: {a: null}"},
		"nothing over values": {a: "x: 1", b: "", want: "x: 1"},
		"values over nothing": {a: "", b: "x: 1", want: "x: 1"},
	}
	for name, tc := range tests {
		a, b := parse(tc.a), parse(tc.b)
		got := chart.MergeValues(a, b)
		if diff := cmp.Diff(parse(tc.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s(%s)", name, diff, tc.why)
		}
		if !cmp.Equal(a, parse(tc.a)) || !cmp.Equal(b, parse(tc.b)) {
			t.Errorf("%s: an argument was changed", name)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	const list = "dependencies:\n- {name: a, version: 1.x, repository: r}\n- {name: b, version: '>=2', repository: r}\n- {name: b, version: '>=2', repository: r, alias: c}\n"
	sub := func(name, version string) map[string]string {
		return map[string]string{"charts/" + name + "/Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: " + version + "\n"}
	}
	a, b := chart.Dependency{Name: "a", Version: "1.x", Repository: "r"}, chart.Dependency{Name: "b", Version: ">=2", Repository: "r"}
	tests := map[string]struct {
		why  string
		more []map[string]string
		want []chart.Dependency
	}{
		"all":     {why: "one that has two aliases is needed once", want: []chart.Dependency{a, b}},
		"one":     {more: []map[string]string{sub("a", "1.5.0")}, want: []chart.Dependency{b}},
		"none":    {more: []map[string]string{sub("a", "1.5.0"), sub("b", "2.0.0")}},
		"too old": {more: []map[string]string{sub("a", "0.9.0"), sub("b", "2.0.0")}, want: []chart.Dependency{a}},
		"locked": {
			why:  "the lock has the versions",
			more: []map[string]string{{"Chart.lock": "dependencies:\n- {name: a, version: 1.2.3, repository: r}\n"}, sub("a", "1.5.0")},
			want: []chart.Dependency{{Name: "a", Version: "1.2.3", Repository: "r"}},
		},
	}
	for name, tc := range tests {
		content := map[string]string{"Chart.yaml": meta + list}
		for _, m := range tc.more {
			maps.Copy(content, m)
		}
		if diff := cmp.Diff(tc.want, fromFiles(t, content).Missing()); diff != "" {
			t.Errorf("%s (-want +got):\n%s(%s)", name, diff, tc.why)
		}
	}
}

// tree is an artifact of files.
func tree(t testing.TB, content map[string]string, limits chart.Limits) chart.Tree {
	t.Helper()
	var out bytes.Buffer
	a := archive.NewWriter(&out, archive.Limits{})
	for _, name := range slices.SortedFunc(maps.Keys(content), archive.Compare) {
		if err := a.File(name, false, int64(len(content[name])), strings.NewReader(content[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return chart.Tree{Limits: limits, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }}
}

func TestTreeOfOneChart(t *testing.T) {
	t.Parallel()
	content := demo(map[string]string{".helmignore": "ci/\n"})
	at, err := tree(t, content, chart.Limits{}).Look("./")
	if err != nil {
		t.Fatal(err)
	}
	c, err := at.Chart()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.File("ci/test-values.yaml"); ok {
		t.Error("what .helmignore names is there")
	}
	if _, ok := c.File("values.yaml"); !ok {
		t.Error("values.yaml is not there")
	}
}

// TestLimitsOfATree: what is not of the chart has no limit.
func TestLimitsOfATree(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 2000)
	content := map[string]string{"demo/Chart.yaml": meta, "demo/large": large, "other/large": large, "fine/Chart.yaml": meta}
	small := tree(t, content, chart.Limits{File: 1000})
	for path, want := range map[string]error{"demo": chart.ErrTooLarge, "fine": nil} {
		at, err := small.Look(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.Chart(); !errors.Is(err, want) {
			t.Errorf("%s: error %v; want %v", path, err, want)
		}
	}
}

// FuzzFromPackage: whatever bytes are taken for a chart, what is packaged of it is read
// by Helm, and has no other paths.
func FuzzFromPackage(f *testing.F) {
	f.Add(archiveOf(f, file("demo/Chart.yaml", meta), file("demo/templates/a.yaml", "a")))
	f.Add(archiveOf(f, file(`demo\Chart.yaml`, meta), file("demo/../x", "a")))
	f.Add(archiveOf(f, file("a/Chart.yaml", meta+"dependencies:\n- name: x\n"), file("a/charts/x.tgz", "b"), file("a/Chart.lock", "dependencies: [null]\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := chart.FromPackage(data, chart.Limits{Package: 1 << 20, File: 1 << 20})
		if err != nil {
			return
		}
		c.Missing()
		var out bytes.Buffer
		if c.Package(&out) != nil {
			return // such as a file that is a folder too
		}
		again, err := loader.LoadArchive(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("Helm does not read what was packaged: %v", err)
		}
		for _, f := range again.Raw {
			if strings.HasPrefix(f.Name, "/") || slices.Contains(strings.Split(f.Name, "/"), "..") {
				t.Errorf("the path %q leads out", f.Name)
			}
		}
	})
}
