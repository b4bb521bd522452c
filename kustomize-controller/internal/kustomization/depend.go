package kustomization

import (
	"context"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/dependency"
)

// gate returns what has Kustomizations wait for each other.
func (r *Reconciler) gate(d *daemon.Daemon) *dependency.Gate[*kustomizev1.Kustomization] {
	opts := dependency.Options[*kustomizev1.Kustomization]{
		Of:       func(ks *kustomizev1.Kustomization) []meta.DependencyReference { return ks.Spec.DependsOn },
		List:     &kustomizev1.KustomizationList{},
		Retry:    r.opts.RequeueDependency,
		Additive: r.opts.AdditiveReadyExpr,
	}
	if d.Selective() {
		opts.Live = d.Live()
	}
	return dependency.New(d.Client(), opts)
}

// awaitDependencies ends the run while a dependency is not ready.
func (r *Reconciler) awaitDependencies(ctx context.Context, s *scope) error {
	return r.dependencies.Await(ctx, s.ks, s.expressions.ready, func(dep *kustomizev1.Kustomization) string {
		return behind(s.ks, dep, s.revision())
	})
}

// behind says why a dependency that is ready does not count for a Kustomization that is
// about to apply a revision: of one source, both are to go forward together.
func behind(ks, dep *kustomizev1.Kustomization, revision string) string {
	if dep.Spec.SourceRef.Kind != ks.Spec.SourceRef.Kind || sourceKey(dep) != sourceKey(ks) || dep.Status.LastAppliedRevision == revision {
		return ""
	}
	return fmt.Sprintf("dependency '%s' revision is not up to date", client.ObjectKeyFromObject(dep))
}
