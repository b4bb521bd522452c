package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OCIRepositoryKind is the kind of an OCIRepository.
const OCIRepositoryKind = "OCIRepository"

// OCIRepositoryPrefix is what the URL of an OCIRepository, and that of a
// HelmRepository of type "oci", starts with.
const OCIRepositoryPrefix = "oci://"

// OCIRepository publishes a layer of an artifact in a container registry, and follows
// the tag or version range that the spec names.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ocirepo,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type OCIRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which artifact to follow, and how.
	Spec OCIRepositorySpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status OCIRepositoryStatus `json:"status,omitzero"`
}

// OCIRepositoryList is a list of OCIRepository objects.
//
// +kubebuilder:object:root=true
type OCIRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OCIRepository `json:"items"`
}

// OCIRepositorySpec says which artifact to follow, and how.
type OCIRepositorySpec struct {
	// URL of the repository in the registry, such as
	// oci://registry.example.com/org/app. It has no tag and no digest; those are for
	// ref.
	// +kubebuilder:validation:Pattern=`^oci://.*$`
	URL string `json:"url"`

	// Ref selects the artifact to publish. When it is absent or empty, that is the
	// one with the tag "latest".
	Reference *OCIRepositoryRef `json:"ref,omitempty"`

	// LayerSelector says which layer of the artifact to publish, and in which form.
	// When it is absent, the files in the first layer are published.
	LayerSelector *OCILayerSelector `json:"layerSelector,omitempty"`

	// Provider says how to log in when the Secrets give no credentials for the
	// registry. "generic" does not; "aws" (ECR), "azure" (ACR) and "gcp" (Artifact
	// Registry) get short-lived credentials for the identity of the controller or of
	// serviceAccountName. Defaults to "generic".
	// +kubebuilder:default=generic
	Provider OCIProvider `json:"provider,omitempty"`

	// SecretRef names a Secret in the same namespace, of the type
	// kubernetes.io/dockerconfigjson, with the credentials for the registry. They
	// are preferred to those that the provider gives.
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// Verify asks for a signed artifact. One whose signature is not good is
	// not published; the one before it stays.
	Verify *OCIRepositoryVerification `json:"verify,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace. The Secrets
	// in its imagePullSecrets are used to log in. With a provider other than
	// "generic", its cloud identity is used instead of the controller's, which must
	// be enabled in the controller by the feature gate ObjectLevelWorkloadIdentity.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// CertSecretRef names a Secret in the same namespace for TLS: the authority to
	// trust as "ca.crt", and a client certificate as "tls.crt" with "tls.key".
	// Either may be left out.
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`

	// ProxySecretRef names a Secret in the same namespace with the "address" of an
	// http, https or socks5 proxy, and optionally "username" and "password".
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`

	// Interval is the time between two looks at the registry, such as "5m" or
	// "1h30m".
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// Timeout limits each operation on the registry, such as the download of a layer
	// or the check of a signature. It cannot be given in hours. Defaults to 60s.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Ignore lists files to leave out, in the format of .gitignore. It is read after
	// the .sourceignore files of the artifact and so overrides them. When neither
	// has a pattern, pictures, archives and the files of CI systems are left out. A
	// layer that is copied is not changed.
	Ignore *string `json:"ignore,omitempty"`

	// Insecure allows plain HTTP, and TLS with a certificate that nobody vouches for
	// unless certSecretRef says whom to trust. Defaults to false.
	Insecure bool `json:"insecure,omitempty"`

	// Suspend stops reconciliation. The artifact that is published stays available.
	// Defaults to false.
	Suspend bool `json:"suspend,omitempty"`
}

// OCIRepositoryRef selects an artifact. When several fields are set, the first of
// digest, semver and tag counts.
type OCIRepositoryRef struct {
	// Digest of the artifact to publish, such as "sha256:" and 64 hexadecimal
	// digits. It is never followed further.
	Digest string `json:"digest,omitempty"`

	// SemVer is a range of versions, such as ">=1.2.0 <2.0.0" or "1.x". The artifact
	// with the highest tag in it is published. Tags may start with a "v".
	SemVer string `json:"semver,omitempty"`

	// SemverFilter is a regular expression, in the syntax of Go, that a tag must
	// match before it is looked for in the range of semver.
	SemverFilter string `json:"semverFilter,omitempty"`

	// Tag of the artifact to publish. A tag that is moved is followed.
	Tag string `json:"tag,omitempty"`
}

// OCILayerSelector says which layer of an artifact to publish, and in which form.
type OCILayerSelector struct {
	// MediaType of the layer to publish; the first that has it is taken. When it is
	// empty, that is the first layer.
	MediaType string `json:"mediaType,omitempty"`

	// Operation says what to do with the layer: "extract" unpacks it, a compressed
	// archive, and publishes the files; "copy" publishes its bytes as they are.
	// Empty means "extract".
	Operation OCILayerOperation `json:"operation,omitempty"`
}

// OCILayerOperation says what to do with a layer.
//
// +kubebuilder:validation:Enum=extract;copy
type OCILayerOperation string

const (
	// OCILayerExtract unpacks the layer and publishes its files.
	OCILayerExtract OCILayerOperation = "extract"

	// OCILayerCopy publishes the bytes of the layer.
	OCILayerCopy OCILayerOperation = "copy"
)

// OCIProvider says how to log in to a registry.
//
// +kubebuilder:validation:Enum=generic;aws;azure;gcp
type OCIProvider string

const (
	// OCIProviderGeneric logs in with what the Secrets give, or not at all.
	OCIProviderGeneric OCIProvider = "generic"

	// OCIProviderAWS gets credentials of the Elastic Container Registry for a
	// workload identity.
	OCIProviderAWS OCIProvider = "aws"

	// OCIProviderAzure gets credentials of the Azure Container Registry for a
	// workload identity.
	OCIProviderAzure OCIProvider = "azure"

	// OCIProviderGCP gets credentials of the Google Artifact Registry for a workload
	// identity.
	OCIProviderGCP OCIProvider = "gcp"
)

// OCIRepositoryVerification asks for a signature and says whose.
type OCIRepositoryVerification struct {
	// Provider is the technology of the signature: "cosign" or "notation". Defaults
	// to "cosign".
	// +kubebuilder:default=cosign
	Provider OCIVerificationProvider `json:"provider,omitempty"`

	// SecretRef names a Secret in the same namespace with what to trust. For
	// "cosign": public keys under names that end in ".pub"; one of them must have
	// signed. When it is absent, signatures must come with a short-lived certificate
	// for an identity. For "notation", which needs it: "trustpolicy.json", and
	// certificates of authorities under names that end in ".crt" or ".pem".
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// MatchOIDCIdentity lists who may have signed, for "cosign" without secretRef.
	// One element must match. When the list is empty, anybody may have.
	MatchOIDCIdentity []OIDCIdentityMatch `json:"matchOIDCIdentity,omitempty"`

	// TrustedRootSecretRef names a Secret in the same namespace with
	// "trusted_root.json": the authorities and logs of a Sigstore instance that
	// "cosign" without secretRef trusts instead of the public one.
	TrustedRootSecretRef *meta.LocalObjectReference `json:"trustedRootSecretRef,omitempty"`
}

// OCIVerificationProvider is the technology of a signature.
//
// +kubebuilder:validation:Enum=cosign;notation
type OCIVerificationProvider string

const (
	// OCIVerificationCosign is for signatures by cosign, of the Sigstore project.
	OCIVerificationCosign OCIVerificationProvider = "cosign"

	// OCIVerificationNotation is for signatures by notation, of the Notary project.
	OCIVerificationNotation OCIVerificationProvider = "notation"
)

// OIDCIdentityMatch matches the identity in the certificate of a signature. Both
// fields must match.
type OIDCIdentityMatch struct {
	// Issuer is a regular expression, in the syntax of Go, for the URL of the
	// service that vouches for the identity. It matches anywhere in the URL unless
	// anchored by ^ and $.
	Issuer string `json:"issuer"`

	// Subject is a regular expression, in the syntax of Go, for the name of the
	// identity, such as a mail address or the URL of a workflow. It matches anywhere
	// in the name unless anchored by ^ and $.
	Subject string `json:"subject"`
}

// OCIRepositoryStatus is what the controller last saw.
type OCIRepositoryStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the repository is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// URL is where the latest artifact can be downloaded, whatever its revision.
	URL string `json:"url,omitempty"`

	// Artifact is what is published: where to download it, its digest and the
	// revision it was made of. Its metadata are the annotations of the artifact in
	// the registry. It stays while newer revisions cannot be fetched.
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	// ObservedIgnore is the ignore list that the artifact was made with.
	ObservedIgnore *string `json:"observedIgnore,omitempty"`

	// ObservedLayerSelector is the layer selector that the artifact was made with.
	ObservedLayerSelector *OCILayerSelector `json:"observedLayerSelector,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (r *OCIRepository) GetConditions() []metav1.Condition {
	return r.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (r *OCIRepository) SetConditions(conditions []metav1.Condition) {
	r.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (r *OCIRepository) GetObservedGeneration() int64 {
	return r.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (r *OCIRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *OCIRepository) GetLastHandledReconcileAt() string {
	return r.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *OCIRepository) SetLastHandledReconcileAt(token string) {
	r.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (r *OCIRepository) IsSuspended() bool {
	return r.Spec.Suspend
}

// GetInterval returns the time between two runs that succeed.
func (r *OCIRepository) GetInterval() time.Duration {
	return r.Spec.Interval.Duration
}

// GetTimeout returns the limit of one operation on the registry: 60 seconds unless the spec
// has another.
func (r *OCIRepository) GetTimeout() time.Duration {
	return timeout(r.Spec.Timeout)
}

// GetArtifact returns what is published, or nil.
func (r *OCIRepository) GetArtifact() *meta.Artifact {
	return r.Status.Artifact
}

// SetArtifact records what is published, or with nil that nothing is.
func (r *OCIRepository) SetArtifact(artifact *meta.Artifact) {
	r.Status.Artifact = artifact
}
