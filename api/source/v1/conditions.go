package v1

import "github.com/fluxcd/pkg/apis/meta"

// Types of conditions that every source has.
const (
	// ConditionReady tells whether the last run succeeded, so that the artifact in
	// the status is what the spec asks for. Its reason and message are taken from the
	// condition that explains most. While it is False, the artifact of an earlier run
	// stays available.
	ConditionReady = meta.ReadyCondition

	// ConditionReconciling is present, and True, while a run is under way or a
	// failed one is to be repeated.
	ConditionReconciling = meta.ReconcilingCondition

	// ConditionStalled is present, and True, when only a change of the spec can
	// help. The source is not tried again before that.
	ConditionStalled = meta.StalledCondition

	// ConditionArtifactInStorage is True when the artifact in the status is stored
	// and can be downloaded.
	ConditionArtifactInStorage = "ArtifactInStorage"

	// ConditionArtifactOutdated is present, and True, when the origin has a revision
	// that is not published yet, or the artifact was lost.
	ConditionArtifactOutdated = "ArtifactOutdated"

	// ConditionFetchFailed is present, and True, when the origin cannot be read:
	// it does not answer, refuses the credentials, or lacks the reference.
	ConditionFetchFailed = "FetchFailed"

	// ConditionStorageOperationFailed is present, and True, when an artifact cannot
	// be written to the storage of the controller.
	ConditionStorageOperationFailed = "StorageOperationFailed"

	// ConditionSourceVerified is True when the signature of the published revision
	// was found good, False when it was not. It is absent when the spec asks for no
	// verification.
	ConditionSourceVerified = "SourceVerified"
)

// ConditionIncludeUnavailable is present, and True, on a GitRepository when a
// repository that it includes does not exist or has no artifact.
const ConditionIncludeUnavailable = "IncludeUnavailable"

// ConditionBuildFailed is present, and True, on a HelmChart when the chart was found
// but cannot be packaged, or its signature is not good.
const ConditionBuildFailed = "BuildFailed"

// Reasons that have the same meaning on all Flux kinds.
const (
	// ReasonSucceeded is given when what was to be done is done.
	ReasonSucceeded = meta.SucceededReason

	// ReasonFailed is given to an error that has no reason of its own.
	ReasonFailed = meta.FailedReason

	// ReasonProgressing is given while a run is under way.
	ReasonProgressing = meta.ProgressingReason

	// ReasonProgressingWithRetry is given when a run failed and will be repeated
	// without anybody's help.
	ReasonProgressingWithRetry = meta.ProgressingWithRetryReason

	// ReasonSuspended is given when the user has stopped reconciliation.
	ReasonSuspended = meta.SuspendedReason

	// ReasonDependencyNotReady is given while an object that is needed first is not
	// ready.
	ReasonDependencyNotReady = meta.DependencyNotReadyReason

	// ReasonArtifactFailed is given when an artifact that is needed cannot be
	// downloaded.
	ReasonArtifactFailed = meta.ArtifactFailedReason

	// ReasonInvalidPath is given to a path that does not exist or leads out of the
	// directory that it must stay in.
	ReasonInvalidPath = meta.InvalidPathReason

	// ReasonInvalidURL is given to a URL that cannot be parsed. A GitRepository
	// gives ReasonURLInvalid instead.
	ReasonInvalidURL = meta.InvalidURLReason

	// ReasonInsecureConnectionsDisallowed is given to a plain HTTP address that the
	// controller was told to refuse.
	ReasonInsecureConnectionsDisallowed = meta.InsecureConnectionsDisallowedReason

	// ReasonUnsupportedConnectionType is given to an address of a protocol that the
	// kind cannot use.
	ReasonUnsupportedConnectionType = meta.UnsupportedConnectionTypeReason

	// ReasonInvalidCELExpression is given to an expression that does not compile.
	ReasonInvalidCELExpression = meta.InvalidCELExpressionReason

	// ReasonFeatureGateDisabled is given when the spec uses a feature that is
	// switched off in the controller.
	ReasonFeatureGateDisabled = meta.FeatureGateDisabledReason

	// ReasonAccessDenied is given to a reference to another namespace that the
	// controller was told to refuse.
	ReasonAccessDenied = "AccessDenied"
)

