package kustomization

import (
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/manifest"
)

// Keys of the metadata of an event about drift. Where several fields were changed, each
// value has a line for each of them.
const (
	metaObject  = "object"
	metaField   = "field"
	metaFrom    = "from"
	metaTo      = "to"
	metaManager = "manager"
	metaTime    = "time"
)

// Events implements loop.Reconciler.
func (r *Reconciler) Events(before, after *kustomizev1.Kustomization, out loop.Outcome) []loop.Event {
	m := r.known.of(after.UID)
	defer m.begin()
	if !after.DeletionTimestamp.IsZero() && out.Verdict == loop.Succeeded {
		defer r.known.forget(after.UID)
	}
	var list []loop.Event
	for _, r := range m.restored {
		list = append(list, restored(r, after))
		for _, p := range r.pauses {
			list = append(list, contested(r.id, p, after))
		}
	}
	if len(m.changes) > 0 {
		list = append(list, about(after, meta.ProgressingReason, changed(m)))
	}
	if m.left != "" {
		e := about(after, kustomizev1.ReasonPruneFailed, m.left)
		e.Warning = true
		list = append(list, e)
	}
	switch out.Verdict {
	case loop.Failed, loop.Stalled:
		if !loop.Repeats(before, after) {
			e := about(after, out.Reason, out.Message())
			e.Warning = true
			list = append(list, e)
		}
	case loop.Waiting:
		if !loop.Repeats(before, after) {
			list = append(list, about(after, out.Reason, waiting(out)))
		}
	case loop.Succeeded:
		if telling(before, after, m) {
			e := about(after, kustomizev1.ReasonReconciliationSucceeded, fmt.Sprintf("Reconciliation finished in %s, next run in %s",
				m.took.Round(time.Millisecond), after.Spec.Interval.Duration))
			e.Metadata[loop.MetaCommitStatus] = loop.MetaUpdate
			list = append(list, e)
		}
	}
	if m.origin != "" {
		for _, e := range list {
			e.Metadata[loop.MetaOriginRevision] = m.origin
		}
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

// restored tells who changed an object that was put back.
func restored(r restoration, ks *kustomizev1.Kustomization) loop.Event {
	if len(r.taken) == 0 {
		what := "deleted"
		if r.existed {
			what = "changed" // and somebody has undone that in between
		}
		e := about(ks, kustomizev1.ReasonDriftCorrected, fmt.Sprintf("%s: %s, restored", r.id, what))
		e.Metadata[metaObject] = r.id.String()
		return e
	}
	lines := make([]string, len(r.taken))
	facts := make(map[string][]string)
	for i, t := range r.taken {
		lines[i] = fmt.Sprintf("%s: %s, restored", r.id, t)
		facts[metaField] = append(facts[metaField], t.Path)
		facts[metaFrom], facts[metaTo] = append(facts[metaFrom], t.From), append(facts[metaTo], t.To)
		facts[metaManager], facts[metaTime] = append(facts[metaManager], t.Manager), append(facts[metaTime], timeOf(t))
	}
	e := about(ks, kustomizev1.ReasonDriftCorrected, strings.Join(lines, "\n"))
	e.Metadata[metaObject] = r.id.String()
	for key, values := range facts {
		e.Metadata[key] = strings.Join(values, "\n")
	}
	return e
}

// timeOf is when a field was changed, "" if that is not told.
func timeOf(c drift.Change) string {
	if c.Time.IsZero() {
		return ""
	}
	return c.Time.UTC().Format(time.RFC3339)
}

// contested tells with whom there is a fight.
func contested(id manifest.ID, p drift.Pause, ks *kustomizev1.Kustomization) loop.Event {
	message := fmt.Sprintf("%s: deleted or taken over at once each time, restored %d times, now left alone for %s", id, p.Times, p.For)
	if p.Change.Path != "" {
		message = fmt.Sprintf("%s: %s, taken back at once each time, restored %d times, now left alone for %s", id, p.Change, p.Times, p.For)
	}
	e := about(ks, kustomizev1.ReasonDriftContested, message)
	e.Warning = true
	return e
}

// changed lists what was changed because the source asks for it.
func changed(m *memory) string {
	lines := make([]string, len(m.changes))
	for i, c := range m.changes {
		lines[i] = c.ID.String() + " " + c.Effect.String()
	}
	return strings.Join(lines, "\n")
}

// about is an event with the revision that it is about.
func about(ks *kustomizev1.Kustomization, reason, message string) loop.Event {
	e := loop.Event{Reason: reason, Message: message, Metadata: map[string]string{}}
	if ks.Status.LastAttemptedRevision != "" {
		e.Metadata[loop.MetaRevision] = ks.Status.LastAttemptedRevision
	}
	return e
}
