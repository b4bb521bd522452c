package v2

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SnapshotAPIVersion is that of snapshots whose digest can be verified.
const SnapshotAPIVersion = "v2"

// Snapshots are releases, the latest first.
type Snapshots []*Snapshot

// Snapshot is what a release in Helm's storage was when the controller last saw to it.
type Snapshot struct {
	// APIVersion says how the digest was made. That of a snapshot with another than "v2"
	// is not verified.
	APIVersion string `json:"apiVersion,omitempty"`

	// Digest of the stored release, by which it is noticed when another has changed it.
	Digest string `json:"digest"`

	// Name of the release.
	Name string `json:"name"`

	// Namespace of the release.
	Namespace string `json:"namespace"`

	// Version is the number of the release: the first is 1.
	Version int `json:"version"`

	// Status of the release, as Helm names it: "deployed", "superseded", "failed",
	// "uninstalled" and others.
	Status string `json:"status"`

	// Action is what made the release.
	Action ReleaseAction `json:"action,omitempty"`

	// ChartName is the name of the chart.
	ChartName string `json:"chartName"`

	// ChartVersion is the version of the chart.
	ChartVersion string `json:"chartVersion"`

	// AppVersion is the version of what the chart installs, as the chart has it.
	AppVersion string `json:"appVersion,omitempty"`

	// ConfigDigest is the digest of the values.
	ConfigDigest string `json:"configDigest"`

	// FirstDeployed is when the chart was installed.
	FirstDeployed metav1.Time `json:"firstDeployed"`

	// LastDeployed is when the release was made.
	LastDeployed metav1.Time `json:"lastDeployed"`

	// Deleted is when the release was uninstalled.
	Deleted metav1.Time `json:"deleted,omitzero"`

	// TestHooks has the tests that were run by their names. It is absent before the
	// release was tested, and empty when it has no tests.
	TestHooks *map[string]*TestHookStatus `json:"testHooks,omitempty"`

	// OCIDigest is the digest of the OCI artifact that the chart comes from.
	OCIDigest string `json:"ociDigest,omitempty"`
}

// TestHookStatus tells how a test went.
type TestHookStatus struct {
	// LastStarted is when the test was started.
	LastStarted metav1.Time `json:"lastStarted,omitzero"`

	// LastCompleted is when the test ended.
	LastCompleted metav1.Time `json:"lastCompleted,omitzero"`

	// Phase the test is in, as Helm names it: "Succeeded", "Failed" and others.
	Phase string `json:"phase,omitempty"`
}

// Latest returns the latest release, or nil.
func (s Snapshots) Latest() *Snapshot {
	if len(s) == 0 {
		return nil
	}
	return s[0]
}

// FullReleaseName returns what messages call the release: "namespace/name.v1".
func (s *Snapshot) FullReleaseName() string {
	return fmt.Sprintf("%s/%s.v%d", s.Namespace, s.Name, s.Version)
}

// VersionedChartName returns what messages call the chart: "name@1.2.3".
func (s *Snapshot) VersionedChartName() string {
	return s.ChartName + "@" + s.ChartVersion
}

// HasBeenTested reports whether the tests of the release, if it has any, were run.
func (s *Snapshot) HasBeenTested() bool {
	return s.TestHooks != nil
}

// HasTestInPhase reports whether a test of the release is in a phase.
func (s *Snapshot) HasTestInPhase(phase string) bool {
	for _, hook := range given(s.TestHooks, nil) {
		if hook != nil && hook.Phase == phase {
			return true
		}
	}
	return false
}
