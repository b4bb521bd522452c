// Package chart reads Helm charts, from packages and from trees of files, and packages
// them.
//
// A chart is in memory while it is worked on, within limits. The same files, values and
// version give the same bytes. Nothing is written to disk, no path leads out of the tree
// that a chart is read from, and there are no links in a tree to follow. Helm's own
// library decides whether it is a chart.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"weir.dev/pkg/artifact/archive"
)

const (
	chartFile  = "Chart.yaml"
	valuesFile = "values.yaml"
	chartsDir  = "charts"
)

var (
	// ErrInvalid is wrapped by errors about what is no chart.
	ErrInvalid = errors.New("not a valid chart")

	// ErrTooLarge is wrapped when a chart, or a file of it, exceeds a limit.
	ErrTooLarge = errors.New("too large")

	// ErrMetadata is wrapped when a version cannot be written into a chart.
	ErrMetadata = errors.New("the metadata cannot be changed")
)

// Limits bound the charts that are read.
type Limits struct {
	Package  int64 // bytes of a package; 0 means no limit
	File     int64 // bytes of one file; 0 means no limit
	Unpacked int64 // bytes of all files together; 0 means 100 MiB, which is Helm's limit
}

const (
	defaultUnpacked = 100 << 20
	maxFiles        = 50_000
)

// budget returns what may be read of one chart.
func (l Limits) budget() *budget {
	all := l.Unpacked
	if all == 0 {
		all = defaultUnpacked
	}
	return &budget{file: l.File, all: all, left: all}
}

// Chart is a chart in memory.
type Chart struct {
	files map[string][]byte // by their path in the chart
	model *chart.Chart      // what Helm makes of them
}

// FromFiles makes a chart of files, by their paths in it.
func FromFiles(files map[string][]byte) (*Chart, error) {
	c := &Chart{files: files}
	return c, c.load()
}

// load has Helm read the files, and decide whether they are a chart.
func (c *Chart) load() error {
	model, err := loader.LoadFiles(buffered(c.files))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c.model = model
	return nil
}

// buffered returns files as Helm wants them, in the order of their paths.
func buffered(files map[string][]byte) []*loader.BufferedFile {
	list := make([]*loader.BufferedFile, 0, len(files))
	for _, name := range slices.SortedFunc(maps.Keys(files), archive.Compare) {
		list = append(list, &loader.BufferedFile{Name: name, Data: files[name]})
	}
	return list
}

// Name returns the name in the Chart.yaml.
func (c *Chart) Name() string { return c.model.Metadata.Name }

// Version returns the version in the Chart.yaml.
func (c *Chart) Version() string { return c.model.Metadata.Version }

// File returns a file of the chart.
func (c *Chart) File(name string) ([]byte, bool) {
	data, ok := c.files[path.Clean(name)]
	return data, ok
}

// SetVersion writes a version into the Chart.yaml, whose other lines mean what they
// meant.
func (c *Chart) SetVersion(version string) error {
	if version == c.Version() {
		return nil
	}
	text, err := setVersion(c.files[chartFile], version)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	c.files[chartFile] = text
	if err := c.load(); err != nil {
		return fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	return nil
}

// setVersion changes one value and keeps how the others are written: a version such as
// 1.10 is a number to YAML.
func setVersion(text []byte, version string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is no mapping", chartFile)
	}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i].Value == "version" {
			*pairs[i+1] = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: version}
			var out bytes.Buffer
			enc := yaml.NewEncoder(&out)
			enc.SetIndent(2)
			err := errors.Join(enc.Encode(&doc), enc.Close())
			return out.Bytes(), err
		}
	}
	return nil, fmt.Errorf("%s has no version", chartFile)
}

// SetValues replaces the values of the chart.
func (c *Chart) SetValues(values map[string]any) error {
	text, err := marshalValues(values)
	if err != nil {
		return err
	}
	c.files[valuesFile] = text
	return c.load()
}

// Package writes the chart as Helm's tools do, but the same each time.
func (c *Chart) Package(w io.Writer) error {
	a := archive.NewWriter(w, archive.Limits{MaxSize: -1, MaxUnpacked: -1, MaxFiles: -1}) // they were read within limits
	for _, f := range buffered(c.files) {
		if err := a.File(c.Name()+"/"+f.Name, false, int64(len(f.Data)), bytes.NewReader(f.Data)); err != nil {
			return err
		}
	}
	return a.Close()
}
