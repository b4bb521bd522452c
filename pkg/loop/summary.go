package loop

import (
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// progressMessage is what Ready says while the outcome is open.
const progressMessage = "Reconciliation in progress"

// RequestedAt returns the token of the annotation by which a user asks for a
// run now, and whether there is one.
func RequestedAt(obj client.Object) (string, bool) {
	return meta.ReconcileAnnotationValue(obj.GetAnnotations())
}

// MarkProgressing says on obj that a run has begun which will take long. The
// outcome of the run replaces it.
func MarkProgressing(obj conditions.Setter, format string, args ...any) {
	conditions.MarkReconciling(obj, meta.ProgressingReason, format, args...)
	conditions.MarkUnknown(obj, meta.ReadyCondition, meta.ProgressingReason, progressMessage)
}

// summarise sets what every kind has in common from the outcome of a run.
// reason and message are those of Ready after a success.
func summarise(obj Object, out Outcome, reason, message string) {
	switch out.Verdict {
	case Succeeded:
		conditions.Delete(obj, meta.ReconcilingCondition)
		conditions.Delete(obj, meta.StalledCondition)
		conditions.MarkTrue(obj, meta.ReadyCondition, reason, "%s", message)
		obj.SetObservedGeneration(obj.GetGeneration())
	case Progressing:
		MarkProgressing(obj, "%s", out.Message())
	case Waiting, Failed:
		conditions.MarkReconciling(obj, meta.ProgressingWithRetryReason, "%s", out.Message())
		conditions.MarkFalse(obj, meta.ReadyCondition, out.Reason, "%s", out.Message())
	case Stalled:
		conditions.MarkStalled(obj, out.Reason, "%s", out.Message())
		conditions.MarkFalse(obj, meta.ReadyCondition, out.Reason, "%s", out.Message())
		obj.SetObservedGeneration(obj.GetGeneration())
	}
}

// recordRequest says on obj that the last request for a run was seen.
func recordRequest(obj Object) {
	if token, ok := RequestedAt(obj); ok {
		obj.SetLastHandledReconcileAt(token)
	}
}
