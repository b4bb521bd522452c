package kustomization

import (
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
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
	for _, taken := range m.restored {
		list = append(list, restored(taken, after))
	}
	if fresh := notRestored(m); len(fresh) > 0 {
		list = append(list, about(after, meta.ProgressingReason, strings.Join(fresh, "\n")))
	}
	switch out.Verdict {
	case loop.Failed, loop.Stalled:
		if !sameReady(before, after) {
			e := about(after, out.Reason, out.Message())
			e.Warning = true
			list = append(list, e)
		}
	case loop.Waiting:
		if !sameReady(before, after) {
			list = append(list, about(after, out.Reason, out.Message()))
		}
	case loop.Succeeded:
		if telling(before, after, m) {
			e := about(after, kustomizev1.ReasonReconciliationSucceeded, fmt.Sprintf("Reconciliation finished in %s, next run in %s",
				m.took.Round(time.Millisecond), after.Spec.Interval.Duration))
			e.Metadata[loop.MetaCommitStatus] = loop.MetaUpdate
			list = append(list, e)
		}
	}
	return list
}

// telling reports whether a successful run did anything that a user would ask about.
// That a revision has passed without touching this object is none.
func telling(before, after *kustomizev1.Kustomization, m *memory) bool {
	if !after.DeletionTimestamp.IsZero() {
		return false
	}
	return len(notRestored(m)) > 0 || !conditions.IsTrue(before, meta.ReadyCondition)
}

// restored tells who changed an object that was put back.
func restored(r restoration, ks *kustomizev1.Kustomization) loop.Event {
	if len(r.taken) == 0 {
		return about(ks, "DriftCorrected", fmt.Sprintf("%s was restored", r.id))
	}
	lines := make([]string, len(r.taken))
	for i, t := range r.taken {
		lines[i] = fmt.Sprintf("%s restored: %s", r.id, t)
	}
	return about(ks, "DriftCorrected", strings.Join(lines, "\n"))
}

// notRestored lists the changes that no other event tells.
func notRestored(m *memory) []string {
	told := make(map[string]bool, len(m.restored))
	for _, r := range m.restored {
		told[r.id.String()] = true
	}
	var out []string
	for _, c := range m.changes {
		if id := c.ID.String(); !told[id] && c.Effect != apply.Unchanged && c.Effect != apply.Skipped {
			out = append(out, id+" "+c.Effect.String())
		}
	}
	return out
}

// about is an event with the revision that it is about.
func about(ks *kustomizev1.Kustomization, reason, message string) loop.Event {
	e := loop.Event{Reason: reason, Message: message, Metadata: map[string]string{}}
	if ks.Status.LastAttemptedRevision != "" {
		e.Metadata[loop.MetaRevision] = ks.Status.LastAttemptedRevision
	}
	return e
}

// sameReady reports whether a failure was told before.
func sameReady(before, after *kustomizev1.Kustomization) bool {
	return conditions.GetReason(before, meta.ReadyCondition) == conditions.GetReason(after, meta.ReadyCondition) &&
		conditions.GetMessage(before, meta.ReadyCondition) == conditions.GetMessage(after, meta.ReadyCondition)
}
