package helmrelease

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/pkg/loop"
)

// Report implements loop.Reconciler: a release that is as it should be says how it became so.
func (r *Reconciler) Report(hr *helmv2.HelmRelease, out loop.Outcome) (reason, message string) {
	if c := summary(hr); c != nil {
		return c.Reason, c.Message
	}
	return meta.SucceededReason, "the release is as it should be"
}

// Summarise implements loop.Summariser: while an action is under way, Ready says what it said
// when that began. Where nothing more is tried, Ready says what went wrong, and Stalled that
// nothing more is tried.
func (r *Reconciler) Summarise(hr *helmv2.HelmRelease, out loop.Outcome) {
	if w := r.known.of(hr).work; out.Verdict == loop.Progressing && w != nil {
		keep(hr, w.ready)
	}
	if out.Verdict != loop.Stalled || !isOfRelease(out.Reason) {
		return
	}
	if c := summary(hr); c != nil && (c.Status == metav1.ConditionFalse || c.Type == helmv2.ConditionRemediated) {
		conditions.MarkFalse(hr, helmv2.ConditionReady, c.Reason, "%s", c.Message)
	}
}

// isOfRelease reports whether a reason for giving up is about what became of a release.
func isOfRelease(reason string) bool {
	return reason == helmv2.ReasonRetriesExceeded || reason == helmv2.ReasonMissingRollbackTarget
}

// summary returns the condition that Ready follows: the most significant there is of those
// that speak of the latest generation; nil if there is none.
func summary(hr *helmv2.HelmRelease) *metav1.Condition {
	var best *metav1.Condition
	for _, of := range []string{helmv2.ConditionRemediated, helmv2.ConditionTestSuccess, helmv2.ConditionReleased} {
		c := conditions.Get(hr, of)
		if c == nil || of == helmv2.ConditionTestSuccess && !testsCount(hr) {
			continue
		}
		if best == nil || c.ObservedGeneration > best.ObservedGeneration {
			best = c
		}
	}
	return best
}

// sumUp has Ready say what became of the release.
func sumUp(hr *helmv2.HelmRelease) {
	c := summary(hr)
	if c == nil {
		return
	}
	status := c.Status
	if c.Type == helmv2.ConditionRemediated {
		status = metav1.ConditionFalse // what was asked for did not come about
	}
	conditions.Set(hr, &metav1.Condition{Type: helmv2.ConditionReady, Status: status, Reason: c.Reason, Message: c.Message})
}

// running says that an action is under way, and returns what Ready says meanwhile: the same
// if a release is made. While a failure is undone or tests are run, what went before tells
// more.
func running(hr *helmv2.HelmRelease, what plan.Action) *metav1.Condition {
	message := fmt.Sprintf("Running '%s' action with timeout of %s", what, action.Timeout(hr, what))
	conditions.MarkReconciling(hr, helmv2.ReasonProgressing, "%s", message)
	if what.Type() == plan.Releases || !conditions.Has(hr, helmv2.ConditionReady) {
		conditions.MarkUnknown(hr, helmv2.ConditionReady, helmv2.ReasonProgressing, "%s", message)
	}
	return conditions.Get(hr, helmv2.ConditionReady)
}

// keep puts a condition into the place of the one of its type as it was, with its time.
func keep(hr *helmv2.HelmRelease, c *metav1.Condition) {
	list := slices.Clone(hr.Status.Conditions)
	for i := range list {
		if list[i].Type == c.Type {
			list[i] = *c
		}
	}
	hr.Status.Conditions = list
}

// testsCount reports whether the outcome of tests decides whether a release is ready.
func testsCount(hr *helmv2.HelmRelease) bool {
	return hr.GetTest().Enable && !hr.GetRemediation(hr.Status.LastAttemptedReleaseAction).IgnoreTestFailures
}

// released says that an install or upgrade went well, which is the end of what was said of
// the release before.
func released(hr *helmv2.HelmRelease, s *helmv2.Snapshot, made helmv2.ReleaseAction) (reason, message string) {
	reason = helmv2.ReasonUpgradeSucceeded
	if made == helmv2.ReleaseActionInstall {
		reason = helmv2.ReasonInstallSucceeded
	}
	message = fmt.Sprintf("Helm %s succeeded for release %s with chart %s", made, s.FullReleaseName(), s.VersionedChartName())
	conditions.MarkTrue(hr, helmv2.ConditionReleased, reason, "%s", message)
	conditions.Delete(hr, helmv2.ConditionRemediated)
	conditions.Delete(hr, helmv2.ConditionTestSuccess)
	if hr.GetTest().Enable {
		conditions.MarkUnknown(hr, helmv2.ConditionTestSuccess, helmv2.ReasonAwaitingTests,
			"Helm release %s with chart %s is awaiting tests", s.FullReleaseName(), s.VersionedChartName())
	}
	return reason, message
}

// notReleased says that an install or upgrade failed.
func notReleased(hr *helmv2.HelmRelease, made helmv2.ReleaseAction, release, chart string, err error) (reason, message string) {
	reason = helmv2.ReasonUpgradeFailed
	if made == helmv2.ReleaseActionInstall {
		reason = helmv2.ReasonInstallFailed
	}
	if errors.Is(err, cluster.ErrNewer) {
		reason = helmv2.ReasonHealthCheckCanceled
	}
	message = fmt.Sprintf("Helm %s failed for release %s with chart %s: %v", made, release, chart, err)
	conditions.MarkFalse(hr, helmv2.ConditionReleased, reason, "%s", message)
	conditions.Delete(hr, helmv2.ConditionRemediated)
	conditions.Delete(hr, helmv2.ConditionTestSuccess)
	return reason, message
}

