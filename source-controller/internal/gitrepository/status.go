package gitrepository

import (
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// Report implements loop.Reconciler.
func (r *Reconciler) Report(repo *sourcev1.GitRepository, out loop.Outcome) (reason, message string) {
	failure := ""
	if out.Verdict != loop.Succeeded {
		failure = conditionFor(out.Reason)
	}
	for _, other := range []string{sourcev1.ConditionArtifactOutdated, sourcev1.ConditionFetchFailed, sourcev1.ConditionStorageOperationFailed} {
		// One that stays keeps its time, so that a failure that repeats writes nothing.
		if other != failure {
			conditions.Delete(repo, other)
		}
	}
	if failure == "" {
		markStored(repo)
		return sourcev1.ReasonSucceeded, conditions.GetMessage(repo, sourcev1.ConditionArtifactInStorage)
	}
	conditions.MarkTrue(repo, failure, out.Reason, "%s", out.Message())
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
	conditions.MarkTrue(repo, sourcev1.ConditionArtifactOutdated, sourcev1.ReasonNewRevision, "new upstream revision '%s'", revision)
	loop.MarkProgressing(repo, "building artifact: new upstream revision '%s'", revision)
}

// failing reports whether the status says of the present generation that it fails.
func failing(repo *sourcev1.GitRepository) bool {
	c := conditions.Get(repo, meta.ReadyCondition)
	return c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == repo.Generation
}

// conditionFor returns which of the conditions a reason belongs to.
func conditionFor(reason string) string {
	switch reason {
	case sourcev1.ReasonArchiveOperationFailed, sourcev1.ReasonStatOperationFailed,
		sourcev1.ReasonDirectoryCreationFailed, sourcev1.ReasonInvalidPath, sourcev1.ReasonSourceIgnoreError:
		return sourcev1.ConditionStorageOperationFailed
	default:
		return sourcev1.ConditionFetchFailed
	}
}
