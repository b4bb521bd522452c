package gitrepository

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.GitRepository, out loop.Outcome) []loop.Event {
	subject, published := r.subjects.LoadAndDelete(after.UID)
	a := after.Status.Artifact
	switch {
	case out.Verdict == loop.Failed, out.Verdict == loop.Stalled:
		if sameReady(before, after) {
			return nil
		}
		return []loop.Event{{Warning: true, Reason: out.Reason, Message: out.Message()}}
	case a == nil:
		return nil
	case published && (before.Status.Artifact == nil || before.Status.Artifact.Digest != a.Digest):
		return []loop.Event{stored(sourcev1.ReasonNewArtifact, a, fmt.Sprintf("stored artifact for commit '%s'", subject))}
	case published && before.Status.Artifact.Revision != a.Revision:
		return []loop.Event{stored(sourcev1.ReasonArtifactUpToDate, a, fmt.Sprintf("artifact up-to-date with remote revision: '%s'", a.Revision))}
	case conditions.IsFalse(before, meta.ReadyCondition):
		return []loop.Event{stored(sourcev1.ReasonSucceeded, a, fmt.Sprintf("stored artifact for revision '%s'", a.Revision))}
	default:
		return nil
	}
}

// stored is an event about an artifact.
func stored(reason string, a *meta.Artifact, message string) loop.Event {
	return loop.Event{
		Reason:   reason,
		Message:  message,
		Metadata: map[string]string{loop.MetaRevision: a.Revision, loop.MetaDigest: a.Digest},
	}
}

// sameReady reports whether a failure was told before.
func sameReady(before, after *sourcev1.GitRepository) bool {
	return conditions.GetReason(before, meta.ReadyCondition) == conditions.GetReason(after, meta.ReadyCondition) &&
		conditions.GetMessage(before, meta.ReadyCondition) == conditions.GetMessage(after, meta.ReadyCondition)
}
