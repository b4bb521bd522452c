package gitrepository

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// deed is what a run did and its status does not tell.
type deed struct {
	published bool
	subject   string // of the commit that was published
	altered   error  // what was wrong with an artifact that was removed
}

// remember keeps what a run did until its events are made.
func (r *Reconciler) remember(s *scope) {
	if s.deed != (deed{}) {
		r.deeds.Store(s.repo.UID, s.deed)
	}
}

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *sourcev1.GitRepository, out loop.Outcome) []loop.Event {
	v, _ := r.deeds.LoadAndDelete(after.UID)
	did, _ := v.(deed)
	var events []loop.Event
	if did.altered != nil {
		events = append(events, loop.Event{
			Warning: true, Reason: sourcev1.ReasonArtifactVerificationFailed,
			Message: fmt.Sprintf("failed to verify integrity of artifact: %s", did.altered),
		})
	}
	return append(events, outcomeEvents(before, after, out, did)...)
}

// outcomeEvents tells how a run ended.
func outcomeEvents(before, after *sourcev1.GitRepository, out loop.Outcome, did deed) []loop.Event {
	a := after.Status.Artifact
	switch {
	case out.Verdict == loop.Failed, out.Verdict == loop.Stalled:
		if loop.Repeats(before, after) {
			return nil
		}
		return []loop.Event{{Warning: true, Reason: out.Reason, Message: out.Message()}}
	case a == nil, !after.DeletionTimestamp.IsZero():
		return nil
	case did.published && (before.Status.Artifact == nil || before.Status.Artifact.Digest != a.Digest):
		return []loop.Event{stored(sourcev1.ReasonNewArtifact, a, fmt.Sprintf("stored artifact for commit '%s'", did.subject))}
	case did.published && before.Status.Artifact.Revision != a.Revision:
		e := stored(sourcev1.ReasonArtifactUpToDate, a, fmt.Sprintf("artifact up-to-date with remote revision: '%s'", a.Revision))
		e.Trace = true
		return []loop.Event{e}
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
