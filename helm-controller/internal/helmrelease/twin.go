package helmrelease

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
)

// releaseIndex finds the HelmReleases of one release in the cache.
const releaseIndex = "release"

// indexRelease identifies the release of a HelmRelease, as far as its spec tells: where its
// Secrets are, and its name.
func indexRelease(obj client.Object) []string {
	hr, ok := obj.(*helmv2.HelmRelease)
	if !ok {
		return nil
	}
	return []string{releaseKey(hr.GetStorageNamespace(), hr.GetReleaseName())}
}

func releaseKey(storage, name string) string { return storage + "/" + name }

// clusterOf identifies the cluster of a HelmRelease, as far as its spec tells.
func clusterOf(hr *helmv2.HelmRelease) string {
	switch ref := hr.Spec.KubeConfig; {
	case ref == nil:
		return ""
	case ref.SecretRef != nil:
		return "Secret " + hr.Namespace + "/" + ref.SecretRef.Name + " " + ref.SecretRef.Key
	case ref.ConfigMapRef != nil:
		return "ConfigMap " + hr.Namespace + "/" + ref.ConfigMapRef.Name
	default:
		return ""
	}
}

// refuseTwin has a HelmRelease wait whose release is that of another already: each would
// undo what the other does, without end.
func (r *Reconciler) refuseTwin(ctx context.Context, s *scope) error {
	list, err := r.ownersOf(ctx, s.hr.GetStorageNamespace(), s.hr.GetReleaseName())
	if err != nil {
		return loop.Fail(helmv2.ReasonFailed, err)
	}
	for i := range list {
		if clusterOf(&list[i]) == clusterOf(s.hr) && goesFirst(&list[i], s.hr) {
			return loop.Wait(helmv2.ReasonFailed, r.opts.RequeueDependency,
				"release %s/%s is that of HelmRelease '%s/%s' already: give this one another spec.releaseName, or delete or suspend the other",
				s.hr.GetReleaseNamespace(), s.hr.GetReleaseName(), list[i].Namespace, list[i].Name)
		}
	}
	return nil
}

// ownersOf returns the HelmReleases that ask for a release, in whichever cluster.
func (r *Reconciler) ownersOf(ctx context.Context, storage, name string) ([]helmv2.HelmRelease, error) {
	var list helmv2.HelmReleaseList
	if err := r.client.List(ctx, &list, client.MatchingFields{releaseIndex: releaseKey(storage, name)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("looking for HelmReleases of release %s/%s: %w", storage, name, err)
	}
	return list.Items, nil
}

// isTaken reports whether another HelmRelease has taken over a release that this one had
// made. Whoever asks for it now has it, and this one must not take it away.
func (r *Reconciler) isTaken(ctx context.Context, s *scope, at plan.Place, found observe.Found) (bool, error) {
	if found.State != state.Unmanaged {
		return false, nil
	}
	list, err := r.ownersOf(ctx, at.Storage, at.Name)
	if err != nil {
		return false, loop.Fail(helmv2.ReasonFailed, err)
	}
	for i := range list {
		if list[i].UID != s.hr.UID && clusterOf(&list[i]) == clusterOf(s.hr) {
			log.FromContext(ctx).Info("the release is left to another HelmRelease, which has taken it over", "release", at.Namespace+"/"+at.Name,
				"by", client.ObjectKeyFromObject(&list[i]).String())
			return true, nil
		}
	}
	return false, nil
}

// wakeOwners asks for runs of the HelmReleases of a release that somebody else has written.
func (r *Reconciler) wakeOwners(storage, name string) {
	list, err := r.ownersOf(context.Background(), storage, name)
	if err != nil {
		return // the cache has stopped, and with it all else
	}
	for i := range list {
		r.wakes.Wake(client.ObjectKeyFromObject(&list[i]))
	}
}

// goesFirst reports whether another HelmRelease has more right to a release: it was there
// before, and is not suspended.
func goesFirst(other, hr *helmv2.HelmRelease) bool {
	if other.UID == hr.UID || other.Spec.Suspend {
		return false
	}
	return cmp.Or(
		other.CreationTimestamp.Compare(hr.CreationTimestamp.Time),
		strings.Compare(other.Namespace+"/"+other.Name, hr.Namespace+"/"+hr.Name),
	) < 0
}

// twins asks for runs of the HelmReleases of a release that another lets go.
func (r *Reconciler) twins() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	tell := func(ctx context.Context, obj client.Object, q queue) {
		hr, ok := obj.(*helmv2.HelmRelease)
		if !ok {
			return
		}
		list, err := r.ownersOf(ctx, hr.GetStorageNamespace(), hr.GetReleaseName())
		if err != nil {
			log.FromContext(ctx).Error(err, "looking for what a HelmRelease was in the way of")
			return
		}
		for i := range list {
			if list[i].UID != hr.UID {
				q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list[i])})
			}
		}
	}
	return handler.Funcs{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				tell(ctx, e.ObjectOld, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { tell(ctx, e.Object, q) },
	}
}
