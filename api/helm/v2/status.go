package v2

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HelmReleaseStatus is what the controller last did and saw.
type HelmReleaseStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out, or
	// given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ObservedPostRenderersDigest is the digest of the postRenderers that the release
	// was made with.
	ObservedPostRenderersDigest string `json:"observedPostRenderersDigest,omitempty"`

	// ObservedCommonMetadataDigest is the digest of the commonMetadata that the release
	// was made with.
	ObservedCommonMetadataDigest string `json:"observedCommonMetadataDigest,omitempty"`

	// LastAttemptedGeneration is the generation of the spec that was last taken up,
	// whatever came of it.
	LastAttemptedGeneration int64 `json:"lastAttemptedGeneration,omitempty"`

	// Conditions tell how the HelmRelease is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// HelmChart is the namespace and name of the HelmChart that was created for the
	// HelmRelease, joined by a slash.
	HelmChart string `json:"helmChart,omitempty"`

	// StorageNamespace is the namespace of the Secrets of the release. It is empty as
	// long as nothing was installed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	StorageNamespace string `json:"storageNamespace,omitempty"`

	// History has the last releases, the latest first, back to the one that a rollback
	// would go to.
	History Snapshots `json:"history,omitempty"`

	// Inventory lists the objects of the release.
	Inventory *ResourceInventory `json:"inventory,omitempty"`

	// LastAttemptedReleaseAction is what was last done: "install" or "upgrade". It says
	// whose remediation and retries count.
	// +kubebuilder:validation:Enum=install;upgrade
	LastAttemptedReleaseAction ReleaseAction `json:"lastAttemptedReleaseAction,omitempty"`

	// LastAttemptedReleaseActionDuration is how long that took.
	LastAttemptedReleaseActionDuration *metav1.Duration `json:"lastAttemptedReleaseActionDuration,omitempty"`

	// Failures counts the runs that failed since the spec, the chart or the values
	// changed.
	Failures int64 `json:"failures,omitempty"`

	// InstallFailures counts the installs that failed since then. More than the retries
	// of the spec are not tried.
	InstallFailures int64 `json:"installFailures,omitempty"`

	// UpgradeFailures counts the upgrades that failed since then. More than the retries
	// of the spec are not tried.
	UpgradeFailures int64 `json:"upgradeFailures,omitempty"`

	// LastAttemptedRevision is the version of the chart that was last taken up. That of
	// an OCI artifact has the start of its digest added, such as "1.2.3+0123456789ab".
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`

	// LastAttemptedRevisionDigest is the digest of the OCI artifact that was last taken
	// up.
	LastAttemptedRevisionDigest string `json:"lastAttemptedRevisionDigest,omitempty"`

	// LastAttemptedValuesChecksum has no meaning any more and is removed.
	LastAttemptedValuesChecksum string `json:"lastAttemptedValuesChecksum,omitempty"`

	// LastReleaseRevision has no meaning any more and is removed.
	LastReleaseRevision int `json:"lastReleaseRevision,omitempty"`

	// LastAttemptedConfigDigest is the digest of the values that were last taken up.
	LastAttemptedConfigDigest string `json:"lastAttemptedConfigDigest,omitempty"`

	// LastHandledResetAt is the value of the annotation reconcile.fluxcd.io/resetAt that
	// was last seen.
	LastHandledResetAt string `json:"lastHandledResetAt,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
	meta.ForceRequestStatus     `json:",inline"`
}

// ClearFailures sets the counts of failures to zero.
func (s *HelmReleaseStatus) ClearFailures() {
	s.Failures, s.InstallFailures, s.UpgradeFailures = 0, 0, 0
}
