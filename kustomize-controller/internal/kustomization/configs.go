package kustomization

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/loop"
)

// configs returns what reads the Secrets, ConfigMaps and ServiceAccounts of a
// Kustomization: once, and again only if they have changed, which asks for a run.
func (r *Reconciler) configs(ks *kustomizev1.Kustomization) client.Reader {
	if r.opts.Configs == nil {
		return r.client
	}
	return r.opts.Configs.For(userOf(ks), loop.Awaited(ks))
}

func userOf(ks *kustomizev1.Kustomization) followed.User {
	return followed.User{Kind: kustomizev1.KustomizationKind, NamespacedName: client.ObjectKeyFromObject(ks)}
}
