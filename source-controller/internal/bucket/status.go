package bucket

import (
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// spoken is how conditions speak of a Bucket.
var spoken = source.Conditions[*sourcev1.Bucket]{Fault: fault, Stored: stored}

// Report implements loop.Reconciler.
func (r *Reconciler) Report(b *sourcev1.Bucket, out loop.Outcome) (reason, message string) {
	return spoken.Report(b, out)
}

// Suspend implements loop.Suspender.
func (r *Reconciler) Suspend(b *sourcev1.Bucket) { spoken.Suspend(b) }

// fault returns the condition that a reason belongs to. What keeps objects is the
// storage of the controller.
func fault(reason string) string {
	if reason == sourcev1.ReasonCacheOperationFailed {
		return sourcev1.ConditionStorageOperationFailed
	}
	return source.Fault(reason)
}

// stored says what is advertised.
func stored(b *sourcev1.Bucket) (reason, message string) {
	return sourcev1.ReasonSucceeded, fmt.Sprintf("stored artifact: revision '%s'", b.Status.Artifact.Revision)
}
