// Package definitions applies the custom resource definitions in the crds folders of a chart
// and of its subcharts, before anything of the chart is rendered.
//
// They are no part of the release: Helm neither templates nor remembers them, and nobody
// ever deletes them here, because that would delete all their objects. What else is in these
// folders is not applied, and a warning says so.
package definitions

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

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

	objects []*unstructured.Unstructured
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
	for _, file := range c.CRDObjects() {
		objects, err := d.read(file)
		if err != nil {
			return nil, fmt.Errorf("reading the definitions in %s: %w", file.Filename, err)
		}
		for _, obj := range objects {
			d.add(file.Filename, obj)
		}
	}
	return d, nil
}

// read returns the objects in a file.
func (d *Definitions) read(file chart.CRD) ([]*unstructured.Unstructured, error) {
	objects, err := manifest.Read(file.File.Data)
	if !errors.Is(err, manifest.ErrNoObject) {
		return objects, err
	}
	// A document is no object, which does not make the others worse.
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(file.File.Data)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		found, err := manifest.Read(doc)
		switch {
		case errors.Is(err, manifest.ErrNoObject):
			d.Warnings = append(d.Warnings, fmt.Sprintf("%s has a document that is no Kubernetes object: it is not applied", file.Filename))
		case err != nil:
			return nil, err
		}
		objects = append(objects, found...)
	}
}

// add takes an object of a file if it is a definition that there is not yet.
func (d *Definitions) add(file string, obj *unstructured.Unstructured) {
	id := manifest.IDOf(obj)
	if id.Group != group || id.Kind != kind {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s has %s, which is no CustomResourceDefinition: it is not applied", file, id))
		return
	}
	if _, twice := d.Inventory[id]; twice {
		return
	}
	d.Inventory[id] = obj.GroupVersionKind().Version
	d.objects = append(d.objects, obj)
}
