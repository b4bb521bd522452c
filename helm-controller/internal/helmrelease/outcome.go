package helmrelease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/loop"
)

// countedAfter returns the failures after an action.
func countedAfter(hr *helmv2.HelmRelease, defaults Defaults, w *work) plan.Counters {
	res := &w.result
	return countersOf(hr).After(
		plan.Outcome{Action: w.action, Failed: res.Err != nil, Wrote: res.Wrote, Cut: w.isCut()}, attempted(hr), defaults.plan(hr))
}

// countersOf returns the failures that the status has.
func countersOf(hr *helmv2.HelmRelease) plan.Counters {
	st := &hr.Status
	return plan.Counters{All: st.Failures, Installs: st.InstallFailures, Upgrades: st.UpgradeFailures}
}

// recordResult records in the status what an action has left. To do it twice is to do it once.
func recordResult(hr *helmv2.HelmRelease, w *work) {
	st, res := &hr.Status, &w.result
	st.History = state.Record(st.History, managed(st.History, res.Snapshots)...)
	st.Failures, st.InstallFailures, st.UpgradeFailures = w.counted.All, w.counted.Installs, w.counted.Upgrades
	if w.action.Type() == plan.Releases {
		st.LastAttemptedReleaseActionDuration = took(res.Took)
		if token, asked := hr.Annotations[helmv2.ForceRequestAnnotation]; asked && token == w.of.request && !w.isCut() {
			st.LastHandledForceAt = token // not before, or a process that is killed would take it along
		}
	}
	if res.Inventory != nil {
		st.Inventory = encode(res.Inventory)
	}
	if res.Err != nil {
		return
	}
	switch w.action {
	case plan.Install, plan.Upgrade:
		st.ObservedPostRenderersDigest, st.ObservedCommonMetadataDigest = w.laid.postRenderers, w.laid.commonMetadata
	case plan.Uninstall:
		st.History, st.StorageNamespace = nil, ""
		st.ClearFailures()
	}
}

// managed returns those of the snapshots that an action has left, the newest last, which a
// history is to have: the newest, and of others what it has already. What somebody else
// made before is none of ours, although our release has superseded it.
func managed(history, left helmv2.Snapshots) helmv2.Snapshots {
	var out helmv2.Snapshots
	for i, s := range left {
		has := slices.ContainsFunc(history, func(known *helmv2.Snapshot) bool {
			return known.Name == s.Name && known.Namespace == s.Namespace && known.Version == s.Version
		})
		if has || i == len(left)-1 {
			out = append(out, s)
		}
	}
	return out
}

// say sets the conditions that tell what came of an action, and returns the event that
// tells it. failed is why a pass that ends now did not reach its end; nil if it has.
func (r *Reconciler) say(hr *helmv2.HelmRelease, w *work) (e loop.Event, failed error) {
	err, s := w.result.Err, w.newest()
	if s == nil {
		s = &helmv2.Snapshot{Namespace: w.place.Namespace, Name: w.place.Name}
	}
	about := aboutRelease(s)
	fails := err != nil
	switch w.action {
	case plan.Install, plan.Upgrade:
		done := helmv2.ReleaseActionUpgrade
		if w.action == plan.Install {
			done = helmv2.ReleaseActionInstall
		}
		if fails {
			e.Reason, e.Message = notReleased(hr, done, w.named(), w.chart, err)
			about = aboutRelease(&helmv2.Snapshot{ChartVersion: w.of.chart, ConfigDigest: w.of.config, AppVersion: w.appVersion, OCIDigest: w.ociDigest})
		} else {
			e.Reason, e.Message = released(hr, s, done)
		}
	case plan.Test:
		e.Reason, e.Message = tested(hr, s, err)
	case plan.Rollback:
		e.Reason, e.Message = remediated(hr, helmv2.ReleaseActionRollback, w.target, err)
		fails = true // what was asked for did not come about
	case plan.UninstallRemediation:
		e.Reason, e.Message = remediated(hr, helmv2.ReleaseActionUninstall, s, err)
		fails = true
	case plan.Uninstall:
		e.Reason, e.Message = uninstalled(hr, w)
	case plan.Unlock:
		e.Reason, e.Message = unlocked(hr, w.place, w.stored, err)
	case plan.Correct:
		return r.sayCorrected(hr, s, err)
	}
	sumUp(hr)
	if fails {
		failed = &failure{reason: e.Reason, message: e.Message}
	}
	if err != nil {
		e.Warning, e.Message = true, withLogs(e.Message, w.result.Logs)
	}
	e.Metadata = about
	return e, failed
}

