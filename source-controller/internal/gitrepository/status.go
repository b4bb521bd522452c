package gitrepository

import (
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// Report implements loop.Reconciler.
func (r *Reconciler) Report(repo *sourcev1.GitRepository, out loop.Outcome) (reason, message string) {
	conditions.Delete(repo, sourcev1.ConditionArtifactOutdated)
	conditions.Delete(repo, sourcev1.ConditionFetchFailed)
	conditions.Delete(repo, sourcev1.ConditionStorageOperationFailed)
	if out.Verdict == loop.Succeeded {
		markStored(repo)
		return sourcev1.ReasonSucceeded, conditions.GetMessage(repo, sourcev1.ConditionArtifactInStorage)
	}
	conditions.MarkTrue(repo, conditionFor(out.Reason), out.Reason, "%s", out.Message())
	return "", ""
}

// Suspend implements loop.Suspender: the last artifact stays advertised.
func (r *Reconciler) Suspend(repo *sourcev1.GitRepository) {
	conditions.Delete(repo, meta.StalledCondition)
	conditions.Delete(repo, meta.ReconcilingCondition)
	repo.Status.ObservedGeneration = repo.Generation
	if repo.Status.Artifact != nil && !conditions.Has(repo, sourcev1.ConditionFetchFailed) && !conditions.Has(repo, sourcev1.ConditionStorageOperationFailed) {
		markStored(repo)
		conditions.MarkTrue(repo, meta.ReadyCondition, sourcev1.ReasonSucceeded, "%s", conditions.GetMessage(repo, sourcev1.ConditionArtifactInStorage))
	}
}

// markStored says that the artifact of the status can be downloaded.
func markStored(repo *sourcev1.GitRepository) {
	conditions.MarkTrue(repo, sourcev1.ConditionArtifactInStorage, sourcev1.ReasonSucceeded,
		"stored artifact for revision '%s'", repo.Status.Artifact.Revision)
}

// markBuilding says that a revision is on its way.
func markBuilding(repo *sourcev1.GitRepository, revision string) {
	conditions.MarkTrue(repo, sourcev1.ConditionArtifactOutdated, "NewRevision", "new upstream revision '%s'", revision)
	loop.MarkProgressing(repo, "building artifact: new upstream revision '%s'", revision)
}

// conditionFor returns which of the conditions a reason belongs to.
func conditionFor(reason string) string {
	switch reason {
	case sourcev1.ReasonArchiveOperationFailed, sourcev1.ReasonStatOperationFailed,
		sourcev1.ReasonDirectoryCreationFailed, sourcev1.ReasonInvalidPath:
		return sourcev1.ConditionStorageOperationFailed
	default:
		return sourcev1.ConditionFetchFailed
	}
}
