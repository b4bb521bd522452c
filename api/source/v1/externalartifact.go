package v1

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExternalArtifactKind is the kind of an ExternalArtifact.
const ExternalArtifactKind = "ExternalArtifact"

// ExternalArtifact publishes an artifact that another controller made. This group has
// no controller for it: whoever produces the artifact writes the status.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ea,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.sourceRef.name`
type ExternalArtifact struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what the artifact comes from.
	Spec ExternalArtifactSpec `json:"spec,omitzero"`

	// Status is what the producer published.
	Status ExternalArtifactStatus `json:"status,omitzero"`
}

// ExternalArtifactList is a list of ExternalArtifact objects.
//
// +kubebuilder:object:root=true
type ExternalArtifactList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExternalArtifact `json:"items"`
}

// ExternalArtifactSpec says what an artifact comes from.
type ExternalArtifactSpec struct {
	// SourceRef names the object that the producer made the artifact for. It is for
	// the reader; nothing is done with it.
	SourceRef *meta.NamespacedObjectKindReference `json:"sourceRef,omitempty"`
}

// ExternalArtifactStatus is what the producer published.
type ExternalArtifactStatus struct {
	// Artifact is what is published: where to download it, its digest and the
	// revision it was made of.
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	// Conditions tell how the artifact is doing. It is used once "Ready" is True.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// GetConditions returns the conditions of the status.
func (a *ExternalArtifact) GetConditions() []metav1.Condition {
	return a.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (a *ExternalArtifact) SetConditions(conditions []metav1.Condition) {
	a.Status.Conditions = conditions
}

// GetArtifact returns what is published, or nil.
func (a *ExternalArtifact) GetArtifact() *meta.Artifact {
	return a.Status.Artifact
}

// SetArtifact records what is published, or with nil that nothing is.
func (a *ExternalArtifact) SetArtifact(artifact *meta.Artifact) {
	a.Status.Artifact = artifact
}
