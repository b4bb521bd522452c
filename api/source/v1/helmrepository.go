package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HelmRepositoryKind is the kind of a HelmRepository.
const HelmRepositoryKind = "HelmRepository"

// HelmRepository publishes the index of a Helm chart repository. With the type "oci" it
// publishes nothing and is not reconciled: it only holds the address and the
// credentials that HelmChart objects use.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=helmrepo,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type HelmRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which chart repository to follow, and how.
	Spec HelmRepositorySpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once. With the type "oci" it is empty.
	// +kubebuilder:default={"observedGeneration":-1}
	Status HelmRepositoryStatus `json:"status,omitempty"` // An empty one is sent too: {} stays, nothing is defaulted.
}

// HelmRepositoryList is a list of HelmRepository objects.
//
// +kubebuilder:object:root=true
type HelmRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmRepository `json:"items"`
}

// HelmRepositorySpec says which chart repository to follow, and how.
type HelmRepositorySpec struct {
	// URL of the chart repository: http:// or https:// of the directory with
	// index.yaml, or, with the type "oci", oci:// of the registry and the path that
	// its charts have in common.
	// +kubebuilder:validation:Pattern=`^(http|https|oci)://.*$`
	URL string `json:"url"`

	// Type is "default" for a repository with an index, or "oci" for charts in a
	// container registry. Empty means "default".
	Type HelmRepositoryType `json:"type,omitempty"`

	// Interval is the time between two looks at the index, such as "5m" or "1h30m".
	// When it is absent, that is one minute.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval,omitzero"`

	// Timeout limits the download of the index and each operation on a registry. It
	// cannot be given in hours. When it is absent, that is 60s.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// SecretRef names a Secret in the same namespace with the credentials: "username"
	// and "password". With the type "oci" the Secret may be of the type
	// kubernetes.io/dockerconfigjson instead. The keys of certSecretRef are accepted
	// too, which is deprecated.
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// CertSecretRef names a Secret in the same namespace for TLS: the authority to
	// trust as "ca.crt", and a client certificate as "tls.crt" with "tls.key".
	// Either may be left out. It replaces what secretRef has of these.
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`

	// PassCredentials sends the credentials also to the other hosts from which the
	// index says charts are to be downloaded. With it, whoever writes the index can
	// learn the credentials. It goes with the type "default" only. Defaults to false.
	PassCredentials bool `json:"passCredentials,omitempty"`

	// Insecure allows plain HTTP to a registry. It goes with the type "oci" only.
	// Defaults to false.
	Insecure bool `json:"insecure,omitempty"`

	// Provider says how to log in to a registry. "generic" takes the credentials
	// from secretRef; "aws" (ECR), "azure" (ACR) and "gcp" (Artifact Registry) get
	// short-lived ones for the identity of the controller. It goes with the type
	// "oci" only. Defaults to "generic".
	// +kubebuilder:default=generic
	Provider OCIProvider `json:"provider,omitempty"`

	// Suspend stops reconciliation. The artifact that is published stays available.
	// Defaults to false.
	Suspend bool `json:"suspend,omitempty"`

	// AccessFrom lists the namespaces that may refer to this object. It is accepted
	// so that existing objects stay valid, and has no effect: only objects of the
	// same namespace can refer to a HelmRepository.
	AccessFrom *AccessFrom `json:"accessFrom,omitempty"`
}

// HelmRepositoryType is the protocol of a chart repository.
//
// +kubebuilder:validation:Enum=default;oci
type HelmRepositoryType string

const (
	// HelmRepositoryTypeDefault is a web server with an index. It is also meant by
	// an empty type.
	HelmRepositoryTypeDefault HelmRepositoryType = "default"

	// HelmRepositoryTypeOCI is a container registry.
	HelmRepositoryTypeOCI HelmRepositoryType = "oci"
)

// AccessFrom is an access control list of namespaces.
type AccessFrom struct {
	// NamespaceSelectors select the namespaces that have access. One must match.
	NamespaceSelectors []NamespaceSelector `json:"namespaceSelectors"`
}

// NamespaceSelector selects namespaces by their labels.
type NamespaceSelector struct {
	// MatchLabels are labels that a namespace must have, all of them. When there are
	// none, every namespace matches.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// HelmRepositoryStatus is what the controller last saw. It stays empty when the type is
// "oci".
type HelmRepositoryStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the repository is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// URL is where the latest index can be downloaded, whatever its revision.
	URL string `json:"url,omitempty"`

	// Artifact is the index that is published, as JSON: where to download it and its
	// digest. Its revision is the digest of the index as the repository has it. It
	// stays while a newer index cannot be fetched.
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (r *HelmRepository) GetConditions() []metav1.Condition {
	return r.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (r *HelmRepository) SetConditions(conditions []metav1.Condition) {
	r.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (r *HelmRepository) GetObservedGeneration() int64 {
	return r.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (r *HelmRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *HelmRepository) GetLastHandledReconcileAt() string {
	return r.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *HelmRepository) SetLastHandledReconcileAt(token string) {
	r.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (r *HelmRepository) IsSuspended() bool {
	return r.Spec.Suspend
}

// GetInterval returns the time between two runs that succeed: one minute unless the
// spec has another.
func (r *HelmRepository) GetInterval() time.Duration {
	if r.Spec.Interval.Duration == 0 {
		return defaultInterval
	}
	return r.Spec.Interval.Duration
}

// GetTimeout returns the limit of the download of the index: 60 seconds unless the spec
// has another.
func (r *HelmRepository) GetTimeout() time.Duration {
	return timeout(r.Spec.Timeout)
}

// GetArtifact returns what is published, or nil.
func (r *HelmRepository) GetArtifact() *meta.Artifact {
	return r.Status.Artifact
}

// SetArtifact records what is published, or with nil that nothing is.
func (r *HelmRepository) SetArtifact(artifact *meta.Artifact) {
	r.Status.Artifact = artifact
}

// IsOCI reports whether the charts are in a container registry, so that there is
// nothing to reconcile.
func (r *HelmRepository) IsOCI() bool {
	return r.Spec.Type == HelmRepositoryTypeOCI
}
