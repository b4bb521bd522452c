package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BucketKind is the kind of a Bucket.
const BucketKind = "Bucket"

// Bucket publishes the objects of a bucket in an object storage as an artifact.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.spec.endpoint`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Bucket struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which bucket to follow, and how.
	Spec BucketSpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status BucketStatus `json:"status,omitzero"`
}

// BucketList is a list of Bucket objects.
//
// +kubebuilder:object:root=true
type BucketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bucket `json:"items"`
}

// BucketSpec says which bucket to follow, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.provider in ['aws', 'generic']",message="STS configuration is only supported for the 'aws' and 'generic' Bucket providers"
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.provider != 'aws' || self.sts.provider == 'aws'",message="'aws' is the only supported STS provider for the 'aws' Bucket provider"
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.provider != 'generic' || self.sts.provider == 'ldap'",message="'ldap' is the only supported STS provider for the 'generic' Bucket provider"
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.secretRef)",message="spec.sts.secretRef is not required for the 'aws' STS provider"
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.certSecretRef)",message="spec.sts.certSecretRef is not required for the 'aws' STS provider"
// +kubebuilder:validation:XValidation:rule="!has(self.serviceAccountName) || self.provider != 'generic'",message="ServiceAccountName is not supported for the 'generic' Bucket provider"
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.serviceAccountName)",message="cannot set both .spec.secretRef and .spec.serviceAccountName"
type BucketSpec struct {
	// Provider is the kind of object storage: "generic" is any with the protocol of
	// S3, "aws" is S3 itself, "gcp" is Google Cloud Storage and "azure" is Azure
	// Blob Storage. All but "generic" can log in with a workload identity. Defaults
	// to "generic".
	// +kubebuilder:default=generic
	Provider BucketProvider `json:"provider,omitempty"`

	// BucketName is the name of the bucket; for "azure", that of the container.
	BucketName string `json:"bucketName"`

	// Endpoint is the address of the storage, a host and perhaps a port, such as
	// "storage.example.com:9000". For "azure" it is the URL of the account.
	Endpoint string `json:"endpoint"`

	// STS says where short-lived credentials come from, instead of from secretRef.
	// It goes with the providers "aws" and "generic" only.
	STS *BucketSTSSpec `json:"sts,omitempty"`

	// Insecure allows plain HTTP to the endpoint. Defaults to false.
	Insecure bool `json:"insecure,omitempty"`

	// Region of the bucket.
	Region string `json:"region,omitempty"`

	// Prefix limits the artifact to the objects whose key starts with it. Their
	// paths in the artifact are the whole keys.
	Prefix string `json:"prefix,omitempty"`

	// SecretRef names a Secret in the same namespace with the credentials. For
	// "generic" and "aws": "accesskey" and "secretkey". For "gcp": "serviceaccount",
	// the JSON file of a service account. For "azure": "accountKey", "sasKey",
	// or "clientId" with "tenantId" and "clientSecret" or "clientCertificate", or
	// "clientId" alone.
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace whose cloud
	// identity is used instead of the controller's. It goes with all providers but
	// "generic", not beside secretRef, and must be enabled in the controller by the
	// feature gate ObjectLevelWorkloadIdentity.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// CertSecretRef names a Secret in the same namespace for TLS: the authority to
	// trust as "ca.crt", and a client certificate as "tls.crt" with "tls.key".
	// Either may be left out. It goes with the providers "generic" and "aws" only.
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`

	// ProxySecretRef names a Secret in the same namespace with the "address" of an
	// http, https or socks5 proxy, and optionally "username" and "password".
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`

	// Interval is the time between two looks at the bucket, such as "5m" or "1h30m".
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// Timeout limits the listing of the bucket together with the downloads that
	// follow it. It cannot be given in hours. Defaults to 60s.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Ignore lists objects to leave out, in the format of .gitignore. It is read
	// after the .sourceignore at the root of the bucket and so overrides it. When
	// neither has a pattern, pictures, archives and the files of CI systems are left
	// out.
	Ignore *string `json:"ignore,omitempty"`

	// Suspend stops reconciliation. The artifact that is published stays available.
	// Defaults to false.
	Suspend bool `json:"suspend,omitempty"`
}

// BucketSTSSpec says where short-lived credentials for a bucket come from.
type BucketSTSSpec struct {
	// Provider is the kind of security token service: "aws" trades the identity of
	// the controller, and goes with the provider "aws" of the bucket; "ldap" trades
	// a user name and a password, and goes with "generic".
	Provider STSProvider `json:"provider"`

	// Endpoint is the URL of the service.
	// +kubebuilder:validation:Pattern=`^(http|https)://.*$`
	Endpoint string `json:"endpoint"`

	// SecretRef names a Secret in the same namespace with "username" and "password".
	// It goes with "ldap" only.
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// CertSecretRef names a Secret in the same namespace for TLS with the service:
	// the authority to trust as "ca.crt", and a client certificate as "tls.crt" with
	// "tls.key". Either may be left out. It goes with "ldap" only.
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`
}

// BucketProvider is a kind of object storage.
//
// +kubebuilder:validation:Enum=generic;aws;gcp;azure
type BucketProvider string

const (
	// BucketProviderGeneric is any storage with the protocol of S3.
	BucketProviderGeneric BucketProvider = "generic"

	// BucketProviderAWS is Amazon S3.
	BucketProviderAWS BucketProvider = "aws"

	// BucketProviderGCP is Google Cloud Storage.
	BucketProviderGCP BucketProvider = "gcp"

	// BucketProviderAzure is Azure Blob Storage.
	BucketProviderAzure BucketProvider = "azure"
)

// STSProvider is a kind of security token service.
//
// +kubebuilder:validation:Enum=aws;ldap
type STSProvider string

const (
	// STSProviderAWS is the service of AWS.
	STSProviderAWS STSProvider = "aws"

	// STSProviderLDAP is a service with the protocol of AWS that asks an LDAP
	// directory.
	STSProviderLDAP STSProvider = "ldap"
)

// BucketStatus is what the controller last saw.
type BucketStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the bucket is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// URL is where the latest artifact can be downloaded, whatever its revision.
	URL string `json:"url,omitempty"`

	// Artifact is what is published: where to download it, its digest and the
	// revision it was made of. It stays while newer revisions cannot be fetched.
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	// ObservedIgnore is the ignore list that the artifact was made with.
	ObservedIgnore *string `json:"observedIgnore,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (b *Bucket) GetConditions() []metav1.Condition {
	return b.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (b *Bucket) SetConditions(conditions []metav1.Condition) {
	b.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (b *Bucket) GetObservedGeneration() int64 {
	return b.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (b *Bucket) SetObservedGeneration(generation int64) {
	b.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (b *Bucket) GetLastHandledReconcileAt() string {
	return b.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (b *Bucket) SetLastHandledReconcileAt(token string) {
	b.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (b *Bucket) IsSuspended() bool {
	return b.Spec.Suspend
}

// GetInterval returns the time between two runs that succeed.
func (b *Bucket) GetInterval() time.Duration {
	return b.Spec.Interval.Duration
}

// GetTimeout returns the limit of one listing with its downloads: 60 seconds unless the spec
// has another.
func (b *Bucket) GetTimeout() time.Duration {
	return timeout(b.Spec.Timeout)
}

// GetArtifact returns what is published, or nil.
func (b *Bucket) GetArtifact() *meta.Artifact {
	return b.Status.Artifact
}

// SetArtifact records what is published, or with nil that nothing is.
func (b *Bucket) SetArtifact(artifact *meta.Artifact) {
	b.Status.Artifact = artifact
}