// sayCorrected is say of objects that were to be put back. The events about each of them
// tell all if that went well.
func (r *Reconciler) sayCorrected(hr *helmv2.HelmRelease, s *helmv2.Snapshot, err error) (loop.Event, error) {
	if err == nil {
		notDrifted(hr, s, true)
		return loop.Event{}, nil
	}
	message := fmt.Sprintf("Failed to correct the cluster state of release %s: %v", s.FullReleaseName(), err)
	drifted(hr, s, err.Error())
	return loop.Event{Warning: true, Reason: helmv2.ReasonDriftCorrectionFailed, Message: message, Metadata: aboutRelease(s)},
		&failure{reason: helmv2.ReasonDriftCorrectionFailed, message: message}
}

// tellChanges tells who had changed the objects that an action has put back, and what is not
// as it should be with the inventory.
func (r *Reconciler) tellChanges(ctx context.Context, hr *helmv2.HelmRelease, m *memory, w *work) {
	tellInventory(m, w.result.Unlisted, w.result.Unserved, w.result.Mask)
	tellLeft(m, w.result.Left, w.result.Mask)
	at := r.clusters.At(keyOf(hr))
	if at == nil {
		return
	}
	for _, c := range w.result.Changes {
		if !c.Restored {
			continue
		}
		found := r.examiner.Hiding(w.result.Mask).Restored(ctx, at.Drift, c, since(w.woken))
		about := aboutRelease(w.newest())
		m.tell(withAbout(found.Corrected(helmv2.ReasonDriftCorrected), about))
		for _, e := range found.Contested(helmv2.ReasonDriftContested) {
			m.tell(withAbout(e, about))
		}
	}
}

// tellInventory tells why an inventory could not be built, or of which kinds it has objects
// that the cluster does not serve.
func tellInventory(m *memory, failed error, unserved []string, mask func(string) string) {
	if failed != nil {
		m.tell(loop.Event{
			Warning: true, Reason: helmv2.ReasonInventoryBuildFailed,
			Message: "The objects of the release could not be listed, so the inventory is as it was: " + mask(failed.Error()),
		})
	}
	if len(unserved) > 0 {
		m.tell(loop.Event{
			Warning: true, Reason: helmv2.ReasonNamespaceCheckSkipped,
			Message: fmt.Sprintf("The cluster does not serve %s: objects of it are listed as if it were namespaced", strings.Join(unserved, ", ")),
		})
	}
}

// tellLeft tells which objects have left the release and may be left in the cluster, and why.
func tellLeft(m *memory, why error, mask func(string) string) {
	if why != nil {
		m.tell(loop.Event{
			Warning: true, Reason: helmv2.ReasonPruneFailed,
			Message: "Objects that are of the release no more may be left in the cluster: " + mask(why.Error()),
		})
	}
}

// withAbout returns an event that tells also what it is about.
func withAbout(e loop.Event, about map[string]string) loop.Event {
	metadata := maps.Clone(about)
	maps.Copy(metadata, e.Metadata)
	e.Metadata = metadata
	return e
}

// encode returns an inventory as the status has it; nil if it is empty.
func encode(set inventory.Set) *helmv2.ResourceInventory {
	if len(set) == 0 {
		return nil
	}
	return &helmv2.ResourceInventory{Entries: inventory.Encode[helmv2.ResourceRef](set)}
}

// since is how long ago something was, zero if it was not.
func since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Since(t)
}
