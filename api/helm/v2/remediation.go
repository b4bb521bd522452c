package v2

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StrategyName says what follows when an install or upgrade fails.
//
// +kubebuilder:validation:Enum=RemediateOnFailure;RetryOnFailure
type StrategyName string

const (
	// StrategyRemediateOnFailure repeats the action as often as its remediation says,
	// with a rollback or uninstall before each time.
	StrategyRemediateOnFailure StrategyName = "RemediateOnFailure"

	// StrategyRetryOnFailure keeps the failed release and upgrades it again and again.
	StrategyRetryOnFailure StrategyName = "RetryOnFailure"
)

// InstallStrategy says what follows when an install fails.
//
// +kubebuilder:validation:XValidation:rule="!has(self.retryInterval) || self.name != 'RemediateOnFailure'",message=".retryInterval cannot be set when .name is 'RemediateOnFailure'"
type InstallStrategy struct {
	// Name of the strategy: "RemediateOnFailure" uninstalls and installs as often as the
	// remediation says, "RetryOnFailure" keeps the failed release and upgrades it every
	// retryInterval.
	Name StrategyName `json:"name"`

	// RetryInterval is the time between two attempts of "RetryOnFailure". Defaults to
	// "5m".
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`
}

// UpgradeStrategy says what follows when an upgrade fails.
//
// +kubebuilder:validation:XValidation:rule="!has(self.retryInterval) || self.name == 'RetryOnFailure'",message=".retryInterval can only be set when .name is 'RetryOnFailure'"
type UpgradeStrategy struct {
	// Name of the strategy: "RemediateOnFailure" rolls back or uninstalls and tries again
	// as often as the remediation says, "RetryOnFailure" keeps the failed release and
	// upgrades it every retryInterval.
	Name StrategyName `json:"name"`

	// RetryInterval is the time between two attempts of "RetryOnFailure". Defaults to
	// "5m".
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`
}

// InstallRemediation says how often a failed install is repeated.
type InstallRemediation struct {
	// Retries is how often a failed install is repeated, each time after an uninstall;
	// a negative number means without end. Defaults to 0.
	Retries int `json:"retries,omitempty"`

	// IgnoreTestFailures takes an install whose tests fail for good. Defaults to
	// ignoreFailures of test.
	IgnoreTestFailures *bool `json:"ignoreTestFailures,omitempty"`

	// RemediateLastFailure uninstalls also when no retries are left. Defaults to false.
	RemediateLastFailure *bool `json:"remediateLastFailure,omitempty"`
}

// UpgradeRemediation says how often a failed upgrade is repeated, and what comes before
// that.
type UpgradeRemediation struct {
	// Retries is how often a failed upgrade is repeated, each time after what the
	// strategy says; a negative number means without end. Defaults to 0.
	Retries int `json:"retries,omitempty"`

	// IgnoreTestFailures takes an upgrade whose tests fail for good. Defaults to
	// ignoreFailures of test.
	IgnoreTestFailures *bool `json:"ignoreTestFailures,omitempty"`

	// RemediateLastFailure rolls back, or uninstalls, also when no retries are left.
	// Defaults to true if retries is greater than 0, else to false.
	RemediateLastFailure *bool `json:"remediateLastFailure,omitempty"`

	// Strategy is "rollback" to go back to the last good release, or "uninstall".
	// Defaults to "rollback".
	Strategy *RemediationStrategy `json:"strategy,omitempty"`
}

// RemediationStrategy says what puts a failed release right.
//
// +kubebuilder:validation:Enum=rollback;uninstall
type RemediationStrategy string

const (
	// RollbackRemediationStrategy goes back to the last good release.
	RollbackRemediationStrategy RemediationStrategy = "rollback"

	// UninstallRemediationStrategy removes the release.
	UninstallRemediationStrategy RemediationStrategy = "uninstall"
)

// Remediation is what follows when an install or upgrade fails, with all defaults
// filled in.
//
// +kubebuilder:object:generate=false
type Remediation struct {
	Retries              int // negative: without end
	IgnoreTestFailures   bool
	RemediateLastFailure bool
	Strategy             RemediationStrategy
}

func (i Install) remediation(t Test) Remediation {
	r := given(i.Remediation, InstallRemediation{})
	return Remediation{
		Retries:              r.Retries,
		IgnoreTestFailures:   given(r.IgnoreTestFailures, t.IgnoreFailures),
		RemediateLastFailure: given(r.RemediateLastFailure, false),
		Strategy:             UninstallRemediationStrategy,
	}
}

func (u Upgrade) remediation(t Test) Remediation {
	r := given(u.Remediation, UpgradeRemediation{})
	return Remediation{
		Retries:              r.Retries,
		IgnoreTestFailures:   given(r.IgnoreTestFailures, t.IgnoreFailures),
		RemediateLastFailure: given(r.RemediateLastFailure, r.Retries > 0),
		Strategy:             given(r.Strategy, RollbackRemediationStrategy),
	}
}

// GetStrategy returns what follows when the install fails; def is what the controller
// does unless told.
func (i Install) GetStrategy(def StrategyName) StrategyName {
	return either(given(i.Strategy, InstallStrategy{}).Name, def)
}

// GetRetryInterval returns the time between two attempts of RetryOnFailure.
func (i Install) GetRetryInterval() time.Duration {
	return duration(given(i.Strategy, InstallStrategy{}).RetryInterval, defaultRetryInterval)
}

// GetStrategy returns what follows when the upgrade fails; def is what the controller
// does unless told.
func (u Upgrade) GetStrategy(def StrategyName) StrategyName {
	return either(given(u.Strategy, UpgradeStrategy{}).Name, def)
}

// GetRetryInterval returns the time between two attempts of RetryOnFailure.
func (u Upgrade) GetRetryInterval() time.Duration {
	return duration(given(u.Strategy, UpgradeStrategy{}).RetryInterval, defaultRetryInterval)
}
