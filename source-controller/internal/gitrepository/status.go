package gitrepository

import (
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// spoken is how conditions speak of a GitRepository.
var spoken = source.Conditions[*sourcev1.GitRepository]{Fault: fault, Stored: stored}

// Report implements loop.Reconciler.
func (r *Reconciler) Report(repo *sourcev1.GitRepository, out loop.Outcome) (reason, message string) {
	return spoken.Report(repo, out)
}

// Suspend implements loop.Suspender.
func (r *Reconciler) Suspend(repo *sourcev1.GitRepository) { spoken.Suspend(repo) }

// stored says what is advertised.
func stored(repo *sourcev1.GitRepository) (reason, message string) {
	return sourcev1.ReasonSucceeded, fmt.Sprintf("stored artifact for revision '%s'", repo.Status.Artifact.Revision)
}

// fault returns the condition that the reason of a failure belongs to.
func fault(reason string) string {
	switch reason {
	case sourcev1.ReasonNotFound, sourcev1.ReasonNoArtifact:
		return sourcev1.ConditionIncludeUnavailable
	case sourcev1.ReasonIllegalPath, sourcev1.ReasonCopyFailure:
		return sourcev1.ConditionStorageOperationFailed
	case sourcev1.ReasonVerificationError, sourcev1.ReasonInvalidVerificationMode, sourcev1.ReasonInvalidGitObject,
		sourcev1.ReasonInvalidTagSignature, sourcev1.ReasonInvalidCommitSignature:
		return sourcev1.ConditionSourceVerified
	default:
		return source.Fault(reason)
	}
}
