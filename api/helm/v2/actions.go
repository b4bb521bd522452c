package v2

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReleaseAction is something that Helm does to a release.
type ReleaseAction string

const (
	// ReleaseActionInstall installs the chart.
	ReleaseActionInstall ReleaseAction = "install"

	// ReleaseActionUpgrade upgrades the release.
	ReleaseActionUpgrade ReleaseAction = "upgrade"

	// ReleaseActionRollback goes back to an earlier release.
	ReleaseActionRollback ReleaseAction = "rollback"

	// ReleaseActionUninstall removes the release.
	ReleaseActionUninstall ReleaseAction = "uninstall"

	// ReleaseActionUninstallRemediation removes the release because it has failed.
	ReleaseActionUninstallRemediation ReleaseAction = "uninstall-remediation"
)

// Install says how a chart is installed.
type Install struct {
	// Timeout limits the install. Defaults to the timeout of the HelmRelease.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Strategy says what follows when the install fails.
	Strategy *InstallStrategy `json:"strategy,omitempty"`

	// Remediation says how often a failed install is repeated, after an uninstall. It
	// goes with the strategy "RemediateOnFailure".
	Remediation *InstallRemediation `json:"remediation,omitempty"`

	// DisableTakeOwnership refuses to install over objects that exist and are not of
	// this release. Defaults to false: they become a part of it.
	DisableTakeOwnership bool `json:"disableTakeOwnership,omitempty"`

	// DisableWait is done as soon as objects are applied, without waiting until they are
	// ready. Defaults to false.
	DisableWait bool `json:"disableWait,omitempty"`

	// DisableWaitForJobs waits for objects to become ready, but not for the end of Jobs.
	// Defaults to false.
	DisableWaitForJobs bool `json:"disableWaitForJobs,omitempty"`

	// DisableHooks runs no hooks. Defaults to false.
	DisableHooks bool `json:"disableHooks,omitempty"`

	// DisableOpenAPIValidation applies objects without a check against the schemas of
	// the cluster first. Defaults to false.
	DisableOpenAPIValidation bool `json:"disableOpenAPIValidation,omitempty"`

	// DisableSchemaValidation takes values without a check against the schema of the
	// chart. Defaults to false.
	DisableSchemaValidation bool `json:"disableSchemaValidation,omitempty"`

	// Replace takes the name of a release that was uninstalled and whose history was
	// kept. Defaults to false.
	Replace bool `json:"replace,omitempty"`

	// SkipCRDs is an older way to say crds: Skip. It is ignored when crds is set.
	SkipCRDs bool `json:"skipCRDs,omitempty"`

	// CRDs says what to do with custom resource definitions in the crds directory of the
	// chart: "Skip" nothing, "Create" those that do not exist, or "CreateReplace" to
	// bring the others up to date, too. None is ever deleted. Defaults to "Create".
	CRDs CRDsPolicy `json:"crds,omitempty"`

	// CreateNamespace creates the target namespace if it does not exist. It is not
	// deleted with the release. Defaults to false.
	CreateNamespace bool `json:"createNamespace,omitempty"`

	// ServerSideApply lets the API server merge objects, so that fields of others stay.
	// Set it to false to compare and patch as Helm 3 does. Defaults to true, unless the
	// controller was told to keep to the defaults of Helm 3.
	ServerSideApply *bool `json:"serverSideApply,omitempty"`
}

