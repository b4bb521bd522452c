package helmchart

import (
	"context"

	"github.com/fluxcd/pkg/runtime/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/source"
)

// sourceIndex finds charts by their source, "<kind>/<name>", in a namespace.
const sourceIndex = ".metadata.source"

func indexSource(obj client.Object) []string {
	ref := obj.(*sourcev1.HelmChart).Spec.SourceRef
	return []string{ref.Kind + "/" + ref.Name}
}

// published lets pass what tells of another artifact, or of a source that has none and
// never will, which charts may wait for.
func published() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return ready(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(source.Object)
			after, also := e.ObjectNew.(source.Object)
			if !ok || !also || !ready(after) {
				return false
			}
			if a, b := before.GetArtifact(), after.GetArtifact(); a != nil && b != nil {
				return a.Revision != b.Revision || a.Digest != b.Digest || !a.LastUpdateTime.Equal(&b.LastUpdateTime)
			}
			return before.GetArtifact() != after.GetArtifact() || e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration()
		},
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// ready reports whether a source has what charts are made of.
func ready(obj client.Object) bool {
	src, ok := obj.(source.Object)
	return ok && (src.GetArtifact() != nil || isOCI(src))
}

// isOCI reports whether a source is a HelmRepository that publishes nothing.
func isOCI(src source.Object) bool {
	repo, ok := src.(*sourcev1.HelmRepository)
	return ok && repo.IsOCI()
}

// behind returns the charts that have yet to see what a source has.
func (r *Reconciler) behind(ctx context.Context, obj client.Object) []reconcile.Request {
	src, ok := obj.(source.Object)
	if !ok {
		return nil
	}
	kind := kindOf(src)
	var charts sourcev1.HelmChartList
	if err := r.client.List(ctx, &charts, client.InNamespace(obj.GetNamespace()), client.MatchingFields{sourceIndex: kind + "/" + obj.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "listing the charts of a source", "kind", kind, "source", obj.GetName())
		return nil
	}
	var requests []reconcile.Request
	for i := range charts.Items {
		if c := &charts.Items[i]; !upToDate(c, src) {
			requests = append(requests, reconcile.Request{NamespacedName: key(c)})
		}
	}
	return requests
}

// upToDate reports whether a chart is in order, and of what its source has now.
func upToDate(c *sourcev1.HelmChart, src source.Object) bool {
	if !conditions.IsReady(c) {
		return false
	}
	a := src.GetArtifact()
	return a == nil || c.Status.ObservedSourceArtifactRevision == a.Revision
}

// kindOf returns the kind of a source.
func kindOf(src source.Object) string {
	switch src.(type) {
	case *sourcev1.HelmRepository:
		return sourcev1.HelmRepositoryKind
	case *sourcev1.GitRepository:
		return sourcev1.GitRepositoryKind
	default:
		return sourcev1.BucketKind
	}
}
