package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageRepositoryKind is the kind of an ImageRepository.
const ImageRepositoryKind = "ImageRepository"

// minScanTimeout is the least time that a scan gets when the spec does not say. Lists of
// some registries have many pages, however short the interval is.
const minScanTimeout = 30 * time.Second

// ImageRepository asks a registry for the tags of an image, and keeps the list for the
// ImagePolicies that refer to it.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=imgrepo;imagerepo,categories={all,fluxcd,fluxcd-images}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Tags",type=string,JSONPath=`.status.lastScanResult.tagCount`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Last scan",type=string,JSONPath=`.status.lastScanResult.scanTime`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ImageRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which image to ask for, and how.
	Spec ImageRepositorySpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status ImageRepositoryStatus `json:"status,omitzero"`
}

// ImageRepositoryList is a list of ImageRepository objects.
//
// +kubebuilder:object:root=true
type ImageRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImageRepository `json:"items"`
}

// ImageRepositorySpec says which image to ask for, and how.
type ImageRepositorySpec struct {
	// Image is the name of the image, such as "registry.example.com/org/app". It has
	// no scheme, no tag and no digest.
	Image string `json:"image"`

	// Interval is the time between two scans, such as "5m" or "1h30m".
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// Timeout limits a scan, from the login to the last page of the list. It cannot be
	// given in hours. Defaults to the interval, or 30s if that is longer.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// SecretRef names a Secret in the same namespace, of the type
	// kubernetes.io/dockerconfigjson, with the credentials for the registry. It is
	// not read with a provider other than "generic".
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// ProxySecretRef names a Secret in the same namespace with the "address" of an
	// http, https or socks5 proxy, and optionally "username" and "password".
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace. The Secrets
	// in its imagePullSecrets are used to log in. With a provider other than
	// "generic", its cloud identity is used instead of the controller's, which must
	// be enabled in the controller by the feature gate ObjectLevelWorkloadIdentity.
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// CertSecretRef names a Secret in the same namespace for TLS: an authority to
	// trust besides those of the system as "ca.crt", and a client certificate as
	// "tls.crt" with "tls.key". Either may be left out.
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`

	// Suspend stops scans. The tags that are known stay available. Defaults to false.
	Suspend bool `json:"suspend,omitempty"`

	// AccessFrom lets ImagePolicies of other namespaces refer to this object. When it
	// is absent, those of the same namespace may.
	AccessFrom *AccessFrom `json:"accessFrom,omitempty"`

	// ExclusionList has regular expressions, in the syntax of Go. Tags that match one
	// of them are left out. Defaults to those of signatures, "^.*\.sig$".
	// +kubebuilder:default={"^.*\\.sig$"}
	// +kubebuilder:validation:MaxItems:=25
	ExclusionList []string `json:"exclusionList,omitempty"`

	// Provider says how to log in. "generic" takes the credentials of the Secrets, if
	// any; "aws" (ECR), "azure" (ACR) and "gcp" (Artifact Registry) get short-lived
	// ones for the identity of the controller or of serviceAccountName. Defaults to
	// "generic".
	// +kubebuilder:default=generic
	Provider ImageProvider `json:"provider,omitempty"`

	// Insecure talks plain HTTP to the registry. Defaults to false.
	Insecure bool `json:"insecure,omitempty"`
}

// ImageProvider says how to log in to a registry.
//
// +kubebuilder:validation:Enum=generic;aws;azure;gcp
type ImageProvider string

const (
	// ImageProviderGeneric logs in with what the Secrets give, or not at all.
	ImageProviderGeneric ImageProvider = "generic"

	// ImageProviderAWS gets credentials of the Elastic Container Registry for a
	// workload identity.
	ImageProviderAWS ImageProvider = "aws"

	// ImageProviderAzure gets credentials of the Azure Container Registry for a
	// workload identity.
	ImageProviderAzure ImageProvider = "azure"

	// ImageProviderGCP gets credentials of the Google Artifact Registry for a workload
	// identity.
	ImageProviderGCP ImageProvider = "gcp"
)

// AccessFrom says from which namespaces an object may be referred to.
type AccessFrom struct {
	// NamespaceSelectors lists labels of namespaces. One element must match.
	NamespaceSelectors []NamespaceSelector `json:"namespaceSelectors"`
}

// NamespaceSelector selects namespaces.
type NamespaceSelector struct {
	// MatchLabels are labels that the namespace must have, all of them. An empty map
	// selects every namespace.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// ImageRepositoryStatus is what the controller last saw.
type ImageRepositoryStatus struct {
	// Conditions tell how the repository is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// CanonicalImageName is the image with everything that its name implies, such as
	// "index.docker.io/library/alpine" for "alpine".
	CanonicalImageName string `json:"canonicalImageName,omitempty"`

	// LastScanResult is what the last scan found that found something new.
	LastScanResult *ScanResult `json:"lastScanResult,omitempty"`

	// ObservedExclusionList is the exclusion list that the tags were found with.
	ObservedExclusionList []string `json:"observedExclusionList,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// ScanResult is what a scan found.
type ScanResult struct {
	// Revision is a digest of the list of tags. Lists that are equal have the same.
	Revision string `json:"revision,omitempty"`

	// TagCount is the number of tags, without those that are left out.
	TagCount int `json:"tagCount"`

	// ScanTime is when the registry was asked.
	ScanTime metav1.Time `json:"scanTime,omitzero"`

	// LatestTags are the last tags in the order of the alphabet, ten at most, the
	// last one first.
	LatestTags []string `json:"latestTags,omitempty"`
}

// GetConditions returns the conditions of the status.
func (r *ImageRepository) GetConditions() []metav1.Condition {
	return r.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (r *ImageRepository) SetConditions(conditions []metav1.Condition) {
	r.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (r *ImageRepository) GetObservedGeneration() int64 {
	return r.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (r *ImageRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *ImageRepository) GetLastHandledReconcileAt() string {
	return r.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *ImageRepository) SetLastHandledReconcileAt(token string) {
	r.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (r *ImageRepository) IsSuspended() bool {
	return r.Spec.Suspend
}

// GetInterval returns the time between two scans.
func (r *ImageRepository) GetInterval() time.Duration {
	return r.Spec.Interval.Duration
}

// GetTimeout returns the limit of one scan: the interval, or 30 seconds if that is longer,
// unless the spec has another.
func (r *ImageRepository) GetTimeout() time.Duration {
	if r.Spec.Timeout == nil {
		return max(r.Spec.Interval.Duration, minScanTimeout)
	}
	return r.Spec.Timeout.Duration
}

// GetProvider returns how to log in: as the provider "generic" unless the spec has
// another.
func (r *ImageRepository) GetProvider() ImageProvider {
	if r.Spec.Provider == "" {
		return ImageProviderGeneric
	}
	return r.Spec.Provider
}
