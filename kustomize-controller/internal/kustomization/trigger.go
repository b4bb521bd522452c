package kustomization

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
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
	if ref.Namespace == "" {
		return types.NamespacedName{Namespace: ks.Namespace, Name: ref.Name}
	}
	return types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
}

// followers returns the Kustomizations of a GitRepository.
func (r *Reconciler) followers(ctx context.Context, repo client.Object) []reconcile.Request {
	var list kustomizev1.KustomizationList
	key := sourcev1.GitRepositoryKind + "/" + client.ObjectKeyFromObject(repo).String()
	if err := r.client.List(ctx, &list, client.MatchingFields{sourceIndex: key}); err != nil {
		log.FromContext(ctx).Error(err, "looking for the Kustomizations of a source", "source", key)
		return nil
	}
	out := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}

// newArtifact lets pass a source whose artifact appeared or changed.
func newArtifact() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return artifactOf(e.Object) != "" },
		UpdateFunc: func(e event.UpdateEvent) bool {
			now := artifactOf(e.ObjectNew)
			return now != "" && now != artifactOf(e.ObjectOld)
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// artifactOf identifies the artifact of a source: an artifact may change under the
// same revision.
func artifactOf(obj client.Object) string {
	repo, ok := obj.(*sourcev1.GitRepository)
	if !ok || repo.Status.Artifact == nil {
		return ""
	}
	return repo.Status.Artifact.Revision + " " + repo.Status.Artifact.Digest
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
	if q.queue != nil {
		q.queue.Add(reconcile.Request{NamespacedName: owner})
	}
}
