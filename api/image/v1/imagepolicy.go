package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImagePolicyKind is the kind of an ImagePolicy.
const ImagePolicyKind = "ImagePolicy"

// ImagePolicy selects the latest of the tags of an ImageRepository.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=imgpol;imagepol,categories={all,fluxcd,fluxcd-images}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.status.latestRef.name`
// +kubebuilder:printcolumn:name="Tag",type=string,JSONPath=`.status.latestRef.tag`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ImagePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which tag is the latest.
	Spec ImagePolicySpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status ImagePolicyStatus `json:"status,omitzero"`
}

// ImagePolicyList is a list of ImagePolicy objects.
//
// +kubebuilder:object:root=true
type ImagePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImagePolicy `json:"items"`
}

// ImagePolicySpec says which tag is the latest.
//
// +kubebuilder:validation:XValidation:rule="!has(self.interval) || (has(self.digestReflectionPolicy) && self.digestReflectionPolicy == 'Always')",message="spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'"
// +kubebuilder:validation:XValidation:rule="has(self.interval) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Always'",message="spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"
type ImagePolicySpec struct {
	// ImageRepositoryRef names the ImageRepository whose tags are selected from. One
	// in another namespace must allow it.
	ImageRepositoryRef meta.NamespacedObjectReference `json:"imageRepositoryRef"`

	// Policy says in which order the tags are. When several fields are set, the first
	// of semver, alphabetical and numerical counts.
	Policy ImagePolicyChoice `json:"policy"`

	// FilterTags leaves out the tags that do not match. When it is absent, all are
	// looked at.
	FilterTags *TagFilter `json:"filterTags,omitempty"`

	// DigestReflectionPolicy says when the digest of the selected tag is asked for:
	// "Never", "IfNotPresent" (once for each tag that is selected) or "Always" (at
	// each interval, so that a tag that is moved is noticed). Defaults to "Never".
	// +kubebuilder:default=Never
	DigestReflectionPolicy ReflectionPolicy `json:"digestReflectionPolicy,omitempty"`

	// Interval is the time between two questions for the digest. It must be set when
	// digestReflectionPolicy is "Always", and only then.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval *metav1.Duration `json:"interval,omitempty"`

	// Suspend stops reconciliation. What is selected stays in the status. Defaults to
	// false.
	Suspend bool `json:"suspend,omitempty"`
}

// ImagePolicyChoice is an order of tags.
type ImagePolicyChoice struct {
	// SemVer takes tags for semantic versions, and the highest in a range.
	SemVer *SemVerPolicy `json:"semver,omitempty"`

	// Alphabetical orders tags as words.
	Alphabetical *AlphabeticalPolicy `json:"alphabetical,omitempty"`

	// Numerical orders tags as numbers.
	Numerical *NumericalPolicy `json:"numerical,omitempty"`
}

// SemVerPolicy selects the highest version in a range.
type SemVerPolicy struct {
	// Range of versions, such as ">=1.2.0 <2.0.0" or "1.x". Versions before a release
	// are in it if it names one, such as ">=1.0.0-0". Tags may start with a "v".
	Range string `json:"range"`
}

// PolicyOrder is a direction.
//
// +kubebuilder:validation:Enum=asc;desc
type PolicyOrder string

const (
	// PolicyOrderAscending selects the last tag of the ascending order.
	PolicyOrderAscending PolicyOrder = "asc"

	// PolicyOrderDescending selects the last tag of the descending order.
	PolicyOrderDescending PolicyOrder = "desc"
)

// AlphabeticalPolicy orders tags as words.
type AlphabeticalPolicy struct {
	// Order of the tags, of which the last is selected: "asc" selects Z of the
	// letters from A to Z, "desc" selects A. Defaults to "asc".
	// +kubebuilder:default=asc
	Order PolicyOrder `json:"order,omitempty"`
}

// NumericalPolicy orders tags as numbers, which all of them must be.
type NumericalPolicy struct {
	// Order of the tags, of which the last is selected: "asc" selects 9 of the
	// numbers from 0 to 9, "desc" selects 0. Defaults to "asc".
	// +kubebuilder:default=asc
	Order PolicyOrder `json:"order,omitempty"`
}

// TagFilter leaves out tags, and says which part of the others is compared.
type TagFilter struct {
	// Pattern is a regular expression, in the syntax of Go. Tags that it does not
	// match are left out.
	Pattern string `json:"pattern,omitempty"`

	// Extract is what is compared instead of the tag, such as "$ts" for a group of
	// the pattern that is named "ts". Empty means the whole tag.
	Extract string `json:"extract,omitempty"`
}

// ReflectionPolicy says when a digest is asked for.
//
// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
type ReflectionPolicy string

const (
	// ReflectAlways asks for the digest at each interval.
	ReflectAlways ReflectionPolicy = "Always"

	// ReflectIfNotPresent asks for the digest once for each tag that is selected.
	ReflectIfNotPresent ReflectionPolicy = "IfNotPresent"

	// ReflectNever leaves the digest empty.
	ReflectNever ReflectionPolicy = "Never"
)

// ImageRef is an image with a tag.
type ImageRef struct {
	// Name of the image, as the ImageRepository has it.
	Name string `json:"name"`

	// Tag of the image.
	Tag string `json:"tag"`

	// Digest of what has the tag, such as "sha256:" and 64 hexadecimal digits. It is
	// empty when it was not asked for.
	Digest string `json:"digest,omitempty"`
}

// String returns the image as it is written in a manifest: the name, the tag and, if it is
// known, the digest.
func (r *ImageRef) String() string {
	s := r.Name + ":" + r.Tag
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// ImagePolicyStatus is what the controller last saw.
type ImagePolicyStatus struct {
	// LatestRef is the image with the tag that was selected. It stays while none can
	// be selected.
	LatestRef *ImageRef `json:"latestRef,omitempty"`

	// ObservedPreviousRef is what latestRef was before it last changed.
	ObservedPreviousRef *ImageRef `json:"observedPreviousRef,omitempty"`

	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the policy is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (p *ImagePolicy) GetConditions() []metav1.Condition {
	return p.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (p *ImagePolicy) SetConditions(conditions []metav1.Condition) {
	p.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (p *ImagePolicy) GetObservedGeneration() int64 {
	return p.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (p *ImagePolicy) SetObservedGeneration(generation int64) {
	p.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (p *ImagePolicy) GetLastHandledReconcileAt() string {
	return p.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (p *ImagePolicy) SetLastHandledReconcileAt(token string) {
	p.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (p *ImagePolicy) IsSuspended() bool {
	return p.Spec.Suspend
}

// GetInterval returns the time between two questions for the digest, or 0 if the spec
// has none.
func (p *ImagePolicy) GetInterval() time.Duration {
	if p.Spec.Interval == nil {
		return 0
	}
	return p.Spec.Interval.Duration
}

// GetDigestReflectionPolicy returns when the digest is asked for: never unless the spec
// says otherwise.
func (p *ImagePolicy) GetDigestReflectionPolicy() ReflectionPolicy {
	if p.Spec.DigestReflectionPolicy == "" {
		return ReflectNever
	}
	return p.Spec.DigestReflectionPolicy
}
