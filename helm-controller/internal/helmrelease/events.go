package helmrelease

import (
	"fmt"
	"maps"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/loop"
)

// Events implements loop.Reconciler: what actions did is told by them, the rest is that
// something keeps them from being done. A run that finds all in order tells nothing.
func (r *Reconciler) Events(before, after *helmv2.HelmRelease, out loop.Outcome) []loop.Event {
	m := r.known.of(after)
	m.settle() // for the status was saved
	if e, news := outcome(before, after, out); news {
		m.tell(e)
	}
	list := m.toldAbout(after)
	if !after.DeletionTimestamp.IsZero() && out.Verdict == loop.Succeeded {
		r.known.forget(keyOf(after))
	}
	return list
}

// toldAbout returns what is yet to be told of a HelmRelease, and forgets it.
func (m *memory) toldAbout(hr *helmv2.HelmRelease) []loop.Event {
	list := m.told
	m.told = nil
	for i := range list {
		list[i].Metadata = about(hr, list[i].Metadata)
	}
	return list
}

// outcome tells why a run did not end well, unless that was told before, or was by the
// action that failed.
func outcome(before, after *helmv2.HelmRelease, out loop.Outcome) (loop.Event, bool) {
	if isTold(out.Err) {
		return loop.Event{}, false
	}
	e := loop.Event{Reason: out.Reason, Message: out.Message(), Warning: out.Verdict != loop.Waiting}
	switch out.Verdict {
	case loop.Stalled:
		return e, !same(before, after, meta.StalledCondition)
	case loop.Failed:
		return e, !loop.Repeats(before, after)
	case loop.Waiting:
		if out.Reason == helmv2.ReasonDependencyNotReady {
			e.Message = fmt.Sprintf("Dependencies do not meet ready condition, retrying in %s: %s", out.After, out.Message())
		}
		return e, !loop.Repeats(before, after)
	default:
		return loop.Event{}, false
	}
}

// same reports whether a condition says what it said before.
func same(before, after conditions.Getter, of string) bool {
	return conditions.GetReason(before, of) == conditions.GetReason(after, of) && conditions.GetMessage(before, of) == conditions.GetMessage(after, of)
}

// about adds to the metadata of an event what it is about: what was last attempted.
func about(hr *helmv2.HelmRelease, more map[string]string) map[string]string {
	out := map[string]string{}
	if v := hr.Status.LastAttemptedRevision; v != "" {
		out[loop.MetaRevision] = v
	}
	if v := hr.Status.LastAttemptedConfigDigest; v != "" {
		out[helmv2.MetaToken] = v
	}
	maps.Copy(out, more)
	return out
}

// aboutRelease is the metadata of an event about a release.
func aboutRelease(s *helmv2.Snapshot) map[string]string {
	out := map[string]string{loop.MetaRevision: s.ChartVersion, helmv2.MetaToken: s.ConfigDigest}
	if s.AppVersion != "" {
		out[helmv2.MetaAppVersion] = s.AppVersion
	}
	if s.OCIDigest != "" {
		out[helmv2.MetaOCIDigest] = s.OCIDigest
	}
	return out
}
