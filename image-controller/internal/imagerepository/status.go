package imagerepository

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/loop"
)

// Report implements loop.Reconciler.
func (r *Reconciler) Report(repo *imagev1.ImageRepository, out loop.Outcome) (reason, message string) {
	if out.Verdict != loop.Succeeded {
		return "", ""
	}
	result := repo.Status.LastScanResult
	return imagev1.ReasonSucceeded, fmt.Sprintf("successful scan: found %d tags with checksum %s", result.TagCount, result.Revision)
}

// Suspend implements loop.Suspender: what was settled, well or not, stays so.
func (r *Reconciler) Suspend(repo *imagev1.ImageRepository) {
	if conditions.IsReady(repo) || conditions.IsStalled(repo) {
		repo.SetObservedGeneration(repo.Generation)
	}
}

// Events implements loop.Reconciler. A failure is told once, and a scan that finds the
// same only to those who wait for it.
func (r *Reconciler) Events(before, after *imagev1.ImageRepository, out loop.Outcome) []loop.Event {
	if !after.DeletionTimestamp.IsZero() && out.Verdict == loop.Succeeded {
		return nil // it is gone, which its user knows
	}
	reason, message := conditions.GetReason(after, meta.ReadyCondition), conditions.GetMessage(after, meta.ReadyCondition)
	switch {
	case out.Verdict != loop.Succeeded:
		if loop.Repeats(before, after) {
			return nil
		}
		return []loop.Event{{Warning: true, Reason: reason, Message: message}}
	case !conditions.IsReady(before) || !loop.Repeats(before, after):
		return []loop.Event{{Reason: reason, Message: message}}
	case loop.Awaited(before):
		return []loop.Event{{Trace: true, Reason: imagev1.ReasonSucceeded, Message: "tags did not change, next scan in " + after.GetInterval().String()}}
	default:
		return nil
	}
}
