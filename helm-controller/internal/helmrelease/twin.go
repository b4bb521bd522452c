package helmrelease

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
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

// indexRelease identifies the release that a HelmRelease asks for, as far as its spec tells,
// and the one that it holds, which may be of before: where their Secrets are, and their names.
func indexRelease(obj client.Object) []string {
	hr, ok := obj.(*helmv2.HelmRelease)
	if !ok {
		return nil
	}
	asked := releaseKey(hr.GetStorageNamespace(), hr.GetReleaseName())
	if held := heldBy(hr); held != "" && held != asked {
		return []string{asked, held}
	}
	return []string{asked}
}

func releaseKey(storage, name string) string { return storage + "/" + name }

// heldBy identifies the release that a HelmRelease has made, by its status; "" if there is
// none.
func heldBy(hr *helmv2.HelmRelease) string {
	at := placeOf(hr)
	if at.Storage == "" || at.Name == "" {
		return ""
	}
	return releaseKey(at.Storage, at.Name)
}

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
	storage, name := s.hr.GetStorageNamespace(), s.hr.GetReleaseName()
	list, err := r.ownersOf(ctx, releaseKey(storage, name))
	if err != nil {
		return loop.Fail(helmv2.ReasonFailed, err)
	}
	for i := range list {
		if clusterOf(&list[i]) == clusterOf(s.hr) && goesFirst(&list[i], s.hr, storage, name) {
			return loop.Wait(helmv2.ReasonFailed, r.opts.RequeueDependency,
				"release %s/%s is that of %s already: give this one another spec.releaseName, or delete or suspend the other",
				s.hr.GetReleaseNamespace(), name, another(s.hr, keyOf(&list[i])))
		}
	}
	return nil
}

// ownersOf returns the HelmReleases that ask for a release or hold it, by its key, in whichever cluster.
func (r *Reconciler) ownersOf(ctx context.Context, key string) ([]helmv2.HelmRelease, error) {
	var list helmv2.HelmReleaseList
	if err := r.client.List(ctx, &list, client.MatchingFields{releaseIndex: key}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("looking for HelmReleases of release %s: %w", key, err)
	}
	return list.Items, nil
}

// isTaken reports whether another HelmRelease has taken over a release that this one had
// made, which must not take it away then.
func (r *Reconciler) isTaken(ctx context.Context, s *scope, at plan.Place, found observe.Found) (bool, error) {
	if found.State != state.Unmanaged {
		return false, nil
	}
	key := releaseKey(at.Storage, at.Name)
	list, err := r.ownersOf(ctx, key)
	if err != nil {
		return false, loop.Fail(helmv2.ReasonFailed, err)
	}
	for i := range list {
		if list[i].UID != s.hr.UID && clusterOf(&list[i]) == clusterOf(s.hr) && hold(&list[i], s.hr, key) > 0 {
			log.FromContext(ctx).Info("the release is left to another HelmRelease, which has taken it over", "release", at.Namespace+"/"+at.Name,
				"by", client.ObjectKeyFromObject(&list[i]).String())
			return true, nil
		}
	}
	return false, nil
}

// wakeOwners asks for runs of the HelmReleases of a release that somebody else has written.
func (r *Reconciler) wakeOwners(storage, name string) {
	list, err := r.ownersOf(context.Background(), releaseKey(storage, name))
	if err != nil {
		return // the cache has stopped, and with it all else
	}
	for i := range list {
		r.wakes.Wake(client.ObjectKeyFromObject(&list[i]))
	}
}

// goesFirst reports whether another HelmRelease has more right to a release than hr, and is
// not suspended. To ask for it is none: anybody can name the namespace of somebody else.
// Who has made it goes first, of several the one that did so last; then who lives where it is
// stored; then who was there before.
func goesFirst(other, hr *helmv2.HelmRelease, storage, name string) bool {
	if other.UID == hr.UID || other.Spec.Suspend {
		return false
	}
	if order := hold(other, hr, releaseKey(storage, name)); order != 0 {
		return order > 0
	}
	if there, here := other.Namespace == storage, hr.Namespace == storage; there != here {
		return there
	}
	return cmp.Or(
		other.CreationTimestamp.Compare(hr.CreationTimestamp.Time),
		strings.Compare(other.Namespace+"/"+other.Name, hr.Namespace+"/"+hr.Name),
	) < 0
}

// hold compares what two HelmReleases have made of a release: it is positive if a has it,
// and b has not, or had it before. What a status says is no proof, for people can write it: it
// is not believed against one who lives where the release is stored and has it, too.
func hold(a, b *helmv2.HelmRelease, key string) int {
	switch x, y := heldBy(a) == key, heldBy(b) == key; {
	case x && y:
		storage, _, _ := strings.Cut(key, "/")
		if there, here := a.Namespace == storage, b.Namespace == storage; there != here {
			if there {
				return 1
			}
			return -1
		}
		last, before := a.Status.History.Latest(), b.Status.History.Latest()
		return cmp.Or(last.LastDeployed.Compare(before.LastDeployed.Time), cmp.Compare(last.Version, before.Version))
	case x:
		return 1
	case y:
		return -1
	default:
		return 0
	}
}

// twins asks for runs of the HelmReleases of a release that another lets go.
func (r *Reconciler) twins() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	tell := func(ctx context.Context, obj client.Object, q queue) {
		told := make(map[types.UID]bool)
		for _, key := range indexRelease(obj) {
			list, err := r.ownersOf(ctx, key)
			if err != nil {
				log.FromContext(ctx).Error(err, "looking for what a HelmRelease was in the way of")
				return
			}
			for i := range list {
				if uid := list[i].UID; uid != obj.GetUID() && !told[uid] {
					told[uid] = true
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list[i])})
				}
			}
		}
	}
	return handler.Funcs{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || !slices.Equal(indexRelease(e.ObjectOld), indexRelease(e.ObjectNew)) {
				tell(ctx, e.ObjectOld, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { tell(ctx, e.Object, q) },
	}
}
