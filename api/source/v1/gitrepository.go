package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GitRepositoryKind is the kind of a GitRepository.
const GitRepositoryKind = "GitRepository"

// GitRepository publishes the tree of a commit in a Git repository as an artifact,
// and follows the branch, tag or version range that the spec names.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gitrepo,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type GitRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which repository to follow, and how.
	Spec GitRepositorySpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status GitRepositoryStatus `json:"status,omitzero"`
}

// GitRepositoryList is a list of GitRepository objects.
//
// +kubebuilder:object:root=true
type GitRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitRepository `json:"items"`
}

// GitRepositorySpec says which repository to follow, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceAccountName) || (has(self.provider) && self.provider in ['aws', 'azure'])",message="serviceAccountName can only be set when provider is 'azure' or 'aws'"
type GitRepositorySpec struct {
	// URL of the repository: http://, https:// or ssh://. The short form
	// git@host:path is not accepted; write ssh://git@host/path. A user name and a
	// password in the URL are used only when secretRef gives none; the user of SSH
	// is "git" when the URL names none.
	// +kubebuilder:validation:Pattern=`^(http|https|ssh)://.*$`
	URL string `json:"url"`

	// Ref selects the commit to publish. When it is absent or empty, that is the tip
	// of the branch "master".
	Reference *GitRepositoryRef `json:"ref,omitempty"`

	// Interval is the time between two looks at the remote, such as "5m" or "1h30m".
	// Included repositories are looked at as often.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// Timeout limits each Git operation, such as the fetch of a commit with its
	// submodules. It cannot be given in hours. Defaults to 60s.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// SecretRef names a Secret in the same namespace with the credentials. For
	// HTTP: "username" and "password", or "bearerToken"; optionally "ca.crt", and
	// "tls.crt" with "tls.key". For SSH: "identity" (the private key) and
	// "known_hosts", and "password" if the key is encrypted. For the provider
	// "github": the keys of a GitHub App.
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// Provider says how to log in. "generic" takes the credentials from secretRef;
	// "aws" (CodeCommit) and "azure" (DevOps) get short-lived ones for the identity
	// of the controller or of serviceAccountName; "github" makes tokens of the
	// GitHub App in secretRef. Empty means "generic".
	Provider GitProvider `json:"provider,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace whose cloud
	// identity is used instead of the controller's. It goes with the providers
	// "aws" and "azure" only, and must be enabled in the controller by the feature
	// gate ObjectLevelWorkloadIdentity.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// ProxySecretRef names a Secret in the same namespace with the "address" of an
	// http, https or socks5 proxy, and optionally "username" and "password".
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`

	// Verification asks for signed commits or tags. A revision whose signature
	// is not good is not published; the one before it stays.
	Verification *GitRepositoryVerification `json:"verify,omitempty"`

	// Ignore lists files to leave out, in the format of .gitignore. It is read after
	// the .sourceignore files of the repository and so overrides them. When neither
	// has a pattern, pictures, archives and the files of CI systems are left out;
	// files of Git itself always are.
	Ignore *string `json:"ignore,omitempty"`

	// Include copies the artifacts of other GitRepository objects into this one. A
	// new artifact of theirs makes a new artifact here, of the same revision.
	Include []GitRepositoryInclude `json:"include,omitempty"`

	// SparseCheckout lists the directories to publish, relative to the root of the
	// repository. Each must exist. When the list is empty, the whole tree is
	// published.
	SparseCheckout []string `json:"sparseCheckout,omitempty"`

	// RecurseSubmodules adds the content of submodules, which are fetched with the
	// same credentials as the repository. Defaults to false.
	RecurseSubmodules bool `json:"recurseSubmodules,omitempty"`

	// Suspend stops reconciliation. The artifact that is published stays available.
	// Defaults to false.
	Suspend bool `json:"suspend,omitempty"`
}

// GitRepositoryRef selects a commit. When several fields are set, the first of
// commit, name, tag, semver and branch counts; only commit and branch go together.
type GitRepositoryRef struct {
	// Branch to publish the tip of. Defaults to "master" when no other field is set.
	// Beside commit, it is the branch that has the commit, so that others need not
	// be fetched.
	Branch string `json:"branch,omitempty"`

	// Tag to publish the commit of. A tag that is moved is followed.
	Tag string `json:"tag,omitempty"`

	// SemVer is a range of versions, such as ">=1.2.0 <2.0.0" or "1.x". The highest
	// tag in it is published. Tags may start with a "v".
	SemVer string `json:"semver,omitempty"`

	// Name is the full name of a reference, such as "refs/heads/main",
	// "refs/tags/v1.0.0", "refs/pull/42/head" or "refs/merge-requests/1/head".
	Name string `json:"name,omitempty"`

	// Commit is the full hash of the commit to publish. It is never followed
	// further.
	Commit string `json:"commit,omitempty"`
}

// GitProvider says how to log in to a Git server.
//
// +kubebuilder:validation:Enum=generic;aws;azure;github
type GitProvider string

