package helmchart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm/chart"
	"weir.dev/source-controller/internal/source"
)

// product is a chart that is ready to be published.
type product struct {
	name, version string
	packaged      bool     // by us, not as it was found
	values        []string // the files that were merged
	write         func(io.Writer) error
}

// summary says what was done, for people.
func (p product) summary() string {
	action := "pulled"
	if p.packaged {
		action = "packaged"
	}
	text := fmt.Sprintf("%s '%s' chart with version '%s'", action, p.name, p.version)
	if len(p.values) > 0 {
		text += fmt.Sprintf(" and merged values files %v", p.values)
	}
	return text
}

// reason is the reason of the conditions and events that say so.
func (p product) reason() string {
	if p.packaged {
		return sourcev1.ReasonChartPackageSucceeded
	}
	return sourcev1.ReasonChartPullSucceeded
}

// announce says that a first chart is on its way.
func (r *Reconciler) announce(ctx context.Context, s *scope) error {
	if s.obj.Status.Artifact != nil || source.Failing(s.obj) {
		return nil
	}
	source.MarkBuilding(s.obj, sourcev1.ReasonNewChart, fmt.Sprintf("new '%s' chart with version '%s'", s.name, s.want))
	if err := r.save(ctx, s.obj); err != nil {
		return fmt.Errorf("saving progress: %w", err)
	}
	return nil
}

// build reads the chart and makes of it what the spec asks for. What has not to be
// changed stays as it is, to the byte.
func (r *Reconciler) build(ctx context.Context, s *scope) error {
	c, found, err := s.origin.chart(ctx)
	if err != nil {
		return failed(sourcev1.ReasonChartPullError, err)
	}
	p := product{version: s.want, packaged: found == nil}
	if custom := s.obj.Spec.ValuesFiles; customValues(custom) {
		if p.values, err = mergeValues(s.origin, c, custom, s.obj.Spec.IgnoreMissingValuesFiles); err != nil {
			return failed(sourcev1.ReasonValuesFilesError, err)
		}
		p.packaged = true
	}
	if deps := s.origin.dependencies(); deps != nil {
		if s.aside.resolved, err = deps.resolve(ctx, c); err != nil {
			return failed(sourcev1.ReasonDependencyBuildError, err)
		}
	}
	if s.want != s.version {
		if err := c.SetVersion(s.want); err != nil {
			return failed(sourcev1.ReasonMetadataPatchError, err)
		}
		p.packaged = true
	}
	p.name = c.Name()
	if p.write = c.Package; !p.packaged {
		p.write = func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(found)); return err }
	}
	s.product = p
	return nil
}

// mergeValues gives a chart the values of files, and returns which of them there were.
func mergeValues(from origin, c *chart.Chart, files []string, ignoreMissing bool) ([]string, error) {
	var merged map[string]any
	var used []string
	for _, name := range files {
		text, err := from.values(c, name)
		if errors.Is(err, chart.ErrNotFound) && ignoreMissing {
			continue
		}
		if err != nil {
			return nil, err
		}
		values, err := chart.ParseValues(text)
		if err != nil {
			return nil, fmt.Errorf("unmarshaling values from '%s' failed: %w", name, err)
		}
		merged, used = chart.MergeValues(merged, values), append(used, name)
	}
	if len(used) == 0 {
		return nil, nil // the chart keeps its own
	}
	return used, c.SetValues(merged)
}

// publish stores the chart and advertises it.
func (r *Reconciler) publish(_ context.Context, s *scope) error {
	p := s.product
	if err := r.shelf.Put(s.obj, p.name+"-"+p.version+".tgz", p.version, p.write); err != nil {
		return err
	}
	s.obj.Status.ObservedChartName = p.name
	s.obj.Status.ObservedValuesFiles = nil
	if s.obj.Spec.IgnoreMissingValuesFiles {
		s.obj.Status.ObservedValuesFiles = p.values
	}
	observe(s)
	conditions.MarkTrue(s.obj, sourcev1.ConditionArtifactInStorage, p.reason(), "%s", p.summary())
	s.did.Stored, s.did.Reason = p.summary(), p.reason()
	return r.link(s)
}