// Reasons that all sources share.
const (
	// ReasonNewRevision is given when the origin has a revision that is not published
	// yet.
	ReasonNewRevision = "NewRevision"

	// ReasonURLInvalid is given to a URL that cannot be parsed or used.
	ReasonURLInvalid = "URLInvalid"

	// ReasonAuthenticationFailed is given when credentials are missing, malformed
	// or refused.
	ReasonAuthenticationFailed = "AuthenticationFailed"

	// ReasonInvalidProviderConfiguration is given when the credentials do not suit
	// the provider of the spec.
	ReasonInvalidProviderConfiguration = "InvalidProviderConfiguration"

	// ReasonInvalidSTSConfiguration is given when the security token service of the
	// spec cannot be used with its provider or credentials.
	ReasonInvalidSTSConfiguration = "InvalidSTSConfiguration"

	// ReasonVerificationError is given when a signature could not be checked, for
	// instance because the keys are missing.
	ReasonVerificationError = "VerificationError"

	// ReasonDirectoryCreationFailed is given when a directory cannot be made.
	ReasonDirectoryCreationFailed = "DirectoryCreationFailed"

	// ReasonStatOperationFailed is given when a file cannot be looked up.
	ReasonStatOperationFailed = "StatOperationFailed"

	// ReasonReadOperationFailed is given when a file cannot be read.
	ReasonReadOperationFailed = "ReadOperationFailed"

	// ReasonAcquireLockFailed is given when an artifact is locked for too long.
	ReasonAcquireLockFailed = "AcquireLockFailed"

	// ReasonArchiveOperationFailed is given when the archive cannot be written.
	ReasonArchiveOperationFailed = "ArchiveOperationFailed"

	// ReasonSymlinkUpdateFailed is given when the link to the latest artifact cannot
	// be moved.
	ReasonSymlinkUpdateFailed = "SymlinkUpdateFailed"

	// ReasonCacheOperationFailed is given when a cache cannot be read or written.
	ReasonCacheOperationFailed = "CacheOperationFailed"

	// ReasonPatchOperationFailed is given when the status cannot be written to the
	// API server.
	ReasonPatchOperationFailed = "PatchOperationFailed"
)

// Reasons of a GitRepository.
const (
	// ReasonGitOperationSucceeded is given when the remote was asked and had
	// nothing new.
	ReasonGitOperationSucceeded = "GitOperationSucceeded"

	// ReasonGitOperationFailed is given when the remote cannot be read, or what it
	// has cannot be checked out.
	ReasonGitOperationFailed = "GitOperationFailed"

	// ReasonEmptyGitRepository is given when the remote has no commit.
	ReasonEmptyGitRepository = "EmptyGitRepository"

	// ReasonIncludeChange is given when an included repository has a new artifact.
	ReasonIncludeChange = "IncludeChange"

	// ReasonNotFound is given when an included repository does not exist.
	ReasonNotFound = "NotFound"

	// ReasonNoArtifact is given when an included repository has no artifact yet.
	ReasonNoArtifact = "NoArtifact"

	// ReasonIllegalPath is given when an include would read or write outside of its
	// tree.
	ReasonIllegalPath = "IllegalPath"

	// ReasonCopyFailure is given when included files cannot be copied.
	ReasonCopyFailure = "CopyFailure"

	// ReasonSourceIgnoreError is given when a file of ignore patterns cannot be read.
	ReasonSourceIgnoreError = "SourceIgnoreError"

	// ReasonInvalidVerificationMode is given when the tag is to be verified and the
	// reference is no tag.
	ReasonInvalidVerificationMode = "InvalidVerificationMode"

	// ReasonInvalidGitObject is given when the commit or tag to be verified is not
	// signed.
	ReasonInvalidGitObject = "InvalidGitObject"

	// ReasonInvalidTagSignature is given when the signature of a tag is by none of
	// the trusted keys.
	ReasonInvalidTagSignature = "InvalidTagSignature"

	// ReasonInvalidCommitSignature is given when the signature of a commit is by
	// none of the trusted keys.
	ReasonInvalidCommitSignature = "InvalidCommitSignature"
)