const (
	// GitProviderGeneric takes the credentials as they are in the Secret.
	GitProviderGeneric GitProvider = "generic"

	// GitProviderAWS gets credentials of AWS CodeCommit for a workload identity.
	GitProviderAWS GitProvider = "aws"

	// GitProviderAzure gets a token of Azure DevOps for a workload identity.
	GitProviderAzure GitProvider = "azure"

	// GitProviderGitHub gets a token for the GitHub App in the Secret.
	GitProviderGitHub GitProvider = "github"
)

// GitRepositoryVerification asks for a signature and says whose.
type GitRepositoryVerification struct {
	// Mode says what must be signed: "HEAD" is the commit, "Tag" the annotated tag
	// that ref selects, "TagAndHEAD" both. "head" is an older spelling of "HEAD".
	// Defaults to "HEAD".
	// +kubebuilder:default=HEAD
	// +kubebuilder:validation:Enum=head;HEAD;Tag;TagAndHEAD
	Mode GitVerificationMode `json:"mode,omitempty"`

	// SecretRef names a Secret in the same namespace with the trusted public keys:
	// OpenPGP key rings, or lists of SSH keys under names that end in ".sshpub".
	SecretRef meta.LocalObjectReference `json:"secretRef"`
}

// GitVerificationMode says which objects of a Git repository must be signed.
type GitVerificationMode string

const (
	// GitVerificationHEAD asks for a signed commit.
	GitVerificationHEAD GitVerificationMode = "HEAD"

	// GitVerificationLegacyHEAD is an older spelling of GitVerificationHEAD. It is
	// accepted in a spec and never written to a status.
	GitVerificationLegacyHEAD GitVerificationMode = "head"

	// GitVerificationTag asks for a signed tag.
	GitVerificationTag GitVerificationMode = "Tag"

	// GitVerificationTagAndHEAD asks for a signed tag of a signed commit.
	GitVerificationTagAndHEAD GitVerificationMode = "TagAndHEAD"
)

// GitRepositoryInclude copies files from the artifact of another GitRepository.
type GitRepositoryInclude struct {
	// Repository names a GitRepository in the same namespace.
	Repository meta.LocalObjectReference `json:"repository"`

	// FromPath is the directory to copy, relative to the root of the included
	// artifact. Defaults to the root.
	FromPath string `json:"fromPath,omitempty"`

	// ToPath is the directory to copy to, relative to the root of this artifact.
	// Defaults to the name of the included GitRepository.
	ToPath string `json:"toPath,omitempty"`
}

// GitRepositoryStatus is what the controller last saw.
type GitRepositoryStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the repository is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Artifact is what is published: where to download it, its digest and the
	// revision it was made of. It stays while newer revisions cannot be fetched.
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	// IncludedArtifacts are the artifacts that were copied into this one, in the
	// order of the spec.
	IncludedArtifacts []meta.Artifact `json:"includedArtifacts,omitempty"`

	// ObservedIgnore is the ignore list that the artifact was made with.
	ObservedIgnore *string `json:"observedIgnore,omitempty"`

	// ObservedRecurseSubmodules tells whether the artifact was made with submodules.
	ObservedRecurseSubmodules bool `json:"observedRecurseSubmodules,omitempty"`

	// ObservedInclude is the include list that the artifact was made with.
	ObservedInclude []GitRepositoryInclude `json:"observedInclude,omitempty"`

	// ObservedSparseCheckout is the list of directories that the artifact was made
	// with.
	ObservedSparseCheckout []string `json:"observedSparseCheckout,omitempty"`

	// SourceVerificationMode tells what was found signed: HEAD, Tag or TagAndHEAD.
	// It is absent when no signature was asked for.
	SourceVerificationMode *GitVerificationMode `json:"sourceVerificationMode,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (r *GitRepository) GetConditions() []metav1.Condition {
	return r.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (r *GitRepository) SetConditions(conditions []metav1.Condition) {
	r.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (r *GitRepository) GetObservedGeneration() int64 {
	return r.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (r *GitRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *GitRepository) GetLastHandledReconcileAt() string {
	return r.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (r *GitRepository) SetLastHandledReconcileAt(token string) {
	r.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (r *GitRepository) IsSuspended() bool {
	return r.Spec.Suspend
}

// GetInterval returns the time between two runs that succeed.
func (r *GitRepository) GetInterval() time.Duration {
	return r.Spec.Interval.Duration
}

// GetTimeout returns the limit of one Git operation: 60 seconds unless the spec
// has another.
func (r *GitRepository) GetTimeout() time.Duration {
	return timeout(r.Spec.Timeout)
}

// GetArtifact returns what is published, or nil.
func (r *GitRepository) GetArtifact() *meta.Artifact {
	return r.Status.Artifact
}

// SetArtifact records what is published, or with nil that nothing is.
func (r *GitRepository) SetArtifact(artifact *meta.Artifact) {
	r.Status.Artifact = artifact
}