// Upgrade says how a release is upgraded.
type Upgrade struct {
	// Timeout limits the upgrade. Defaults to the timeout of the HelmRelease.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Strategy says what follows when the upgrade fails.
	Strategy *UpgradeStrategy `json:"strategy,omitempty"`

	// Remediation says how often a failed upgrade is repeated, and what comes before
	// that. It goes with the strategy "RemediateOnFailure".
	Remediation *UpgradeRemediation `json:"remediation,omitempty"`

	// DisableTakeOwnership refuses to upgrade when a new object exists already and is
	// not of this release. Defaults to false: it becomes a part of it.
	DisableTakeOwnership bool `json:"disableTakeOwnership,omitempty"`

	// DisableWait is done as soon as objects are applied, without waiting until they are
	// ready. Defaults to false.
	DisableWait bool `json:"disableWait,omitempty"`

	// DisableWaitForJobs waits for objects to become ready, but not for the end of Jobs.
	// Defaults to false.
	DisableWaitForJobs bool `json:"disableWaitForJobs,omitempty"`

	// DisableHooks runs no hooks. Defaults to false.
	DisableHooks bool `json:"disableHooks,omitempty"`

	// DisableOpenAPIValidation applies objects without a check against the schemas of
	// the cluster first. Defaults to false.
	DisableOpenAPIValidation bool `json:"disableOpenAPIValidation,omitempty"`

	// DisableSchemaValidation takes values without a check against the schema of the
	// chart. Defaults to false.
	DisableSchemaValidation bool `json:"disableSchemaValidation,omitempty"`

	// Force replaces objects instead of patching them. It has no effect with server-side
	// apply. Defaults to false.
	Force bool `json:"force,omitempty"`

	// PreserveValues merges the values over those of the last release, so that the
	// outcome depends on what was there before. Defaults to false.
	PreserveValues bool `json:"preserveValues,omitempty"`

	// CleanupOnFail deletes the objects that are new in the release when the upgrade
	// fails. Defaults to false.
	CleanupOnFail bool `json:"cleanupOnFail,omitempty"`

	// CRDs says what to do with custom resource definitions in the crds directory of the
	// chart: "Skip" nothing, "Create" those that do not exist, or "CreateReplace" to
	// bring the others up to date, too. None is ever deleted. Defaults to "Create".
	CRDs CRDsPolicy `json:"crds,omitempty"`

	// ServerSideApply is "enabled" to let the API server merge objects, so that fields
	// of others stay, "disabled" to compare and patch as Helm 3 does, or "auto" to go on
	// as the last release was made. Defaults to "auto".
	ServerSideApply ServerSideApplyMode `json:"serverSideApply,omitempty"`

	// ChartNameChangeStrategy says what follows when the chart has another name than
	// that of the release: "Reinstall" uninstalls the release and installs the chart,
	// "InPlaceUpdate" upgrades the release. Defaults to "Reinstall".
	ChartNameChangeStrategy ChartNameChangeStrategy `json:"chartNameChangeStrategy,omitempty"`
}

// Test says whether and how a release is tested.
type Test struct {
	// Enable runs the tests of the chart after each install and upgrade. Defaults to
	// false.
	Enable bool `json:"enable,omitempty"`

	// Timeout limits the tests. Defaults to the timeout of the HelmRelease.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// IgnoreFailures takes a release whose tests fail for good. Defaults to false.
	IgnoreFailures bool `json:"ignoreFailures,omitempty"`

	// Filters selects the tests to run. Defaults to all.
	Filters *[]Filter `json:"filters,omitempty"`
}

// Filter selects a test.
type Filter struct {
	// Name of the test.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Exclude runs all tests but this. Defaults to false.
	Exclude bool `json:"exclude,omitempty"`
}

// Rollback says how a release is rolled back.
type Rollback struct {
	// Timeout limits the rollback. Defaults to the timeout of the HelmRelease.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// DisableWait is done as soon as objects are applied, without waiting until they are
	// ready. Defaults to false.
	DisableWait bool `json:"disableWait,omitempty"`

	// DisableWaitForJobs waits for objects to become ready, but not for the end of Jobs.
	// Defaults to false.
	DisableWaitForJobs bool `json:"disableWaitForJobs,omitempty"`

	// DisableHooks runs no hooks. Defaults to false.
	DisableHooks bool `json:"disableHooks,omitempty"`

	// Recreate has no effect any more.
	Recreate bool `json:"recreate,omitempty"`

	// Force replaces objects instead of patching them. It has no effect with server-side
	// apply. Defaults to false.
	Force bool `json:"force,omitempty"`

	// CleanupOnFail deletes the objects that are new in the release when the rollback
	// fails. Defaults to false.
	CleanupOnFail bool `json:"cleanupOnFail,omitempty"`

	// ServerSideApply is "enabled" to let the API server merge objects, so that fields
	// of others stay, "disabled" to compare and patch as Helm 3 does, or "auto" to go on
	// as the last release was made. Defaults to "auto".
	ServerSideApply ServerSideApplyMode `json:"serverSideApply,omitempty"`
}

// Uninstall says how a release is uninstalled.
type Uninstall struct {
	// Timeout limits the uninstall. Defaults to the timeout of the HelmRelease.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// DisableHooks runs no hooks. Defaults to false.
	DisableHooks bool `json:"disableHooks,omitempty"`

	// KeepHistory keeps the Secrets of the release, marked as uninstalled. Defaults to
	// false.
	KeepHistory bool `json:"keepHistory,omitempty"`

	// DisableWait is done as soon as objects are deleted, without waiting until they are
	// gone. Defaults to false.
	DisableWait bool `json:"disableWait,omitempty"`

	// DeletionPropagation says what becomes of what objects own: "background" deletes it
	// after them, "foreground" before, and "orphan" leaves it. Defaults to "background".
	// +kubebuilder:validation:Enum=background;foreground;orphan
	// +kubebuilder:default=background
	DeletionPropagation *string `json:"deletionPropagation,omitempty"`
}

