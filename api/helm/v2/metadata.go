package v2

import "github.com/fluxcd/pkg/apis/meta"

// Finalizer keeps a deleted HelmRelease until its release is uninstalled. It is the same
// string for every Flux kind.
const Finalizer = "finalizers.fluxcd.io"

// Annotations of a HelmRelease by which a user asks for something once. Each counts only
// while its value is that of the annotation reconcile.fluxcd.io/requestedAt, and once.
const (
	// ForceRequestAnnotation installs or upgrades the release although nothing has
	// changed, or although no retries are left.
	ForceRequestAnnotation = meta.ForceRequestAnnotation

	// ResetRequestAnnotation sets the counts of failures to zero, so that there are
	// retries again.
	ResetRequestAnnotation = "reconcile.fluxcd.io/resetAt"
)

// Labels of every object of a release, and of a HelmChart that was made for it, that tell
// which HelmRelease it belongs to.
const (
	// LabelName is the name of the HelmRelease.
	LabelName = GroupName + "/name"
	// LabelNamespace is the namespace of the HelmRelease.
	LabelNamespace = GroupName + "/namespace"
)

// KeyDriftDetection is a label or annotation of one object of a release that, with
// ValueDisabled, leaves the object out of drift detection. It counts in the chart and on
// the object in the cluster.
const KeyDriftDetection = GroupName + "/driftDetection"

// ValueDisabled switches drift detection off for an object.
const ValueDisabled = "disabled"

// Keys of the metadata of events, besides the revision, which is the version of the chart.
// On an event they are prefixed with the group.
const (
	// MetaToken is the digest of the values.
	MetaToken = "token"
	// MetaAppVersion is the version of what the chart installs.
	MetaAppVersion = "app-version"
	// MetaOCIDigest is the digest of the OCI artifact that the chart comes from.
	MetaOCIDigest = "oci-digest"
)
