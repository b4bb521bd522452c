package v2

import "github.com/fluxcd/pkg/apis/meta"

// Types of conditions of a HelmRelease.
const (
	// ConditionReady sums up the others: it says what the most significant of
	// Remediated, TestSuccess and Released says, in this order, or why the release could
	// not be seen to at all. It is Unknown while a run is under way. A release that was
	// remediated is not ready, however well that went.
	ConditionReady = meta.ReadyCondition

	// ConditionReconciling is present, and True, while a run is under way or a failed
	// one is to be repeated. Its message tells the step.
	ConditionReconciling = meta.ReconcilingCondition

	// ConditionStalled is present, and True, when nothing will be tried again before the
	// spec, the chart or the values change, or somebody asks for it.
	ConditionStalled = meta.StalledCondition

	// ConditionReleased tells how the last install or upgrade went.
	ConditionReleased = "Released"

	// ConditionTestSuccess tells how the last tests went. It is absent when the spec asks
	// for none.
	ConditionTestSuccess = "TestSuccess"

	// ConditionRemediated is present after a failed install or upgrade was, or could
	// not be, rolled back or uninstalled.
	ConditionRemediated = "Remediated"

	// ConditionDrifted tells whether objects of the release were found changed by others.
	// It is absent when the spec asks for no drift detection.
	ConditionDrifted = "Drifted"
)

// Reasons of what comes before a release, or takes its place.
const (
	// ReasonProgressing is given while a run is under way.
	ReasonProgressing = meta.ProgressingReason

	// ReasonProgressingWithRetry is given when a run failed and will be repeated without
	// anybody's help.
	ReasonProgressingWithRetry = meta.ProgressingWithRetryReason

	// ReasonFailed is given to an error that has no reason of its own.
	ReasonFailed = meta.FailedReason

	// ReasonDependencyNotReady is given while a HelmRelease of dependsOn is not ready.
	ReasonDependencyNotReady = meta.DependencyNotReadyReason

	// ReasonSourceNotReady is given while the source of the chart has none to offer.
	ReasonSourceNotReady = "SourceNotReady"

	// ReasonArtifactFailed is given when the HelmChart cannot be written, or the chart
	// cannot be downloaded or read.
	ReasonArtifactFailed = meta.ArtifactFailedReason

	// ReasonChartMutateError is given when the version of a chart from an OCI artifact
	// is not that of the artifact's tag.
	ReasonChartMutateError = "ChartMutateError"

	// ReasonValuesError is given when the values cannot be put together: a ConfigMap or
	// Secret, or its key, is missing, or what it has cannot be merged.
	ReasonValuesError = "ValuesError"

	// ReasonRESTClientError is given when the cluster of the release cannot be reached
	// as the spec says.
	ReasonRESTClientError = "RESTClientError"

	// ReasonResourceManagerError is given when nothing can be made to apply objects with.
	ReasonResourceManagerError = "ResourceManagerError"

	// ReasonFactoryError is given when nothing can be made to run actions of Helm with.
	ReasonFactoryError = "FactoryError"

	// ReasonAccessDenied is given to a reference to another namespace that the
	// controller was told to refuse.
	ReasonAccessDenied = "AccessDenied"

	// ReasonFeatureGateDisabled is given when the spec uses a feature that is switched
	// off in the controller.
	ReasonFeatureGateDisabled = meta.FeatureGateDisabledReason

	// ReasonInvalidCELExpression is given to an expression of the spec that does not
	// compile.
	ReasonInvalidCELExpression = meta.InvalidCELExpressionReason

	// ReasonHealthCheckCanceled is given when a newer chart, or newer values, ended the
	// wait for objects to become ready.
	ReasonHealthCheckCanceled = meta.HealthCheckCanceledReason

	// ReasonRetriesExceeded is given when an install or upgrade failed as often as the
	// spec allows.
	ReasonRetriesExceeded = "RetriesExceeded"

	// ReasonMissingRollbackTarget is given when a failed upgrade is to be rolled back and
	// there is no earlier release that was good.
	ReasonMissingRollbackTarget = "MissingRollbackTarget"
)

