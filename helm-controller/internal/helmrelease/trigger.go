package helmrelease

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

// sourceIndex finds the HelmReleases of a source in the cache.
const sourceIndex = "source"

// indexSource returns the source of a HelmRelease: kind/namespace/name.
func indexSource(obj client.Object) []string {
	hr, ok := obj.(*helmv2.HelmRelease)
	if !ok {
		return nil
	}
	kind, key, ok := sourceOf(hr)
	if !ok {
		return nil
	}
	return []string{kind + "/" + key.String()}
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// followers asks for runs of the HelmReleases of a source that offers something else. A
// run that finds what it knew costs nothing.
func (r *Reconciler) followers() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { r.tellFollowers(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if offer(e.ObjectOld) != offer(e.ObjectNew) {
				r.tellFollowers(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			r.tellFollowers(ctx, e.Object, q) // a HelmChart of ours is made anew
		},
	}
}

// tellFollowers asks for runs of the HelmReleases of a source.
func (r *Reconciler) tellFollowers(ctx context.Context, source client.Object, q queue) {
	var list helmv2.HelmReleaseList
	key := kindOf(source) + "/" + client.ObjectKeyFromObject(source).String()
	if err := r.client.List(ctx, &list, client.MatchingFields{sourceIndex: key}); err != nil {
		log.FromContext(ctx).Error(err, "looking for the HelmReleases of a source", "source", key)
		return
	}
	for i := range list.Items {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
}

// heirs asks for runs of the HelmReleases that want a HelmChart whose own HelmRelease is gone
// and has left it.
func (r *Reconciler) heirs() handler.EventHandler {
	return handler.Funcs{DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
		var left sourcev1.HelmChartList
		of := client.MatchingLabels{helmv2.LabelName: e.Object.GetName(), helmv2.LabelNamespace: e.Object.GetNamespace()}
		if err := r.client.List(ctx, &left, of); err != nil {
			log.FromContext(ctx).Error(err, "looking for the HelmCharts that a HelmRelease has left")
			return
		}
		for i := range left.Items {
			r.tellFollowers(ctx, &left.Items[i], q)
		}
	}}
}
