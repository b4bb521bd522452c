// Package charttest is the charts that tests of releases share: one of each kind that people
// write, packed as `helm package` does it, but to the same bytes each time.
//
// A chart is a folder of testdata/charts; its README.md tells what it shows. Values to try it with
// are in testdata/values, a file a variant, which begins with a comment that says why it is there.
// A variant that is called plane is what an installation needs on a cluster with simulated nodes.
//
// Definitions of crds/ are cluster scoped: a test that installs them gives them a group of its own,
// by Replace. Only tests import this package.
package charttest

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
	"sigs.k8s.io/yaml"
)

//go:embed all:testdata/charts testdata/values
var testdata embed.FS

const (
	chartsDir = "testdata/charts"
	valuesDir = "testdata/values"
)

// Chart is the files of a chart. It never changes: what alters one returns another.
type Chart struct {
	t     testing.TB
	meta  chart.Metadata
	files map[string][]byte
}

// Names returns the charts that there are, sorted.
func Names(t testing.TB) []string {
	t.Helper()
	entries, err := testdata.ReadDir(chartsDir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// Open returns a chart by the name of its folder, without what its .helmignore names, and with the
// packages of the charts that it depends on by a path.
func Open(t testing.TB, name string) *Chart {
	t.Helper()
	files, err := read(path.Join(chartsDir, name))
	if err != nil {
		t.Fatalf("reading chart %q: %v", name, err)
	}
	c := from(t, files)
	for _, dependency := range c.meta.Dependencies {
		other, isPath := strings.CutPrefix(dependency.Repository, "file://../")
		if !isPath {
			continue
		}
		below := Open(t, other)
		c = c.with("charts/"+below.File(), below.Pack())
	}
	return c
}

// New returns a chart that a test makes up. Chart.yaml is written for it, unless it is among the
// files.
func New(t testing.TB, name, version string, files map[string]string) *Chart {
	t.Helper()
	all := map[string][]byte{
		"Chart.yaml": fmt.Appendf(nil, "apiVersion: v2\nname: %s\nversion: %s\n", name, version),
	}
	for file, content := range files {
		all[file] = []byte(content)
	}
	return from(t, all)
}

// Name returns the name that the chart gives itself.
func (c *Chart) Name() string { return c.meta.Name }

// Version returns the version that the chart gives itself.
func (c *Chart) Version() string { return c.meta.Version }

// File returns the name of the package's file.
func (c *Chart) File() string { return c.meta.Name + "-" + c.meta.Version + ".tgz" }

// At returns the chart as another version.
func (c *Chart) At(version string) *Chart {
	line := regexp.MustCompile(`(?m)^version:.*$`)
	return c.with("Chart.yaml", line.ReplaceAllLiteral(c.files["Chart.yaml"], []byte("version: "+version)))
}

// With returns the chart with a file added or replaced.
func (c *Chart) With(file, content string) *Chart { return c.with(file, []byte(content)) }

// Without returns the chart without a file.
func (c *Chart) Without(file string) *Chart {
	files := maps.Clone(c.files)
	delete(files, file)
	return from(c.t, files)
}

// Replace returns the chart with a text replaced in all files, but those of packages within it.
func (c *Chart) Replace(old, replacement string) *Chart {
	files := maps.Clone(c.files)
	for file, content := range files {
		if path.Ext(file) != ".tgz" {
			files[file] = bytes.ReplaceAll(content, []byte(old), []byte(replacement))
		}
	}
	return from(c.t, files)
}

// Load returns the chart as the Helm SDK knows it. Actions change what they get, so each call makes
// another one.
func (c *Chart) Load() *chart.Chart {
	c.t.Helper()
	loaded, err := loader.LoadArchive(bytes.NewReader(c.Pack()))
	if err != nil {
		c.t.Fatalf("loading chart %q: %v", c.Name(), err)
	}
	return loaded
}

func (c *Chart) with(file string, content []byte) *Chart {
	files := maps.Clone(c.files)
	files[file] = content
	return from(c.t, files)
}

// from reads what files say of their chart.
func from(t testing.TB, files map[string][]byte) *Chart {
	t.Helper()
	c := &Chart{t: t, files: files}
	if err := yaml.Unmarshal(files["Chart.yaml"], &c.meta); err != nil {
		t.Fatalf("reading Chart.yaml: %v", err)
	}
	return c
}

// read returns the files of a folder that are not ignored, by their path in it.
func read(dir string) (map[string][]byte, error) {
	rules, err := rulesOf(dir)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	err = fs.WalkDir(testdata, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file := strings.TrimPrefix(name, dir+"/")
		switch {
		case entry.IsDir() && rules.Ignore(file, info):
			return fs.SkipDir
		case entry.IsDir() || rules.Ignore(file, info):
			return nil
		}
		files[file], err = testdata.ReadFile(name)
		return err
	})
	return files, err
}

// rulesOf returns what a chart does not package.
func rulesOf(dir string) (*ignore.Rules, error) {
	rules := ignore.Empty()
	text, err := testdata.ReadFile(path.Join(dir, ignore.HelmIgnore))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, err
		}
	}
	rules.AddDefaults()
	return rules, nil
}
