package helmchart

import (
	"context"
	"errors"
	"fmt"
	"io"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm/chart"
)

// treeOrigin is a chart in the artifact of a GitRepository or a Bucket.
type treeOrigin struct {
	tree chart.Tree
	at   *chart.Source
	deps *dependencies
}

// resolveTree looks the chart up in the artifact of the source.
func (r *Reconciler) resolveTree(s *scope) error {
	tree := chart.Tree{Limits: r.limits(), Open: func() (io.ReadCloser, error) { return r.open(s.source) }}
	at, err := tree.Look(s.obj.Spec.Chart)
	switch {
	case errors.Is(err, chart.ErrNotFound), errors.Is(err, chart.ErrInvalid), errors.Is(err, chart.ErrTooLarge):
		return failed(sourcev1.ReasonInvalidChartReference, err)
	case err != nil:
		return err
	}
	name, version, err := at.Head()
	if err != nil {
		return failed(sourcev1.ReasonInvalidChartReference, fmt.Errorf("chart at path '%s': %w", s.obj.Spec.Chart, err))
	}
	s.name, s.version = name, version
	s.origin = &treeOrigin{tree: tree, at: at, deps: &dependencies{
		reconciler: r, access: s.access, namespace: s.obj.Namespace, tree: tree, folder: chart.Clean(s.obj.Spec.Chart),
	}}
	return nil
}

func (o *treeOrigin) chart(context.Context) (*chart.Chart, []byte, error) {
	c, err := o.at.Chart()
	return c, o.at.Package, err
}

// values reads a values file, whose path is from the root of the artifact.
func (o *treeOrigin) values(_ *chart.Chart, name string) ([]byte, error) {
	data, err := o.tree.File(chart.Clean(name))
	if errors.Is(err, chart.ErrNotFound) {
		return nil, fmt.Errorf("%w: no values file found at path '%s'", chart.ErrNotFound, name)
	}
	return data, err
}

func (o *treeOrigin) dependencies() *dependencies {
	if o.at.Package != nil {
		return nil // a package is complete
	}
	return o.deps
}
