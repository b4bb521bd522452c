package source

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// Deed is what a run did and the status does not tell.
type Deed struct {
	Stored    string // how users are told of the artifact that was stored; empty if none was
	Reason    string // of the event that tells it; empty means NewArtifact
	Altered   error  // what was wrong with an artifact that was removed
	Collected int    // how many artifacts were removed that nobody needed any more
	Cleared   bool   // whether the artifacts of a deleted object were removed
}

// Deeds keep what runs did until their events are made. The zero value is empty.
type Deeds struct{ byUID sync.Map }

// Keep keeps what a run of obj did. It ends the run.
func (d *Deeds) Keep(obj Object, did *Deed) {
	if *did != (Deed{}) {
		d.byUID.Store(obj.GetUID(), *did)
	}
}

// take returns what was kept of an object, once.
func (d *Deeds) take(uid types.UID) Deed {
	v, _ := d.byUID.LoadAndDelete(uid)
	did, _ := v.(Deed)
	return did
}

// Events returns how a run is told, from what was kept of it and how it ended.
func (d *Deeds) Events(before, after Object, out loop.Outcome) []loop.Event {
	did := d.take(after.GetUID())
	var events []loop.Event
	if did.Altered != nil {
		events = append(events, loop.Event{
			Warning: true, Reason: sourcev1.ReasonArtifactVerificationFailed,
			Message: fmt.Sprintf("failed to verify integrity of artifact: %s", did.Altered),
		})
	}
	switch {
	case did.Cleared:
		events = append(events, collected("garbage collected artifacts for deleted resource"))
	case did.Collected > 0:
		events = append(events, collected(fmt.Sprintf("garbage collected %d artifacts", did.Collected)))
	}
	return append(events, outcomeEvents(before, after, out, did)...)
}

// outcomeEvents tells how a run ended.
func outcomeEvents(before, after Object, out loop.Outcome, did Deed) []loop.Event {
	old, a := before.GetArtifact(), after.GetArtifact()
	switch {
	case out.Verdict == loop.Failed, out.Verdict == loop.Stalled:
		if loop.Repeats(before, after) {
			return nil
		}
		return []loop.Event{{Warning: true, Reason: out.Reason, Message: out.Message()}}
	case a == nil, !after.GetDeletionTimestamp().IsZero():
		return nil
	case did.Stored != "" && (old == nil || old.Digest != a.Digest):
		return []loop.Event{about(a, cmp.Or(did.Reason, sourcev1.ReasonNewArtifact), did.Stored)}
	case did.Stored != "" && old.Revision != a.Revision:
		e := about(a, sourcev1.ReasonArtifactUpToDate, fmt.Sprintf("artifact up-to-date with remote revision: '%s'", a.Revision))
		e.Trace = true
		return []loop.Event{e}
	case conditions.IsFalse(before, meta.ReadyCondition):
		stored := conditions.Get(after, sourcev1.ConditionArtifactInStorage)
		if stored == nil {
			return nil
		}
		return []loop.Event{about(a, stored.Reason, stored.Message)}
	default:
		return nil
	}
}

// about is an event about an artifact.
func about(a *meta.Artifact, reason, message string) loop.Event {
	return loop.Event{
		Reason:   reason,
		Message:  message,
		Metadata: map[string]string{loop.MetaRevision: a.Revision, loop.MetaDigest: a.Digest},
	}
}

// collected is an event about removed files, which nobody needs to be notified of.
func collected(message string) loop.Event {
	return loop.Event{Trace: true, Reason: sourcev1.ReasonGarbageCollectionSucceeded, Message: message}
}