// Reasons of actions of Helm.
const (
	// ReasonInstallSucceeded is given when the chart was installed.
	ReasonInstallSucceeded = "InstallSucceeded"

	// ReasonInstallFailed is given when the chart could not be installed.
	ReasonInstallFailed = "InstallFailed"

	// ReasonUpgradeSucceeded is given when the release was upgraded.
	ReasonUpgradeSucceeded = "UpgradeSucceeded"

	// ReasonUpgradeFailed is given when the release could not be upgraded.
	ReasonUpgradeFailed = "UpgradeFailed"

	// ReasonPendingRelease is given after a release was found in the middle of an action
	// that nobody carries on, and was unlocked.
	ReasonPendingRelease = "PendingRelease"

	// ReasonAwaitingTests is given while the tests of a new release are still to be run.
	ReasonAwaitingTests = "AwaitingTests"

	// ReasonTestSucceeded is given when all tests of the release passed, or it has none.
	ReasonTestSucceeded = "TestSucceeded"

	// ReasonTestFailed is given when a test of the release failed.
	ReasonTestFailed = "TestFailed"

	// ReasonRollbackSucceeded is given when a failed release was rolled back.
	ReasonRollbackSucceeded = "RollbackSucceeded"

	// ReasonRollbackFailed is given when a failed release could not be rolled back.
	ReasonRollbackFailed = "RollbackFailed"

	// ReasonUninstallSucceeded is given when the release was uninstalled: to remediate a
	// failure, because it is to be of another name, namespace or chart, or because the
	// HelmRelease is deleted.
	ReasonUninstallSucceeded = "UninstallSucceeded"

	// ReasonUninstallFailed is given when the release could not be uninstalled.
	ReasonUninstallFailed = "UninstallFailed"
)

// Reasons of drift.
const (
	// ReasonDriftDetected is given when objects of the release were changed or deleted
	// by others.
	ReasonDriftDetected = "DriftDetected"

	// ReasonNoDriftDetected is given when objects are as the release has them.
	ReasonNoDriftDetected = "NoDriftDetected"

	// ReasonDriftCorrected is given to events about objects that somebody had changed
	// or deleted, and that were restored.
	ReasonDriftCorrected = "DriftCorrected"

	// ReasonDriftCorrectionFailed is given to events about objects that could not be
	// restored.
	ReasonDriftCorrectionFailed = "DriftCorrectionFailed"

	// ReasonDriftContested is given to events about fields that somebody takes back at
	// once each time they are restored, so that they are left alone for a while.
	ReasonDriftContested = "DriftContested"
)

// Reasons of events only.
const (
	// ReasonHelmChartCreated is given when the HelmChart of the spec was created.
	ReasonHelmChartCreated = "HelmChartCreated"

	// ReasonHelmChartConfigured is given when the HelmChart of the spec was changed.
	ReasonHelmChartConfigured = "HelmChartConfigured"

	// ReasonHelmChartDeleted is given when a HelmChart that is no longer needed was deleted.
	ReasonHelmChartDeleted = "HelmChartDeleted"

	// ReasonHelmChartSyncErr is given when a HelmChart could not be written or deleted.
	ReasonHelmChartSyncErr = "HelmChartSyncErr"

	// ReasonPruneFailed is given when objects that have left the release could not be
	// looked for or deleted.
	ReasonPruneFailed = meta.PruneFailedReason

	// ReasonFieldIgnored is given when the spec has a field that has no effect.
	ReasonFieldIgnored = "FieldIgnored"

	// ReasonInventoryBuildFailed is given when the objects of a release cannot be listed
	// in the inventory.
	ReasonInventoryBuildFailed = "InventoryBuildFailed"

	// ReasonNamespaceCheckSkipped is given when it cannot be told whether a kind of
	// object belongs to a namespace.
	ReasonNamespaceCheckSkipped = "NamespaceCheckSkipped"
)