// tested says how the tests of a release went.
func tested(hr *helmv2.HelmRelease, s *helmv2.Snapshot, err error) (reason, message string) {
	if err != nil {
		message = fmt.Sprintf("Helm test failed for release %s with chart %s: %v", s.FullReleaseName(), s.VersionedChartName(), err)
		conditions.MarkFalse(hr, helmv2.ConditionTestSuccess, helmv2.ReasonTestFailed, "%s", message)
		return helmv2.ReasonTestFailed, message
	}
	message = fmt.Sprintf("Helm test succeeded for release %s with chart %s: %s", s.FullReleaseName(), s.VersionedChartName(), hooksOf(s))
	conditions.MarkTrue(hr, helmv2.ConditionTestSuccess, helmv2.ReasonTestSucceeded, "%s", message)
	return helmv2.ReasonTestSucceeded, message
}

// hooksOf tells how many tests of a release went well. Filters leave out others.
func hooksOf(s *helmv2.Snapshot) string {
	all, n := 0, 0
	if s.TestHooks != nil {
		all = len(*s.TestHooks)
		for _, test := range *s.TestHooks {
			if test != nil && test.Phase == state.PhaseSucceeded {
				n++
			}
		}
	}
	switch {
	case all == 0:
		return "no test hooks"
	case n == 0:
		return fmt.Sprintf("spec.test.filters leave out all of the %d test hooks", all)
	case n == 1:
		return "1 test hook completed successfully"
	default:
		return fmt.Sprintf("%d test hooks completed successfully", n)
	}
}

// remediated says how a failure was undone: to is the release that was gone back to, or
// that was uninstalled.
func remediated(hr *helmv2.HelmRelease, done helmv2.ReleaseAction, to *helmv2.Snapshot, err error) (reason, message string) {
	what := fmt.Sprintf("Helm rollback to previous release %s with chart %s", to.FullReleaseName(), to.VersionedChartName())
	good, bad := helmv2.ReasonRollbackSucceeded, helmv2.ReasonRollbackFailed
	if done == helmv2.ReleaseActionUninstall {
		what = fmt.Sprintf("Helm uninstall remediation for release %s with chart %s", to.FullReleaseName(), to.VersionedChartName())
		good, bad = helmv2.ReasonUninstallSucceeded, helmv2.ReasonUninstallFailed
	}
	if err != nil {
		message = fmt.Sprintf("%s failed: %v", what, err)
		conditions.MarkFalse(hr, helmv2.ConditionRemediated, bad, "%s", message)
		return bad, message
	}
	message = what + " succeeded"
	conditions.MarkTrue(hr, helmv2.ConditionRemediated, good, "%s", message)
	return good, message
}

// uninstalled says how it went to take a release away.
func uninstalled(hr *helmv2.HelmRelease, w *work) (reason, message string) {
	release, err := w.named(), w.result.Err
	if w.before != nil {
		release = w.before.FullReleaseName()
	}
	reason = helmv2.ReasonUninstallSucceeded
	message = fmt.Sprintf("Helm uninstall succeeded for release %s with chart %s", release, w.chart)
	switch {
	case err != nil:
		reason, message = helmv2.ReasonUninstallFailed, fmt.Sprintf("Helm uninstall failed for release %s with chart %s: %v", release, w.chart, err)
	case w.result.Absent:
		message = fmt.Sprintf("Release %s was not found, assuming it is uninstalled", release)
	}
	conditions.MarkFalse(hr, helmv2.ConditionReleased, reason, "%s", message)
	return reason, message
}

// unlocked says how it went to have a release count as failed that nobody carries on.
func unlocked(hr *helmv2.HelmRelease, at types.NamespacedName, was *state.Release, err error) (reason, message string) {
	what := fmt.Sprintf("Helm release %s.v%d with chart %s@%s in %s state", at, was.Version, was.ChartName, was.ChartVersion, was.Status)
	message = "Unlocked " + what
	if err != nil {
		message = fmt.Sprintf("Unlock of %s failed: %v", what, err)
	}
	conditions.MarkFalse(hr, helmv2.ConditionReleased, helmv2.ReasonPendingRelease, "%s", message)
	return helmv2.ReasonPendingRelease, message
}

// drifted says that objects of a release are not as it has them.
func drifted(hr *helmv2.HelmRelease, s *helmv2.Snapshot, what string) {
	conditions.MarkTrue(hr, helmv2.ConditionDrifted, helmv2.ReasonDriftDetected,
		"Cluster state of release %s has drifted from the desired state: %s", s.FullReleaseName(), what)
}

// notDrifted says that objects of a release are as it has them, if that is looked at.
func notDrifted(hr *helmv2.HelmRelease, s *helmv2.Snapshot, looked bool) {
	if !looked {
		conditions.Delete(hr, helmv2.ConditionDrifted)
		return
	}
	conditions.MarkFalse(hr, helmv2.ConditionDrifted, helmv2.ReasonNoDriftDetected,
		"No drift detected for release %s with chart %s", s.FullReleaseName(), s.VersionedChartName())
}

// inOrder has a release that is as it should be say so, although the last thing that was
// said is that one failed, or is about one of before.
func inOrder(hr *helmv2.HelmRelease, s *helmv2.Snapshot, news bool) {
	if !hr.GetTest().Enable {
		conditions.Delete(hr, helmv2.ConditionTestSuccess)
	}
	if !news && conditions.IsTrue(hr, helmv2.ConditionReleased) && !conditions.Has(hr, helmv2.ConditionRemediated) {
		return
	}
	made := s.Action
	if made != helmv2.ReleaseActionInstall {
		made = helmv2.ReleaseActionUpgrade
	}
	before := conditions.Get(hr, helmv2.ConditionTestSuccess)
	released(hr, s, made)
	if before != nil && hr.GetTest().Enable {
		conditions.Set(hr, before)
	}
}
