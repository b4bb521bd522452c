package imagepolicy

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/loop"
)

// repositoryOf returns which ImageRepository a policy selects from.
func repositoryOf(obj *imagev1.ImagePolicy) types.NamespacedName {
	ref := obj.Spec.ImageRepositoryRef
	key := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	if key.Namespace == "" {
		key.Namespace = obj.Namespace
	}
	return key
}

// findRepository reads the ImageRepository, if the policy may see it.
func (r *Reconciler) findRepository(ctx context.Context, s *scope) error {
	key := repositoryOf(s.obj)
	foreign := key.Namespace != s.obj.Namespace
	if foreign && r.opts.SameNamespaceOnly {
		return denied(key, "cross-namespace references have been blocked")
	}
	if foreign && r.only != "" {
		return denied(key, fmt.Sprintf("the controller watches no namespace but %q", r.only))
	}
	s.repo = new(imagev1.ImageRepository)
	switch err := r.client.Get(ctx, key, s.repo); {
	case apierrors.IsNotFound(err):
		return loop.Wait(imagev1.ReasonDependencyNotReady, r.opts.Requeue, "referenced ImageRepository '%s' does not exist", key)
	case err != nil:
		return loop.Fail(imagev1.ReasonFailure, fmt.Errorf("failed to get ImageRepository '%s': %w", key, err))
	}
	if foreign {
		if err := r.checkAccess(ctx, s); err != nil {
			return err
		}
	}
	if s.repo.Status.LastScanResult == nil {
		return loop.Wait(imagev1.ReasonDependencyNotReady, r.opts.Requeue, "referenced ImageRepository has not been scanned yet")
	}
	return nil
}

// checkAccess asks whether a repository of another namespace lets this one in.
func (r *Reconciler) checkAccess(ctx context.Context, s *scope) error {
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.client.Get(ctx, types.NamespacedName{Name: s.obj.Namespace}, ns); err != nil {
		return loop.Fail(imagev1.ReasonFailure, fmt.Errorf("failed to get the labels of namespace '%s': %w", s.obj.Namespace, err))
	}
	if !admits(s.repo.Spec.AccessFrom, ns.Labels) {
		return denied(client.ObjectKeyFromObject(s.repo), fmt.Sprintf("no namespace selector of its spec.accessFrom matches the labels of namespace '%s'", s.obj.Namespace))
	}
	return nil
}

// denied says that a policy may not select from a repository. Nothing needs to be tried
// again: what could change that is watched.
func denied(key types.NamespacedName, why string) error {
	return loop.Wait(imagev1.ReasonAccessDenied, 0, "can't access 'ImageRepository/%s', %s", key, why)
}

// admits reports whether objects of a namespace with these labels may refer to one of
// another namespace.
func admits(from *imagev1.AccessFrom, namespace labels.Set) bool {
	if from == nil {
		return false
	}
	for _, selector := range from.NamespaceSelectors {
		if labels.SelectorFromSet(selector.MatchLabels).Matches(namespace) {
			return true
		}
	}
	return false
}

// crosses reports whether a policy may refer to another namespace at all.
func (r *Reconciler) crosses() bool { return !r.opts.SameNamespaceOnly && r.only == "" }
