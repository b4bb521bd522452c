package gitrepository

import (
	"context"
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// refuseUnsupported stalls an object that sets a field which does not work yet,
// rather than publish something else than it asks for.
func (r *Reconciler) refuseUnsupported(_ context.Context, s *scope) error {
	if field := unsupported(s.repo.Spec); field != "" {
		return loop.Stall("FieldNotSupported:"+field, fmt.Errorf("spec.%s is not supported yet: remove it", field))
	}
	return nil
}

// unsupported returns the first field of a spec that does not work yet.
func unsupported(spec sourcev1.GitRepositorySpec) string {
	switch {
	case spec.Verification != nil:
		return "verify"
	case spec.RecurseSubmodules:
		return "recurseSubmodules"
	case len(spec.Include) > 0:
		return "include"
	case len(spec.SparseCheckout) > 0:
		return "sparseCheckout"
	default:
		return ""
	}
}
