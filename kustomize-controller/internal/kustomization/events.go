package kustomization

import (
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/loop"
)

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *kustomizev1.Kustomization, out loop.Outcome) []loop.Event {
	m := r.known.of(after.UID)
	defer m.begin()
	if !after.DeletionTimestamp.IsZero() && out.Verdict == loop.Succeeded {
		defer r.known.forget(after.UID)
	}
	var list []loop.Event
	for _, f := range m.restored {
		list = append(list, f.Corrected(kustomizev1.ReasonDriftCorrected))
		list = append(list, f.Contested(kustomizev1.ReasonDriftContested)...)
	}
	if len(m.changes) > 0 {
		list = append(list, about(meta.ProgressingReason, changed(m)))
	}
	if m.left != "" {
		e := about(kustomizev1.ReasonPruneFailed, m.left)
		e.Warning = true
		list = append(list, e)
	}
	switch out.Verdict {
	case loop.Failed, loop.Stalled:
		if !loop.Repeats(before, after) {
			e := about(out.Reason, out.Message())
			e.Warning = true
			list = append(list, e)
		}
	case loop.Waiting:
		if !loop.Repeats(before, after) {
			list = append(list, about(out.Reason, waiting(out)))
		}
	case loop.Succeeded:
		if telling(before, after, m) {
			e := about(kustomizev1.ReasonReconciliationSucceeded, fmt.Sprintf("Reconciliation finished in %s, next run in %s",
				m.took.Round(time.Millisecond), after.Spec.Interval.Duration))
			e.Metadata[loop.MetaCommitStatus] = loop.MetaUpdate
			list = append(list, e)
		}
	}
	for _, e := range list {
		label(e, after.Status.LastAttemptedRevision, m.origin)
	}
	return list
}

// waiting tells what is waited for.
func waiting(out loop.Outcome) string {
	if out.Reason != kustomizev1.ReasonDependencyNotReady {
		return out.Message()
	}
	return fmt.Sprintf("Dependencies do not meet ready condition, retrying in %s: %s", out.After, out.Message())
}

// telling reports whether a successful run did anything that a user would ask about.
// That a revision has passed without touching this object is none.
func telling(before, after *kustomizev1.Kustomization, m *memory) bool {
	if !after.DeletionTimestamp.IsZero() {
		return false
	}
	return len(m.changes) > 0 || !conditions.IsTrue(before, meta.ReadyCondition)
}

// changed lists what was changed because the source asks for it.
func changed(m *memory) string {
	lines := make([]string, len(m.changes))
	for i, c := range m.changes {
		lines[i] = c.ID.String() + " " + c.Effect.String()
	}
	return strings.Join(lines, "\n")
}

// about is an event without more facts than are in its message.
func about(reason, message string) loop.Event {
	return loop.Event{Reason: reason, Message: message, Metadata: map[string]string{}}
}

// label adds the revision that an event is about, and what that was made of, if they are
// known.
func label(e loop.Event, revision, origin string) {
	if revision != "" {
		e.Metadata[loop.MetaRevision] = revision
	}
	if origin != "" {
		e.Metadata[loop.MetaOriginRevision] = origin
	}
}
