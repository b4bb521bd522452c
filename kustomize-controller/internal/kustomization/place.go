package kustomization

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenantaccess"
)

// enterPlace finds the cluster of the objects, and as whom they are applied.
func (r *Reconciler) enterPlace(ctx context.Context, s *scope) error {
	at, err := r.access.Enter(ctx, r.tenantOf(s.ks))
	switch {
	case errors.Is(err, cloud.ErrGateDisabled):
		return loop.Stall(kustomizev1.ReasonFeatureGateDisabled, err)
	case err != nil:
		return loop.Fail(kustomizev1.ReasonReconciliationFailed, err)
	}
	s.at = at
	return nil
}

// tenantOf is a Kustomization as one that has objects in a cluster.
func (r *Reconciler) tenantOf(ks *kustomizev1.Kustomization) tenantaccess.Object {
	return tenantaccess.Object{
		NamespacedName: client.ObjectKeyFromObject(ks),
		ServiceAccount: ks.Spec.ServiceAccountName, KubeConfig: ks.Spec.KubeConfig, Configs: r.configs(ks),
	}
}
