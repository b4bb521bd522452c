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

// followers asks for runs of the HelmReleases of a source that offers something else. A
// run that finds what it knew costs nothing.
func (r *Reconciler) followers() handler.EventHandler {
	tell := func(ctx context.Context, source client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
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
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			tell(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if offer(e.ObjectOld) != offer(e.ObjectNew) {
				tell(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			tell(ctx, e.Object, q) // a HelmChart of ours is made anew
		},
	}
}

// departures ends what is under way for HelmReleases that are gone without having been let
// go, because somebody has taken the finalizer off: nobody takes up what comes of it.
func (r *Reconciler) departures() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	left := func(obj client.Object) {
		r.jobs.abandon(obj.GetUID())
		r.known.forget(obj.GetUID())
	}
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ queue) {
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() { // the watch has missed what was in between
				left(e.ObjectOld)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) { left(e.Object) },
	}
}
