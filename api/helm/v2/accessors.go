package v2

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// longestReleaseName is what Helm takes.
	longestReleaseName = 53

	// nameHash is how much of its hash ends a name that was too long.
	nameHash = 12
)

// GetConditions returns the conditions of the status.
func (h *HelmRelease) GetConditions() []metav1.Condition {
	return h.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (h *HelmRelease) SetConditions(conditions []metav1.Condition) {
	h.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (h *HelmRelease) GetObservedGeneration() int64 {
	return h.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (h *HelmRelease) SetObservedGeneration(generation int64) {
	h.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (h *HelmRelease) GetLastHandledReconcileAt() string {
	return h.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (h *HelmRelease) SetLastHandledReconcileAt(token string) {
	h.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (h *HelmRelease) IsSuspended() bool {
	return h.Spec.Suspend
}

// GetInterval returns the time between two looks at the release.
func (h *HelmRelease) GetInterval() time.Duration {
	return h.Spec.Interval.Duration
}

// GetTimeout returns what limits an action of Helm that has no timeout of its own: five
// minutes unless the spec has another.
func (h *HelmRelease) GetTimeout() time.Duration {
	return duration(h.Spec.Timeout, defaultTimeout)
}

// GetReleaseName returns the name of the release. One that is made up and longer than
// Helm takes ends in a hash of itself.
func (h *HelmRelease) GetReleaseName() string {
	if h.Spec.ReleaseName != "" {
		return h.Spec.ReleaseName
	}
	name := h.Name
	if h.Spec.TargetNamespace != "" {
		name = h.Spec.TargetNamespace + "-" + name
	}
	if len(name) <= longestReleaseName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:longestReleaseName-nameHash-1] + "-" + hex.EncodeToString(sum[:])[:nameHash]
}

// GetReleaseNamespace returns the namespace of the release: that of the HelmRelease
// unless the spec has another.
func (h *HelmRelease) GetReleaseNamespace() string {
	return either(h.Spec.TargetNamespace, h.Namespace)
}

// GetStorageNamespace returns the namespace of the Secrets of the release: that of the
// HelmRelease unless the spec has another.
func (h *HelmRelease) GetStorageNamespace() string {
	return either(h.Spec.StorageNamespace, h.Namespace)
}

// GetHelmChartName returns the name of the HelmChart that is created for the
// HelmRelease.
func (h *HelmRelease) GetHelmChartName() string {
	return h.Namespace + "-" + h.Name
}

// GetMaxHistory returns how many releases Helm remembers; 0 means all.
func (h *HelmRelease) GetMaxHistory() int {
	return given(h.Spec.MaxHistory, defaultMaxHistory)
}

// GetPostRenderStrategy returns whether hooks go through the post-renderers; def is what
// the controller does unless told.
func (h *HelmRelease) GetPostRenderStrategy(def PostRenderStrategy) PostRenderStrategy {
	return either(h.Spec.PostRenderStrategy, def)
}

// GetWaitStrategy returns how to tell that objects are ready; def is what the controller
// does unless told.
func (h *HelmRelease) GetWaitStrategy(def WaitStrategyName) WaitStrategyName {
	return either(given(h.Spec.WaitStrategy, WaitStrategy{}).Name, def)
}

// GetDriftDetection returns what to do about drift, with the mode disabled unless the
// spec has another.
func (h *HelmRelease) GetDriftDetection() DriftDetection {
	d := given(h.Spec.DriftDetection, DriftDetection{})
	d.Mode = either(d.Mode, DriftDetectionDisabled)
	return d
}

// GetInstall returns how the chart is installed.
func (h *HelmRelease) GetInstall() Install {
	return given(h.Spec.Install, Install{})
}

// GetUpgrade returns how the release is upgraded.
func (h *HelmRelease) GetUpgrade() Upgrade {
	return given(h.Spec.Upgrade, Upgrade{})
}

// GetTest returns how the release is tested.
func (h *HelmRelease) GetTest() Test {
	return given(h.Spec.Test, Test{})
}

// GetRollback returns how the release is rolled back.
func (h *HelmRelease) GetRollback() Rollback {
	return given(h.Spec.Rollback, Rollback{})
}

// GetUninstall returns how the release is uninstalled.
func (h *HelmRelease) GetUninstall() Uninstall {
	return given(h.Spec.Uninstall, Uninstall{})
}

// GetRemediation returns what follows when an action fails, with all defaults filled in.
func (h *HelmRelease) GetRemediation(action ReleaseAction) Remediation {
	if action == ReleaseActionInstall {
		return h.GetInstall().remediation(h.GetTest())
	}
	return h.GetUpgrade().remediation(h.GetTest())
}