// CRDsPolicy says what to do with custom resource definitions of a chart.
//
// +kubebuilder:validation:Enum=Skip;Create;CreateReplace
type CRDsPolicy string

const (
	// Skip does nothing with definitions.
	Skip CRDsPolicy = "Skip"

	// Create creates definitions that do not exist.
	Create CRDsPolicy = "Create"

	// CreateReplace creates definitions and brings existing ones up to date.
	CreateReplace CRDsPolicy = "CreateReplace"
)

// ServerSideApplyMode says how objects are applied.
//
// +kubebuilder:validation:Enum=enabled;disabled;auto
type ServerSideApplyMode string

const (
	// ServerSideApplyEnabled lets the API server merge objects.
	ServerSideApplyEnabled ServerSideApplyMode = "enabled"

	// ServerSideApplyDisabled compares and patches as Helm 3 does.
	ServerSideApplyDisabled ServerSideApplyMode = "disabled"

	// ServerSideApplyAuto goes on as the last release was made.
	ServerSideApplyAuto ServerSideApplyMode = "auto"
)

// ChartNameChangeStrategy says what follows when the chart has another name.
//
// +kubebuilder:validation:Enum=InPlaceUpdate;Reinstall
type ChartNameChangeStrategy string

const (
	// ChartNameChangeInPlaceUpdate upgrades the release.
	ChartNameChangeInPlaceUpdate ChartNameChangeStrategy = "InPlaceUpdate"

	// ChartNameChangeReinstall uninstalls the release and installs the chart.
	ChartNameChangeReinstall ChartNameChangeStrategy = "Reinstall"
)

// GetTimeout returns what limits the install: timeout, that of the HelmRelease, unless
// the spec has another.
func (i Install) GetTimeout(timeout time.Duration) time.Duration {
	return duration(i.Timeout, timeout)
}

// GetCRDs returns what to do with custom resource definitions.
func (i Install) GetCRDs() CRDsPolicy {
	if i.CRDs == "" && i.SkipCRDs {
		return Skip
	}
	return either(i.CRDs, Create)
}

// GetServerSideApply reports whether the API server merges objects; def is what the
// controller does unless told.
func (i Install) GetServerSideApply(def bool) bool {
	return given(i.ServerSideApply, def)
}

// GetTimeout returns what limits the upgrade: timeout, that of the HelmRelease, unless
// the spec has another.
func (u Upgrade) GetTimeout(timeout time.Duration) time.Duration {
	return duration(u.Timeout, timeout)
}

// GetCRDs returns what to do with custom resource definitions.
func (u Upgrade) GetCRDs() CRDsPolicy {
	return either(u.CRDs, Create)
}

// GetServerSideApply returns how objects are applied.
func (u Upgrade) GetServerSideApply() ServerSideApplyMode {
	return either(u.ServerSideApply, ServerSideApplyAuto)
}

// GetChartNameChangeStrategy returns what follows when the chart has another name.
func (u Upgrade) GetChartNameChangeStrategy() ChartNameChangeStrategy {
	return either(u.ChartNameChangeStrategy, ChartNameChangeReinstall)
}

// GetTimeout returns what limits the tests: timeout, that of the HelmRelease, unless the
// spec has another.
func (t Test) GetTimeout(timeout time.Duration) time.Duration {
	return duration(t.Timeout, timeout)
}

// GetFilters returns what selects the tests to run. Without any, all are run.
func (t Test) GetFilters() []Filter {
	return given(t.Filters, nil)
}

// GetTimeout returns what limits the rollback: timeout, that of the HelmRelease, unless
// the spec has another.
func (r Rollback) GetTimeout(timeout time.Duration) time.Duration {
	return duration(r.Timeout, timeout)
}

// GetServerSideApply returns how objects are applied.
func (r Rollback) GetServerSideApply() ServerSideApplyMode {
	return either(r.ServerSideApply, ServerSideApplyAuto)
}

// GetTimeout returns what limits the uninstall: timeout, that of the HelmRelease, unless
// the spec has another.
func (u Uninstall) GetTimeout(timeout time.Duration) time.Duration {
	return duration(u.Timeout, timeout)
}

// GetDeletionPropagation returns what becomes of what objects own.
func (u Uninstall) GetDeletionPropagation() string {
	return either(given(u.DeletionPropagation, ""), "background")
}
