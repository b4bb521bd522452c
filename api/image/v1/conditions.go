package v1

import "github.com/fluxcd/pkg/apis/meta"

// Types of conditions of the kinds about images.
const (
	// ConditionReady tells whether the last run succeeded: the tags are known, the
	// latest of them is selected, or the repository has what the policies say. While
	// it is False, what an earlier run found stays in the status.
	ConditionReady = meta.ReadyCondition

	// ConditionReconciling is present, and True, while a run is under way or a
	// failed one is to be repeated.
	ConditionReconciling = meta.ReconcilingCondition

	// ConditionStalled is present, and True, when only a change of the spec can
	// help. The object is not tried again before that.
	ConditionStalled = meta.StalledCondition
)

// Reasons that all kinds about images share.
const (
	// ReasonSucceeded is given when what was to be done is done.
	ReasonSucceeded = meta.SucceededReason

	// ReasonFailed is given to an error that has no reason of its own.
	ReasonFailed = meta.FailedReason

	// ReasonFailure is given when what is known cannot be read, or no tag can be
	// selected from it.
	ReasonFailure = "Failure"

	// ReasonProgressing is given while a run is under way.
	ReasonProgressing = meta.ProgressingReason

	// ReasonProgressingWithRetry is given when a run failed and will be repeated
	// without anybody's help.
	ReasonProgressingWithRetry = meta.ProgressingWithRetryReason

	// ReasonSuspended is given when the user has stopped reconciliation.
	ReasonSuspended = meta.SuspendedReason

	// ReasonDependencyNotReady is given while an object that is needed first does not
	// exist or has nothing yet.
	ReasonDependencyNotReady = meta.DependencyNotReadyReason

	// ReasonFeatureGateDisabled is given when the spec uses a feature that is
	// switched off in the controller.
	ReasonFeatureGateDisabled = meta.FeatureGateDisabledReason

	// ReasonAccessDenied is given to a reference to another namespace that the
	// controller, or the object that is referred to, does not allow.
	ReasonAccessDenied = "AccessDenied"

	// ReasonImageURLInvalid is given to an image that is no name of a repository in a
	// registry, or has a scheme, a tag or a digest.
	ReasonImageURLInvalid = "ImageURLInvalid"
)

// Reasons of an ImageRepository.
const (
	// ReasonAuthenticationFailed is given when credentials are missing or malformed.
	ReasonAuthenticationFailed = "AuthenticationFailed"

	// ReasonReadOperationFailed is given when the registry does not tell its tags: it
	// does not answer, refuses the credentials, or has no such repository.
	ReasonReadOperationFailed = "ReadOperationFailed"
)

// Reasons of an ImagePolicy.
const (
	// ReasonInvalidPolicy is given to a policy that selects by nothing, or by a range
	// or a pattern that cannot be parsed.
	ReasonInvalidPolicy = "InvalidPolicy"

	// ReasonIntervalNotConfigured is given when a digest is to be followed and the
	// spec does not say how often to ask for it.
	ReasonIntervalNotConfigured = "IntervalNotConfigured"
)

// Reasons of an ImageUpdateAutomation.
const (
	// ReasonSourceManagerFailed is given when the GitRepository, or what its spec
	// refers to, cannot be used.
	ReasonSourceManagerFailed = "SourceManagerFailed"

	// ReasonGitOperationFailed is given when the remote cannot be read, or refuses
	// what is pushed.
	ReasonGitOperationFailed = "GitOperationFailed"

	// ReasonUpdateFailed is given when the files cannot be changed or the commit
	// cannot be made.
	ReasonUpdateFailed = "UpdateFailed"

	// ReasonInvalidUpdateStrategy is given to a strategy that the controller does not
	// know.
	ReasonInvalidUpdateStrategy = "InvalidUpdateStrategy"

	// ReasonInvalidSourceConfiguration is given when the spec does not say how to
	// commit, or refers to something that is no GitRepository.
	ReasonInvalidSourceConfiguration = "InvalidSourceConfiguration"

	// ReasonInvalidPolicySelector is given to a selector that cannot be parsed.
	ReasonInvalidPolicySelector = "InvalidPolicySelector"

	// ReasonRemovedTemplateField is given when the template of the commit message
	// uses data that earlier versions of the API had.
	ReasonRemovedTemplateField = "RemovedTemplateField"

	// ReasonPullRequestFailed is given when a commit was pushed, and the pull request
	// that an annotation asks for cannot be opened. It is tried again without another
	// push.
	ReasonPullRequestFailed = "PullRequestFailed"

	// ReasonMarkersSkipped is that of events about markers that nothing is written to:
	// they name a policy that does not exist, or are in a file that cannot be parsed.
	ReasonMarkersSkipped = "MarkersSkipped"
)
