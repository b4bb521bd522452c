package kustomization

import (
	"cmp"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
