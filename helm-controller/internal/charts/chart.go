package charts

import (
	"sync/atomic"

	"helm.sh/helm/v3/pkg/chart"
)

// loaded is a chart as it was read. It is shared, and never changed.
type loaded struct {
	digest string
	chart  *chart.Chart
	size   int64 // of its files
}

// Chart is one use of a chart. Its methods may be called at the same time.
type Chart struct {
	loaded   *loaded
	release  func()
	released atomic.Bool
}

// Release says that the caller no longer needs the chart to be kept. Calling it again does
// nothing. What Helm has returned stays valid.
func (c *Chart) Release() {
	if !c.released.Swap(true) {
		c.release()
	}
}

// Digest returns the digest of the artifact.
func (c *Chart) Digest() string { return c.loaded.digest }

// Name returns the name of the chart.
func (c *Chart) Name() string { return c.loaded.chart.Metadata.Name }

// Version returns the version that the chart has itself; see Pin.
func (c *Chart) Version() string { return c.loaded.chart.Metadata.Version }

// AppVersion returns the version of the application in the chart.
func (c *Chart) AppVersion() string { return c.loaded.chart.Metadata.AppVersion }

// Helm returns a copy of the chart for one action of the SDK, which may change it.
func (c *Chart) Helm() *chart.Chart { return copyOf(c.loaded.chart) }

// copyOf copies what actions change. ProcessDependencies replaces the dependencies of a
// chart, their parents, its values and the list in its metadata, the entries of which it
// changes too; Pin changes the version. Values are merged into deep copies that the SDK makes, and files, the
// lock and the schema are only read, so these are shared.
func copyOf(of *chart.Chart) *chart.Chart {
	metadata := *of.Metadata
	if of.Metadata.Dependencies != nil { // nil says that there is nothing to process
		metadata.Dependencies = make([]*chart.Dependency, len(of.Metadata.Dependencies))
	}
	for i, d := range of.Metadata.Dependencies {
		dependency := *d
		metadata.Dependencies[i] = &dependency
	}
	out := &chart.Chart{
		Metadata: &metadata, Lock: of.Lock, Templates: of.Templates,
		Values: of.Values, Schema: of.Schema, Files: of.Files,
	}
	for _, sub := range of.Dependencies() {
		out.AddDependency(copyOf(sub))
	}
	return out
}