// Reasons of an OCIRepository.
const (
	// ReasonOCIArtifactPullFailed is given when the digest of an artifact cannot be
	// found out, or the artifact cannot be downloaded.
	ReasonOCIArtifactPullFailed = "OCIArtifactPullFailed"

	// ReasonOCIArtifactLayerOperationFailed is given when the artifact lacks the layer
	// that was selected, or the layer cannot be unpacked or copied.
	ReasonOCIArtifactLayerOperationFailed = "OCIArtifactLayerOperationFailed"
)

// ReasonIndexationFailed is given to a HelmRepository whose index cannot be parsed.
const ReasonIndexationFailed = "IndexationFailed"

// Reasons of a HelmChart.
const (
	// ReasonChartPullSucceeded is given when the chart is published as it was
	// downloaded.
	ReasonChartPullSucceeded = "ChartPullSucceeded"

	// ReasonChartPackageSucceeded is given when the chart was packaged, and is
	// published.
	ReasonChartPackageSucceeded = "ChartPackageSucceeded"

	// ReasonNewChart is given when the source has a chart that is not published yet.
	ReasonNewChart = "NewChart"

	// ReasonSourceUnavailable is given when the source of the chart does not exist or
	// cannot be read.
	ReasonSourceUnavailable = "SourceUnavailable"

	// ReasonUnsupportedSourceKind is given to a source of a kind that has no charts.
	ReasonUnsupportedSourceKind = "UnsupportedSourceKind"

	// ReasonNoSourceArtifact is given when the source of the chart has no artifact
	// yet.
	ReasonNoSourceArtifact = "NoSourceArtifact"

	// ReasonResolvedDependencies is given when the charts that the chart depends on
	// were found.
	ReasonResolvedDependencies = "ResolvedDependencies"

	// ReasonInvalidChartReference is given to a name that no chart can have, and to a
	// name or version that the source does not have.
	ReasonInvalidChartReference = "InvalidChartReference"

	// ReasonChartPullError is given when the chart cannot be downloaded.
	ReasonChartPullError = "ChartPullError"

	// ReasonMetadataPatchError is given when the version in the Chart.yaml is to be
	// extended and is no semantic version.
	ReasonMetadataPatchError = "MetadataPatchError"

	// ReasonValuesFilesError is given when a values file is missing or cannot be
	// merged.
	ReasonValuesFilesError = "ValuesFilesError"

	// ReasonDependencyBuildError is given when a chart that the chart depends on cannot
	// be had.
	ReasonDependencyBuildError = "DependencyBuildError"

	// ReasonChartPackageError is given when the package cannot be written.
	ReasonChartPackageError = "ChartPackageError"

	// ReasonChartVerificationError is given when the signature of the chart is not good
	// or could not be checked.
	ReasonChartVerificationError = "ChartVerificationError"

	// ReasonUnknown is given when a chart cannot be built and none of the other
	// reasons says why.
	ReasonUnknown = "Unknown"
)

// Reasons of a Bucket.
const (
	// ReasonBucketOperationSucceeded is given when the bucket was asked and had
	// nothing new.
	ReasonBucketOperationSucceeded = "BucketOperationSucceeded"

	// ReasonBucketOperationFailed is given when the bucket does not exist, or it or
	// its objects cannot be read.
	ReasonBucketOperationFailed = "BucketOperationFailed"
)

// Reasons of events about the storage of artifacts.
const (
	// ReasonNewArtifact is given when an artifact of another digest is published.
	ReasonNewArtifact = "NewArtifact"

	// ReasonArtifactUpToDate is given when the published artifact is of the latest
	// revision.
	ReasonArtifactUpToDate = "ArtifactUpToDate"

	// ReasonArtifactVerificationFailed is given when a stored file no longer has the
	// digest in the status. It is removed and made anew.
	ReasonArtifactVerificationFailed = "ArtifactVerificationFailed"

	// ReasonGarbageCollectionSucceeded is given when superseded artifacts are removed.
	ReasonGarbageCollectionSucceeded = "GarbageCollectionSucceeded"

	// ReasonGarbageCollectionFailed is given when superseded artifacts cannot be
	// removed.
	ReasonGarbageCollectionFailed = "GarbageCollectionFailed"
)
