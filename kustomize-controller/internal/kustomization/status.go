package kustomization

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/loop"
)

// Report implements loop.Reconciler.
func (r *Reconciler) Report(ks *kustomizev1.Kustomization, out loop.Outcome) (reason, message string) {
	switch {
	case !checksHealth(ks):
		conditions.Delete(ks, kustomizev1.ConditionHealthy)
	case out.Verdict == loop.Succeeded:
		conditions.MarkTrue(ks, kustomizev1.ConditionHealthy, meta.SucceededReason, "Health check passed")
	case out.Verdict == loop.Progressing:
		conditions.MarkUnknown(ks, kustomizev1.ConditionHealthy, meta.ProgressingReason, "%s", out.Message())
	case out.Reason == kustomizev1.ReasonHealthCheckFailed:
		conditions.MarkFalse(ks, kustomizev1.ConditionHealthy, out.Reason, "%s", out.Message())
	}
	return kustomizev1.ReasonReconciliationSucceeded, fmt.Sprintf("Applied revision: %s", ks.Status.LastAppliedRevision)
}
