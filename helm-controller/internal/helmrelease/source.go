package helmrelease

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// chartSource is what publishes a chart, of any kind.
type chartSource interface {
	conditions.Getter
	GetArtifact() *meta.Artifact
}

// newSource returns an empty source of a kind, nil if there is no such kind.
func newSource(kind string) chartSource {
	switch kind {
	case sourcev1.HelmChartKind:
		return &sourcev1.HelmChart{}
	case sourcev1.OCIRepositoryKind:
		return &sourcev1.OCIRepository{}
	case sourcev1.ExternalArtifactKind:
		return &sourcev1.ExternalArtifact{}
	default:
		return nil
	}
}

// kindOf returns the kind of a source, whose own kind is empty when it comes from a cache.
func kindOf(source client.Object) string {
	switch source.(type) {
	case *sourcev1.HelmChart:
		return sourcev1.HelmChartKind
	case *sourcev1.OCIRepository:
		return sourcev1.OCIRepositoryKind
	case *sourcev1.ExternalArtifact:
		return sourcev1.ExternalArtifactKind
	default:
		return ""
	}
}

// watched are the kinds of sources that a HelmRelease may have.
func (o Options) watched() []client.Object {
	kinds := []client.Object{&sourcev1.HelmChart{}, &sourcev1.OCIRepository{}}
	if o.ExternalArtifacts {
		kinds = append(kinds, &sourcev1.ExternalArtifact{})
	}
	return kinds
}

// sourceOf names what publishes the chart of a HelmRelease; false if its spec names
// nothing.
func sourceOf(hr *helmv2.HelmRelease) (kind string, key types.NamespacedName, ok bool) {
	if ref := hr.Spec.ChartRef; ref != nil {
		return ref.Kind, types.NamespacedName{Namespace: ref.GetNamespace(hr.Namespace), Name: ref.Name}, true
	}
	key, ok = chartKey(hr)
	return sourcev1.HelmChartKind, key, ok
}

// refuse stalls an object whose chart it must not have.
func (r *Reconciler) refuse(_ context.Context, s *scope) error {
	chart, ref := s.hr.Spec.Chart, s.hr.Spec.ChartRef
	switch {
	case chart == nil && ref == nil:
		return loop.Stall(helmv2.ReasonArtifactFailed, errors.New("neither spec.chart nor spec.chartRef is set: set one of them"))
	case chart != nil && ref != nil:
		return loop.Stall(helmv2.ReasonArtifactFailed, errors.New("both spec.chart and spec.chartRef are set: set one of them"))
	case chart != nil:
		from := chart.Spec.SourceRef
		return r.refuseAccess(s.hr, from.Kind, chart.GetNamespace(s.hr.Namespace), from.Name)
	case newSource(ref.Kind) == nil:
		return loop.Stall(helmv2.ReasonArtifactFailed, fmt.Errorf("spec.chartRef.kind %q publishes no charts", ref.Kind))
	case ref.Kind == sourcev1.ExternalArtifactKind && !r.opts.ExternalArtifacts:
		return loop.Stall(helmv2.ReasonFeatureGateDisabled, errors.New("the feature gate ExternalArtifact is off in the controller: start it with --feature-gates=ExternalArtifact=true, or use another source"))
	default:
		return r.refuseAccess(s.hr, ref.Kind, ref.GetNamespace(s.hr.Namespace), ref.Name)
	}
}

// refuseAccess stalls an object that refers to another namespace, if that is forbidden.
func (r *Reconciler) refuseAccess(hr *helmv2.HelmRelease, kind, namespace, name string) error {
	if !r.opts.SameNamespaceOnly || namespace == hr.Namespace {
		return nil
	}
	return loop.Stall(helmv2.ReasonAccessDenied, fmt.Errorf("can't access '%s/%s/%s', cross-namespace references have been blocked", kind, namespace, name))
}

// sources is what sources are read by.
func (r *Reconciler) sources() client.Reader {
	if r.opts.DirectSources {
		return r.live
	}
	return r.client
}

// findSource reads the source, which must have a chart of its present spec. Any change of
// it asks for another run.
func (r *Reconciler) findSource(ctx context.Context, s *scope) error {
	kind, key, _ := sourceOf(s.hr)
	found := newSource(kind)
	err := r.sources().Get(ctx, key, found)
	switch {
	case apierrors.IsNotFound(err) && s.hr.Spec.ChartRef == nil:
		return r.awaitSource("%s '%s' is not ready: it was not seen yet", kind, key) // it was just created
	case apierrors.IsNotFound(err):
		return loop.Wait(helmv2.ReasonArtifactFailed, r.opts.RequeueDependency, "could not get Source object: %s '%s' not found", kind, key)
	case err != nil:
		return loop.Fail(helmv2.ReasonArtifactFailed, fmt.Errorf("could not get Source object: %s '%s': %w", kind, key, err))
	}
	why := unready(found)
	if chart, ok := found.(*sourcev1.HelmChart); ok && s.hr.Spec.ChartRef == nil {
		switch {
		case isForeign(s.hr, chart):
			why = "it was not seen as that of this HelmRelease yet"
		case newer(s.memory.applied.version, chart.ResourceVersion): // the cache is behind
			why = notReconciled
		}
	}
	if why != "" {
		return r.awaitSource("%s '%s' is not ready: %s", kind, key, why)
	}
	s.source, s.artifact = found, found.GetArtifact()
	return nil
}

func (r *Reconciler) awaitSource(format string, args ...any) error {
	return loop.Wait(helmv2.ReasonSourceNotReady, r.opts.RequeueDependency, format, args...)
}

// notReconciled says that a source offers what an earlier spec of it asked for.
const notReconciled = "latest generation of object has not been reconciled"

// unready says why a source offers no chart of its present spec; "" if it does.
func unready(source chartSource) string {
	observed, tells := source.(interface{ GetObservedGeneration() int64 })
	switch {
	case tells && observed.GetObservedGeneration() != source.GetGeneration():
		return notReconciled
	case conditions.IsStalled(source):
		return conditions.GetMessage(source, meta.StalledCondition)
	case source.GetArtifact() == nil:
		return "does not have an artifact"
	default:
		return ""
	}
}

// offer identifies what a source offers: an artifact may change under the same revision.
func offer(obj client.Object) string {
	source, ok := obj.(chartSource)
	if !ok {
		return ""
	}
	a := source.GetArtifact()
	if a == nil {
		return unready(source)
	}
	return a.Revision + " " + a.Digest + " " + unready(source)
}
