package imageupdateautomation

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/setters"
	"weir.dev/pkg/loop"
)

// findPolicies reads what the policies of the namespace have selected. Whether they are
// ready does not matter: what a policy has selected stays right while it fails.
func (r *Reconciler) findPolicies(ctx context.Context, s *scope) error {
	var list imagev1.ImagePolicyList
	if err := r.client.List(ctx, &list, client.InNamespace(s.auto.Namespace)); err != nil {
		return loop.Fail(imagev1.ReasonUpdateFailed, fmt.Errorf("listing image policies: %w", err))
	}
	s.refs, s.observed, s.known = make(setters.Refs), make(imagev1.ObservedPolicies), make(map[types.NamespacedName]bool)
	for _, policy := range list.Items {
		name := types.NamespacedName{Namespace: policy.Namespace, Name: policy.Name}
		s.known[name] = true
		if ref := policy.Status.LatestRef; ref != nil && s.selector.Matches(labels.Set(policy.Labels)) {
			s.refs[name], s.observed[policy.Name] = *ref, *ref
		}
	}
	return nil
}

// selectorOf returns what selects the policies of an automation: all if it does not say.
func selectorOf(auto *imagev1.ImageUpdateAutomation) (labels.Selector, error) {
	if auto.Spec.PolicySelector == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(auto.Spec.PolicySelector)
}

// isKnown returns who knows which policies there are: a marker of one that this
// automation does not write is for another automation. Of a namespace that cannot be seen,
// or must not, nobody knows.
func (r *Reconciler) isKnown(ctx context.Context, s *scope) func(types.NamespacedName) bool {
	return func(name types.NamespacedName) bool {
		if name.Namespace == s.auto.Namespace {
			return s.known[name]
		}
		if r.opts.SameNamespaceOnly {
			return true
		}
		err := r.client.Get(ctx, name, &imagev1.ImagePolicy{})
		return !apierrors.IsNotFound(err)
	}
}
