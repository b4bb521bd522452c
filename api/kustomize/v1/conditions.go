package v1

import "github.com/fluxcd/pkg/apis/meta"

// Types of conditions of a Kustomization.
const (
	// ConditionReady tells whether the last run succeeded: the latest revision is
	// applied, what left it is pruned, and the health checks have passed. It is
	// Unknown while a run is under way.
	ConditionReady = meta.ReadyCondition

	// ConditionReconciling is present, and True, while a run is under way or a
	// failed one is to be repeated. Its message tells the step.
	ConditionReconciling = meta.ReconcilingCondition

	// ConditionStalled is present, and True, when only a change of the spec can
	// help. The Kustomization is not tried again before that.
	ConditionStalled = meta.StalledCondition

	// ConditionHealthy tells what the last health check found. It is absent when the
	// spec asks for none.
	ConditionHealthy = meta.HealthyCondition
)

// Reasons of a Kustomization.
const (
	// ReasonProgressing is given while a run is under way.
	ReasonProgressing = meta.ProgressingReason

	// ReasonProgressingWithRetry is given when a run failed and will be repeated
	// without anybody's help.
	ReasonProgressingWithRetry = meta.ProgressingWithRetryReason

	// ReasonSucceeded is given to a health check that has passed.
	ReasonSucceeded = meta.SucceededReason

	// ReasonFailed is given to an error that has no reason of its own.
	ReasonFailed = meta.FailedReason

	// ReasonSuspended is given when the user has stopped reconciliation.
	ReasonSuspended = meta.SuspendedReason

	// ReasonReconciliationSucceeded is given when the revision is applied and healthy.
	ReasonReconciliationSucceeded = meta.ReconciliationSucceededReason

	// ReasonReconciliationFailed is given when objects cannot be applied.
	ReasonReconciliationFailed = meta.ReconciliationFailedReason

	// ReasonArtifactFailed is given when the artifact of the source is missing, cannot
	// be downloaded, or lacks the path.
	ReasonArtifactFailed = meta.ArtifactFailedReason

	// ReasonDirectoryCreationFailed is given when there is no directory to unpack the
	// artifact in.
	ReasonDirectoryCreationFailed = "DirectoryCreationFailed"

	// ReasonBuildFailed is given when the artifact does not build to objects.
	ReasonBuildFailed = meta.BuildFailedReason

	// ReasonPruneFailed is given when objects that left the source cannot be deleted.
	ReasonPruneFailed = meta.PruneFailedReason

	// ReasonHealthCheckFailed is given when an object failed, or was not healthy within
	// the timeout.
	ReasonHealthCheckFailed = meta.HealthCheckFailedReason

	// ReasonHealthCheckCanceled is given when a newer revision ended the wait for
	// health.
	ReasonHealthCheckCanceled = meta.HealthCheckCanceledReason

	// ReasonDependencyNotReady is given while a Kustomization of dependsOn is not ready.
	ReasonDependencyNotReady = meta.DependencyNotReadyReason

	// ReasonInvalidCELExpression is given to an expression of the spec that does not
	// compile.
	ReasonInvalidCELExpression = meta.InvalidCELExpressionReason

	// ReasonFeatureGateDisabled is given when the spec uses a feature that is
	// switched off in the controller.
	ReasonFeatureGateDisabled = meta.FeatureGateDisabledReason

	// ReasonAccessDenied is given to a reference to another namespace that the
	// controller was told to refuse.
	ReasonAccessDenied = "AccessDenied"

	// ReasonDriftCorrected is given to events about objects that somebody had changed
	// or deleted, and that were restored.
	ReasonDriftCorrected = "DriftCorrected"

	// ReasonDriftContested is given to events about fields that somebody takes back at
	// once each time they are restored, so that they are left alone for a while.
	ReasonDriftContested = "DriftContested"
)
