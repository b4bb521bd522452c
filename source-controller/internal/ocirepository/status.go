package ocirepository

import (
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// spoken is how conditions speak of an OCIRepository.
var spoken = source.Conditions[*sourcev1.OCIRepository]{Stored: stored, Fault: fault}

// Report implements loop.Reconciler.
func (r *Reconciler) Report(repo *sourcev1.OCIRepository, out loop.Outcome) (reason, message string) {
	return spoken.Report(repo, out)
}

// Suspend implements loop.Suspender.
func (r *Reconciler) Suspend(repo *sourcev1.OCIRepository) { spoken.Suspend(repo) }

// stored says what is advertised.
func stored(repo *sourcev1.OCIRepository) (reason, message string) {
	return sourcev1.ReasonSucceeded, fmt.Sprintf("stored artifact for digest '%s'", repo.Status.Artifact.Revision)
}

// fault returns the condition that a reason belongs to.
func fault(reason string) string {
	if reason == sourcev1.ReasonVerificationError {
		return sourcev1.ConditionSourceVerified
	}
	return source.Fault(reason)
}
