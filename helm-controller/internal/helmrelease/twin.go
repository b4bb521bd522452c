package helmrelease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
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
	asked := askedKey(hr)
	if held := heldBy(hr); held != "" && held != asked {
		return []string{asked, held}
	}
	return []string{asked}
}

func releaseKey(storage, name string) string { return storage + "/" + name }

// askedKey identifies the release that a HelmRelease asks for.
func askedKey(hr *helmv2.HelmRelease) string {
	return releaseKey(hr.GetStorageNamespace(), hr.GetReleaseName())
}

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
// undo what the other does, without end. That is known before anything else is done for it,
// unless it has ever begun to make the release: then leaveToOwner decides.
func (r *Reconciler) refuseTwin(ctx context.Context, s *scope) error {
	begun := s.hr.Status.History.Latest() == nil && s.hr.Status.StorageNamespace == s.hr.GetStorageNamespace()
	if begun || heldBy(s.hr) == askedKey(s.hr) {
		return nil
	}
	return r.refuseIf(ctx, s, func() (types.NamespacedName, error) { return types.NamespacedName{}, nil })
}

// leaveToOwner is refuseTwin by what is stored: the release that was made last is of whom its
// objects name.
func (r *Reconciler) leaveToOwner(ctx context.Context, s *scope, found observe.Found, at plan.Place) error {
	asked := askedPlace(s.hr)
	if asked.Storage != at.Storage || asked.Name != at.Name { // what was found is what it has yet to leave
		return r.refuseIf(ctx, s, func() (types.NamespacedName, error) { return ownerAt(ctx, s, asked) })
	}
	if isOurs(found) {
		return nil
	}
	return r.refuseIf(ctx, s, func() (types.NamespacedName, error) { return found.Owner, nil })
}

// refuseIf ends the run if another HelmRelease has more right to the release that is asked
// for. Whose the stored release is, is asked if there is any other.
func (r *Reconciler) refuseIf(ctx context.Context, s *scope, ownerOf func() (types.NamespacedName, error)) error {
	others, err := r.othersOf(ctx, s.hr, askedKey(s.hr))
	if err != nil || len(others) == 0 {
		return err
	}
	owner, err := ownerOf()
	if err != nil {
		return loop.Fail(helmv2.ReasonFailed, err)
	}
	for _, other := range others {
		if goesFirst(other, s.hr, owner) {
			return loop.Wait(helmv2.ReasonFailed, r.opts.RequeueDependency,
				"release %s/%s is that of %s already: give this one another spec.releaseName, or delete or suspend the other",
				s.hr.GetReleaseNamespace(), s.hr.GetReleaseName(), another(s.hr, keyOf(other)))
		}
	}
	return nil
}

// ownerAt returns whose a stored release is, which is empty if nothing says so.
func ownerAt(ctx context.Context, s *scope, at plan.Place) (types.NamespacedName, error) {
	secrets, err := secretsOf(s.at, at.Storage)
	if err != nil {
		return types.NamespacedName{}, err
	}
	last, err := releases.Open(secrets, at.Name).Last(ctx)
	switch {
	case errors.Is(err, releases.ErrNotFound), errors.Is(err, releases.ErrCorrupt), apierrors.IsForbidden(err):
		return types.NamespacedName{}, nil
	case err != nil:
		return types.NamespacedName{}, fmt.Errorf("looking for whose release %s/%s is: %w", at.Namespace, at.Name, err)
	}
	return observe.Owner(last), nil
}

// othersOf returns the other HelmReleases that ask for a release of the same cluster or hold
// it.
func (r *Reconciler) othersOf(ctx context.Context, hr *helmv2.HelmRelease, key string) ([]*helmv2.HelmRelease, error) {
	list, err := r.ownersOf(ctx, key)
	if err != nil {
		return nil, loop.Fail(helmv2.ReasonFailed, err)
	}
	var others []*helmv2.HelmRelease
	for i := range list {
		if list[i].UID != hr.UID && clusterOf(&list[i]) == clusterOf(hr) {
			others = append(others, &list[i])
		}
	}
	return others, nil
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
// made, which must not take it away then. It need not have come to its end with that.
func (r *Reconciler) isTaken(ctx context.Context, s *scope, at plan.Place, found observe.Found) (bool, error) {
	if found.Facts.Stored == nil || isOurs(found) || found.Owner == s.owner {
		return false, nil
	}
	key := releaseKey(at.Storage, at.Name)
	others, err := r.othersOf(ctx, s.hr, key)
	if err != nil {
		return false, err
	}
	for _, other := range others {
		if found.Owner == keyOf(other) || hold(other, s.hr, key) > 0 {
			log.FromContext(ctx).Info("the release is left to another HelmRelease, which has taken it over", "release", at.Namespace+"/"+at.Name,
				"by", keyOf(other).String())
			return true, nil
		}
	}
	return false, nil
}

// wakeOwners asks for runs of the HelmReleases of a release that somebody else has written,
// in the cluster that a watch is of: others may have one of the same name.
func (r *Reconciler) wakeOwners(in tenant.Runner, storage, name string) {
	list, err := r.ownersOf(context.Background(), releaseKey(storage, name))
	if err != nil {
		return // the cache has stopped, and with it all else
	}
	for i := range list {
		if at := r.clusters.At(keyOf(&list[i])); at != nil && at.Extra == in {
			r.wakes.Wake(keyOf(&list[i]))
		}
	}
}

// goesFirst reports whether another HelmRelease has more right to the release that hr asks
// for, and is not suspended. To ask for it is none: anybody can name the namespace of somebody
// else. Whose it is by what is stored goes first; then who has made it, of several the one
// that did so last; then who lives where it is stored; then who was there before.
func goesFirst(other, hr *helmv2.HelmRelease, owner types.NamespacedName) bool {
	switch {
	case other.UID == hr.UID, other.Spec.Suspend, owner == keyOf(hr):
		return false
	case owner == keyOf(other):
		return true
	}
	if order := hold(other, hr, askedKey(hr)); order != 0 {
		return order > 0
	}
	storage := hr.GetStorageNamespace()
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
// is believed only of those who live where the release is stored.
func hold(a, b *helmv2.HelmRelease, key string) int {
	has := func(hr *helmv2.HelmRelease) bool {
		return heldBy(hr) == key && hr.Namespace == hr.Status.StorageNamespace
	}
	switch x, y := has(a), has(b); {
	case x && y:
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
