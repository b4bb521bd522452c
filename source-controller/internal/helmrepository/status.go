package helmrepository

import (
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// spoken is how conditions speak of a HelmRepository.
var spoken = source.Conditions[*sourcev1.HelmRepository]{Stored: stored}

// Report implements loop.Reconciler.
func (r *Reconciler) Report(repo *sourcev1.HelmRepository, out loop.Outcome) (reason, message string) {
	return spoken.Report(repo, out)
}

// Suspend implements loop.Suspender.
func (r *Reconciler) Suspend(repo *sourcev1.HelmRepository) { spoken.Suspend(repo) }

// stored says what is advertised.
func stored(repo *sourcev1.HelmRepository) (reason, message string) {
	return sourcev1.ReasonSucceeded, fmt.Sprintf("stored artifact: revision '%s'", repo.Status.Artifact.Revision)
}
