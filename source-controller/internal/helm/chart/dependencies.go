package chart

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
)

// Dependency is a chart that another needs.
type Dependency struct {
	Name       string
	Version    string // or a range
	Repository string
}

// Missing returns the dependencies that are not, in a fitting version, in the charts
// folder. What the Chart.lock lists counts, if there is one.
func (c *Chart) Missing() []Dependency {
	list := c.model.Metadata.Dependencies
	if c.model.Lock != nil {
		list = c.model.Lock.Dependencies
	}
	var missing []Dependency
	for _, d := range list {
		if d == nil {
			continue
		}
		fits := func(v *chart.Chart) bool { return v.Name() == d.Name && Satisfies(v.Metadata.Version, d.Version) }
		if !slices.ContainsFunc(c.model.Dependencies(), fits) {
			missing = append(missing, Dependency{Name: d.Name, Version: d.Version, Repository: d.Repository})
		}
	}
	// One that is needed under two aliases is needed once.
	slices.SortFunc(missing, func(a, b Dependency) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Repository, b.Repository))
	})
	return slices.Compact(missing)
}

// Satisfies reports whether a version is the one that is wanted, or in its range.
func Satisfies(version, want string) bool {
	if want == "" || version == want {
		return true
	}
	within, err := semver.NewConstraint(want)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && within.Check(v)
}

// Add puts charts into the charts folder, in place of those of the same names that do
// not fit.
func (c *Chart) Add(charts []*Chart) error {
	for _, sub := range charts {
		c.remove(sub.Name(), sub.Version())
	}
	for _, sub := range charts {
		folder := path.Join(chartsDir, sub.Name())
		if c.occupied(folder) {
			folder += "-" + sub.Version() // one chart in two versions
		}
		for name, data := range sub.files {
			c.files[path.Join(folder, name)] = data
		}
	}
	if err := c.load(); err != nil {
		return fmt.Errorf("adding dependencies: %w", err)
	}
	return nil
}

// remove takes from the charts folder what has a name, unless something that is needed
// has another version of it.
func (c *Chart) remove(name, version string) {
	for _, group := range c.groups() {
		sub, err := c.vendored(group)
		if err != nil || sub.Name() != name || c.needed(sub, version) {
			continue
		}
		maps.DeleteFunc(c.files, func(p string, _ []byte) bool { return p == group || strings.HasPrefix(p, group+"/") })
	}
}

// needed reports whether a chart in the charts folder is one that is listed, in a
// version other than the one that comes.
func (c *Chart) needed(sub *Chart, coming string) bool {
	if sub.Version() == coming {
		return false
	}
	list := c.model.Metadata.Dependencies
	if c.model.Lock != nil {
		list = c.model.Lock.Dependencies
	}
	return slices.ContainsFunc(list, func(d *chart.Dependency) bool {
		return d != nil && d.Name == sub.Name() && Satisfies(sub.Version(), d.Version)
	})
}

// groups returns the paths of the charts in the charts folder.
func (c *Chart) groups() []string {
	seen := make(map[string]bool)
	for name := range c.files {
		below, ok := strings.CutPrefix(name, chartsDir+"/")
		first, _, inside := strings.Cut(below, "/")
		if ok && first != "" && !strings.HasPrefix(first, ".") && !strings.HasPrefix(first, "_") && (inside || path.Ext(first) == ".tgz") {
			seen[path.Join(chartsDir, first)] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// vendored reads a chart of the charts folder.
func (c *Chart) vendored(group string) (*Chart, error) {
	if data, ok := c.files[group]; ok {
		return FromPackage(data, Limits{})
	}
	text, ok := c.files[path.Join(group, chartFile)]
	if !ok {
		return nil, ErrNotFound
	}
	return FromFiles(map[string][]byte{chartFile: text})
}

// occupied reports whether there are files in a folder.
func (c *Chart) occupied(folder string) bool {
	for name := range c.files {
		if strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}
