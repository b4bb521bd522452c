package v1beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
)

// ImageUpdateAutomation writes the images that the ImagePolicies of its namespace have
// selected to the marked places in a Git repository, and pushes the commit.
//
// +kubebuilder:object:root=true
// +kubebuilder:deprecatedversion:warning="v1beta2 ImageUpdateAutomation is deprecated, upgrade to v1"
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=iua;imgupd;imgauto,categories={all,fluxcd,fluxcd-images}
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Last run",type=string,JSONPath=`.status.lastAutomationRunTime`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ImageUpdateAutomation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which repository to update, and how.
	Spec imagev1.ImageUpdateAutomationSpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status imagev1.ImageUpdateAutomationStatus `json:"status,omitzero"`
}

// ImageUpdateAutomationList is a list of ImageUpdateAutomation objects.
//
// +kubebuilder:object:root=true
type ImageUpdateAutomationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImageUpdateAutomation `json:"items"`
}
