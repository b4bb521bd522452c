// Package definitions applies the custom resource definitions in the crds folders of a chart
// and of its subcharts, before anything of the chart is rendered.
//
// They are no part of the release: Helm neither templates nor remembers them, and nobody
// ever deletes them here, because that would delete all their objects. What else is in these
// folders is not applied, and a warning says so.
package definitions

import (
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

const (
	group = "apiextensions.k8s.io"
	kind  = "CustomResourceDefinition"
)

// Definitions are those of a chart.
type Definitions struct {
	// Inventory has their identities.
	Inventory inventory.Set
	// Warnings tell what is beside them, and is not applied.
	Warnings []string

	files []*file
}

// file is a file with definitions of which none is in a file before it.
type file struct {
	chart.CRD
	ids     []manifest.ID
	objects []*unstructured.Unstructured // nil if they are yet to be read
}

// Of returns the definitions of a chart and of those of its subcharts that the values turn
// on. If more than one has a definition, that of the outermost chart counts. c is changed, so
// it must be a copy; values are not.
func Of(c *chart.Chart, values map[string]any) (*Definitions, error) {
	if len(c.CRDObjects()) == 0 {
		return &Definitions{}, nil
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
		return nil, fmt.Errorf("finding the subcharts of %s: %w", c.Name(), err)
	}
	d := &Definitions{Inventory: make(inventory.Set)}
	for _, crd := range c.CRDObjects() {
		f := &file{CRD: crd}
		found, err := seen.look(f)
		if err != nil {
			return nil, fmt.Errorf("reading the definitions in %s: %w", crd.Filename, err)
		}
		for _, what := range found.others {
			d.Warnings = append(d.Warnings, fmt.Sprintf("%s has %s: it is not applied", crd.Filename, what))
		}
		for _, def := range found.definitions {
			if _, twice := d.Inventory[def.id]; !twice {
				d.Inventory[def.id] = def.version
				f.ids = append(f.ids, def.id)
			}
		}
		d.files = append(d.files, f)
	}
	return d, nil
}

// In returns the definitions in an inventory, of a chart or of anything else.
func In(set inventory.Set) inventory.Set {
	out := make(inventory.Set)
	for id, version := range set {
		if id.Group == group && id.Kind == kind {
			out[id] = version
		}
	}
	return out
}

// objects returns the definitions that are wanted. A file with none of them is not read.
func (d *Definitions) objects(wanted func(manifest.ID) bool) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, f := range d.files {
		if !slices.ContainsFunc(f.ids, wanted) {
			continue
		}
		if f.objects == nil {
			var err error
			if f.objects, _, err = read(f.File.Data); err != nil {
				return nil, fmt.Errorf("reading the definitions in %s: %w", f.Filename, err)
			}
		}
		for _, obj := range f.objects {
			if id := manifest.IDOf(obj); slices.Contains(f.ids, id) && wanted(id) {
				out = append(out, obj)
			}
		}
	}
	return out, nil
}
