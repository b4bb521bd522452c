package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageUpdateAutomationKind is the kind of an ImageUpdateAutomation.
const ImageUpdateAutomationKind = "ImageUpdateAutomation"

// ImageUpdateAutomation writes the images that the ImagePolicies of its namespace have
// selected to the marked places in a Git repository, and pushes the commit.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=iua;imgupd;imgauto,categories={all,fluxcd,fluxcd-images}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Last run",type=string,JSONPath=`.status.lastAutomationRunTime`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ImageUpdateAutomation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which repository to update, and how.
	Spec ImageUpdateAutomationSpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status ImageUpdateAutomationStatus `json:"status,omitzero"`
}

// ImageUpdateAutomationList is a list of ImageUpdateAutomation objects.
//
// +kubebuilder:object:root=true
type ImageUpdateAutomationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImageUpdateAutomation `json:"items"`
}

// ImageUpdateAutomationSpec says which repository to update, and how.
type ImageUpdateAutomationSpec struct {
	// SourceRef names the GitRepository that says where the repository is and how to
	// log in to it.
	SourceRef CrossNamespaceSourceReference `json:"sourceRef"`

	// GitSpec says what to start from, how to commit and where to push. It must be
	// set.
	GitSpec *GitSpec `json:"git,omitempty"`

	// Interval is the longest time between two looks at the repository, such as "30m".
	// A policy that selects another image is acted upon at once.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// PolicySelector selects the ImagePolicies of the namespace by their labels. When
	// it is absent, all are written.
	PolicySelector *metav1.LabelSelector `json:"policySelector,omitempty"`

	// Update says which files are updated. Defaults to all that have markers.
	// +kubebuilder:default={"strategy":"Setters"}
	Update *UpdateStrategy `json:"update,omitempty"`

	// Suspend stops reconciliation. Defaults to false.
	Suspend bool `json:"suspend,omitempty"`
}

// CrossNamespaceSourceReference names a source that may be in another namespace.
type CrossNamespaceSourceReference struct {
	// APIVersion of the source.
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the source. Defaults to "GitRepository", the only one there is.
	// +kubebuilder:validation:Enum=GitRepository
	// +kubebuilder:default=GitRepository
	Kind string `json:"kind"`

	// Name of the source.
	Name string `json:"name"`

	// Namespace of the source. Defaults to that of the automation.
	Namespace string `json:"namespace,omitempty"`
}

// UpdateStrategyName says how files are updated.
//
// +kubebuilder:validation:Enum=Setters
type UpdateStrategyName string

// UpdateStrategySetters replaces the values that are marked by a comment, such as
// {"$imagepolicy": "namespace:name"}.
const UpdateStrategySetters UpdateStrategyName = "Setters"

// UpdateStrategy says which files are updated, and how.
type UpdateStrategy struct {
	// Strategy by which files are updated. Defaults to "Setters", the only one there
	// is.
	// +kubebuilder:default=Setters
	Strategy UpdateStrategyName `json:"strategy,omitempty"`

	// Path of the folder with the files to update. Empty means all of the repository.
	Path string `json:"path,omitempty"`
}

// ImageUpdateAutomationStatus is what the controller last saw.
type ImageUpdateAutomationStatus struct {
	// LastAutomationRunTime is when a run last found something to do, and did it.
	LastAutomationRunTime *metav1.Time `json:"lastAutomationRunTime,omitempty"`

	// LastPushCommit is the hash of the commit that was last pushed.
	LastPushCommit string `json:"lastPushCommit,omitempty"`

	// LastPushTime is when a commit was last pushed.
	LastPushTime *metav1.Time `json:"lastPushTime,omitempty"`

	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the automation is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedPolicies has the image of each policy that was last written, by the name
	// of the policy.
	ObservedPolicies ObservedPolicies `json:"observedPolicies,omitempty"`

	// ObservedSourceRevision is the revision of the repository that was last looked
	// at or pushed, such as "main@sha1:" and the hash of the commit.
	ObservedSourceRevision string `json:"observedSourceRevision,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// ObservedPolicies has images by the name of their policy.
type ObservedPolicies map[string]ImageRef

// GetConditions returns the conditions of the status.
func (a *ImageUpdateAutomation) GetConditions() []metav1.Condition {
	return a.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (a *ImageUpdateAutomation) SetConditions(conditions []metav1.Condition) {
	a.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (a *ImageUpdateAutomation) GetObservedGeneration() int64 {
	return a.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (a *ImageUpdateAutomation) SetObservedGeneration(generation int64) {
	a.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (a *ImageUpdateAutomation) GetLastHandledReconcileAt() string {
	return a.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (a *ImageUpdateAutomation) SetLastHandledReconcileAt(token string) {
	a.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (a *ImageUpdateAutomation) IsSuspended() bool {
	return a.Spec.Suspend
}

// GetInterval returns the longest time between two looks at the repository.
func (a *ImageUpdateAutomation) GetInterval() time.Duration {
	return a.Spec.Interval.Duration
}
