package kustomization

import (
	"context"
	"fmt"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// refuseUnsupported stalls an object that sets a field which does not work yet,
// rather than apply something else than it asks for.
func (r *Reconciler) refuseUnsupported(_ context.Context, s *scope) error {
	if field := unsupported(s.ks.Spec); field != "" {
		return loop.Stall("FieldNotSupported:"+field, fmt.Errorf("spec.%s is not supported yet: remove it", field))
	}
	ref := s.ks.Spec.SourceRef
	if ref.Kind != sourcev1.GitRepositoryKind {
		return loop.Stall("FieldNotSupported:sourceRef", fmt.Errorf("spec.sourceRef.kind %s is not supported yet: use %s", ref.Kind, sourcev1.GitRepositoryKind))
	}
	if r.opts.SameNamespaceOnly && ref.Namespace != "" && ref.Namespace != s.ks.Namespace {
		return loop.Stall(kustomizev1.ReasonAccessDenied, fmt.Errorf("can't access '%s/%s/%s', cross-namespace references have been blocked", ref.Kind, ref.Namespace, ref.Name))
	}
	return nil
}

// unsupported returns the first field of a spec that does not work yet.
func unsupported(spec kustomizev1.KustomizationSpec) string {
	fields := []struct {
		name string
		set  bool
	}{
		{"buildMetadata", len(spec.BuildMetadata) > 0},
		{"decryption", spec.Decryption != nil},
		{"dependsOn", len(spec.DependsOn) > 0},
		{"healthCheckExprs", len(spec.HealthCheckExprs) > 0},
		{"healthChecks", len(spec.HealthChecks) > 0},
		{"ignore", len(spec.Ignore) > 0},
		{"ignoreMissingComponents", spec.IgnoreMissingComponents},
		{"kubeConfig", spec.KubeConfig != nil},
		{"postBuild", spec.PostBuild != nil},
		{"serviceAccountName", spec.ServiceAccountName != ""},
	}
	for _, f := range fields {
		if f.set {
			return f.name
		}
	}
	return ""
}
