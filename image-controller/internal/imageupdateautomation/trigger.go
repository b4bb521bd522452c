package imageupdateautomation

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/pullrequest"
)

// sourceIndex finds the automations of a GitRepository in the cache.
const sourceIndex = "source"

func indexSource(obj client.Object) []string {
	auto, ok := obj.(*imagev1.ImageUpdateAutomation)
	if !ok {
		return nil
	}
	return []string{sourceKey(auto).String()}
}

// asked lets pass automations that ask for a run, and those that say another thing of pull
// requests, which is no part of their spec.
func asked() predicate.Predicate {
	return predicate.Or(loop.Asked(), predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool { return mergeSettings(e.ObjectOld) != mergeSettings(e.ObjectNew) },
	})
}

// mergeSettings is what an object says of pull requests.
func mergeSettings(obj client.Object) string {
	all := make([]string, 0, 3)
	for _, name := range []string{pullrequest.Annotation, pullrequest.APIAnnotation, pullrequest.SecretAnnotation} {
		value, there := obj.GetAnnotations()[name]
		all = append(all, fmt.Sprintf("%t %q", there, value))
	}
	return strings.Join(all, " ")
}

// policyChanged lets pass policies that mean another image, or may be selected otherwise.
func policyChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*imagev1.ImagePolicy)
			after, too := e.ObjectNew.(*imagev1.ImagePolicy)
			return ok && too && (!equality.Semantic.DeepEqual(before.Status.LatestRef, after.Status.LatestRef) ||
				!maps.Equal(before.Labels, after.Labels))
		},
	}
}

// ofPolicy returns the automations that a policy is for: those of its namespace.
func (r *Reconciler) ofPolicy(ctx context.Context, policy client.Object) []reconcile.Request {
	return r.list(ctx, func(*imagev1.ImageUpdateAutomation) bool { return true }, client.InNamespace(policy.GetNamespace()))
}

// sourceChanged lets pass GitRepositories that say another thing, and those that have found
// a new commit, which may have new markers.
func sourceChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*sourcev1.GitRepository)
			after, too := e.ObjectNew.(*sourcev1.GitRepository)
			return ok && too && (before.Generation != after.Generation || revision(before) != revision(after))
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false }, // nothing can be done without it
	}
}

func revision(repo *sourcev1.GitRepository) string {
	if repo.Status.Artifact == nil {
		return ""
	}
	return repo.Status.Artifact.Revision
}

// ofSource returns the automations of a GitRepository, without those that know its commit,
// which they may have pushed.
func (r *Reconciler) ofSource(ctx context.Context, source client.Object) []reconcile.Request {
	repo, ok := source.(*sourcev1.GitRepository)
	if !ok {
		return nil
	}
	which := func(auto *imagev1.ImageUpdateAutomation) bool { return behind(auto, repo) }
	return r.list(ctx, which, client.MatchingFields{sourceIndex: client.ObjectKeyFromObject(repo).String()})
}

// behind reports whether an automation may have something to do because of what its source
// is now.
func behind(auto *imagev1.ImageUpdateAutomation, repo *sourcev1.GitRepository) bool {
	known := auto.Status.ObservedSourceRevision
	return known == "" || known != revision(repo) || repo.Generation != repo.Status.ObservedGeneration
}

// list returns requests for automations of the cache.
func (r *Reconciler) list(ctx context.Context, which func(*imagev1.ImageUpdateAutomation) bool, opts ...client.ListOption) []reconcile.Request {
	var all imagev1.ImageUpdateAutomationList
	if err := r.client.List(ctx, &all, opts...); err != nil {
		log.FromContext(ctx).Error(err, "listing automations")
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if which(&all.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	return requests
}
