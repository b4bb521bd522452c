package kustomization

import (
	"cmp"
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// sourceIndex finds the Kustomizations of a source in the cache.
const sourceIndex = "source"

// indexSource returns the source of a Kustomization: kind/namespace/name.
func indexSource(obj client.Object) []string {
	ks, ok := obj.(*kustomizev1.Kustomization)
	if !ok {
		return nil
	}
	key := sourceKey(ks)
	return []string{ks.Spec.SourceRef.Kind + "/" + key.String()}
}

func sourceKey(ks *kustomizev1.Kustomization) types.NamespacedName {
	ref := ks.Spec.SourceRef
	return types.NamespacedName{Namespace: cmp.Or(ref.Namespace, ks.Namespace), Name: ref.Name}
}

// wakeQueue lets watches of applied objects ask for runs.
type wakeQueue struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	asked map[types.NamespacedName]time.Time // since the last run of each
}

// open implements source.Func: the queue is known when the controller starts.
func (q *wakeQueue) open(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = queue
	return nil
}

// wake asks for a run of a Kustomization. Before the controller has started, every
// object is run anyway.
func (q *wakeQueue) wake(owner types.NamespacedName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue == nil {
		return
	}
	if _, again := q.asked[owner]; !again {
		if q.asked == nil {
			q.asked = make(map[types.NamespacedName]time.Time)
		}
		q.asked[owner] = time.Now()
	}
	q.queue.Add(reconcile.Request{NamespacedName: owner})
}

// take returns when a run was first asked for since the last one, and begins anew.
func (q *wakeQueue) take(owner types.NamespacedName) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.asked[owner]
	delete(q.asked, owner)
	return at
}
