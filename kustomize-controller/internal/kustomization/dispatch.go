package kustomization

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/artifact/fetch"
)

const (
	// dispatching bounds how many sources are looked at at the same time.
	dispatching = 8
	// affectedFirst is the priority of Kustomizations that a new artifact changes.
	// Those that it does not only have their status moved on.
	affectedFirst = 10
)

// dispatcher asks for runs of the Kustomizations of a source that has a new
// artifact: those first which have read something that is different now. It is a
// handler of events of sources, and works while Start runs.
type dispatcher struct {
	reconciler *Reconciler
	published  chan published
}

// published is a source that is new or has a new artifact, and the queue of who follows it.
type published struct {
	source artifactSource
	queue  workqueue.TypedRateLimitingInterface[reconcile.Request]
	at     time.Time // when that was heard of
}

func newDispatcher(r *Reconciler) *dispatcher {
	return &dispatcher{reconciler: r, published: make(chan published)}
}

// Start hands out what is published until ctx ends.
func (d *dispatcher) Start(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(dispatching)
	for {
		select {
		case <-ctx.Done():
			return g.Wait()
		case p := <-d.published:
			g.Go(func() error {
				d.handOut(ctx, p)
				return nil
			})
		}
	}
}

// handOut asks for the runs. That the artifact cannot be fetched keeps nobody from
// running: each will say so.
func (d *dispatcher) handOut(ctx context.Context, p published) {
	r, a := d.reconciler, p.source.GetArtifact()
	followers := r.followers(ctx, p.source)
	if len(followers) == 0 {
		return
	}
	var tree *fetch.Tree
	if a != nil {
		var err error
		if tree, err = r.artifacts.Get(ctx, a.URL, a.Digest); err != nil {
			log.FromContext(ctx).V(1).Info("fetching a new artifact", "source", p.source.GetName(), "error", err.Error())
		} else {
			defer tree.Release()
		}
	}
	for i := range followers {
		m, priority := r.known.of(followers[i].UID), 0
		if a != nil {
			m.hear(a.Revision, p.at)
		}
		if tree == nil || !m.unaffected(tree) {
			priority = affectedFirst
		}
		enqueue(p.queue, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&followers[i])}, priority)
	}
}

func enqueue(queue workqueue.TypedRateLimitingInterface[reconcile.Request], req reconcile.Request, priority int) {
	if q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(priority)}, req)
		return
	}
	queue.Add(req)
}

// followers returns the Kustomizations of a source.
func (r *Reconciler) followers(ctx context.Context, source artifactSource) []kustomizev1.Kustomization {
	var list kustomizev1.KustomizationList
	key := kindOf(source) + "/" + client.ObjectKeyFromObject(source).String()
	if err := r.client.List(ctx, &list, client.MatchingFields{sourceIndex: key}); err != nil {
		log.FromContext(ctx).Error(err, "looking for the Kustomizations of a source", "source", key)
		return nil
	}
	return list.Items
}

// Create implements handler.EventHandler.
func (d *dispatcher) Create(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	d.tell(ctx, nil, e.Object, q)
}

// Update implements handler.EventHandler.
func (d *dispatcher) Update(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	d.tell(ctx, e.ObjectOld, e.ObjectNew, q)
}

// Delete implements handler.EventHandler: what was applied stays.
func (d *dispatcher) Delete(context.Context, event.DeleteEvent, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
}

// Generic implements handler.EventHandler.
func (d *dispatcher) Generic(context.Context, event.GenericEvent, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
}

// tell hands on a source that is new, or whose artifact is.
func (d *dispatcher) tell(ctx context.Context, before, after client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	source, ok := after.DeepCopyObject().(artifactSource)
	if !ok || before != nil && (artifactOf(after) == "" || artifactOf(before) == artifactOf(after)) {
		return
	}
	select {
	case d.published <- published{source: source, queue: q, at: time.Now()}:
	case <-ctx.Done():
	}
}

// artifactOf identifies the artifact of a source: an artifact may change under the
// same revision.
func artifactOf(obj client.Object) string {
	source, ok := obj.(artifactSource)
	if !ok || source.GetArtifact() == nil {
		return ""
	}
	return source.GetArtifact().Revision + " " + source.GetArtifact().Digest
}
