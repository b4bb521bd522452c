package imagepolicy

import (
	"context"

	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	imagev1 "weir.dev/api/image/v1"
)

// repositoryIndex finds policies by the repository that they select from.
const repositoryIndex = "spec.imageRepositoryRef"

func indexRepository(obj client.Object) []string {
	return []string{repositoryOf(obj.(*imagev1.ImagePolicy)).String()}
}

// behind returns a run for each policy that selects from a repository.
func (r *Reconciler) behind(ctx context.Context, repo client.Object) []reconcile.Request {
	return r.runs(ctx, client.MatchingFields{repositoryIndex: client.ObjectKeyFromObject(repo).String()}, func(*imagev1.ImagePolicy) bool { return true })
}

// inside returns a run for each policy of a namespace whose labels may decide what it
// may see.
func (r *Reconciler) inside(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.runs(ctx, client.InNamespace(namespace.GetName()), func(p *imagev1.ImagePolicy) bool { return repositoryOf(p).Namespace != p.Namespace })
}

// runs returns a run for each of some policies.
func (r *Reconciler) runs(ctx context.Context, which client.ListOption, wanted func(*imagev1.ImagePolicy) bool) []reconcile.Request {
	var list imagev1.ImagePolicyList
	if err := r.client.List(ctx, &list, which, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "finding the policies to run")
		return nil
	}
	var runs []reconcile.Request
	for i := range list.Items {
		if p := &list.Items[i]; wanted(p) {
			runs = append(runs, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}})
		}
	}
	return runs
}

// told lets pass what policies have to know of a repository.
func told() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return matters(e.ObjectOld.(*imagev1.ImageRepository), e.ObjectNew.(*imagev1.ImageRepository))
	}}
}

// matters reports whether policies have to look at a repository again: at other tags,
// another spec, and tags that can be had again. A scan that finds what it found before
// tells its time only if somebody waits for it.
func matters(before, after *imagev1.ImageRepository) bool {
	return !equality.Semantic.DeepEqual(before.Status.LastScanResult, after.Status.LastScanResult) ||
		before.Status.CanonicalImageName != after.Status.CanonicalImageName ||
		before.Generation != after.Generation ||
		!conditions.IsReady(before) && conditions.IsReady(after)
}

// revision returns that of the tags that the last scan found; empty if there was none.
func revision(repo *imagev1.ImageRepository) string {
	if repo.Status.LastScanResult == nil {
		return ""
	}
	return repo.Status.LastScanResult.Revision
}

// relabelled lets pass namespaces whose labels have changed, and new ones.
func relabelled() predicate.Predicate { return predicate.LabelChangedPredicate{} }
