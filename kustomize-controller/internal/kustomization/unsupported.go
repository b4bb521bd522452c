package kustomization

import (
	"context"
	"fmt"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/loop"
)

// refuseUnsupported stalls an object that sets a field which does not work yet,
// rather than apply something else than it asks for.
func (r *Reconciler) refuseUnsupported(_ context.Context, s *scope) error {
	if field := unsupported(s.ks.Spec); field != "" {
		return loop.Stall("FieldNotSupported:"+field, fmt.Errorf("spec.%s is not supported yet: remove it", field))
	}
	return nil
}

// unsupported returns the first field of a spec that does not work yet.
func unsupported(spec kustomizev1.KustomizationSpec) string {
	fields := []struct {
		name string
		set  bool
	}{
		{"decryption", spec.Decryption != nil},
	}
	for _, f := range fields {
		if f.set {
			return f.name
		}
	}
	return ""
}
