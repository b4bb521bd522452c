package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KustomizationKind is the kind of a Kustomization.
const KustomizationKind = "Kustomization"

// minTimeout is the shortest timeout of a Kustomization, and how much earlier than
// the next run it ends by default.
const minTimeout = 30 * time.Second

// Kustomization applies what a source has under a path: it builds the objects with
// kustomize, applies them, removes those that have left the source, and waits until
// they are healthy.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ks,categories={all,fluxcd,fluxcd-appliers}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Kustomization struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what to apply, and how.
	Spec KustomizationSpec `json:"spec,omitzero"`

	// Status is what the controller last did and saw. A new object has
	// observedGeneration -1 until it was applied once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status KustomizationStatus `json:"status,omitzero"`
}

// KustomizationList is a list of Kustomization objects.
//
// +kubebuilder:object:root=true
type KustomizationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Kustomization `json:"items"`
}

// KustomizationSpec says what to apply, and how.
type KustomizationSpec struct {
	// SourceRef names the source of the files.
	SourceRef SourceReference `json:"sourceRef"`

	// Path to the directory to build, relative to the root of the source. If it has no
	// kustomization.yaml, one is made up of all manifests below it. Defaults to the
	// root.
	Path string `json:"path,omitempty"`

	// Interval is the time between two runs that succeed, such as "10m" or "1h30m".
	// A new revision of the source does not wait for it.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// RetryInterval is the time after which a run that failed is repeated. Defaults
	// to the interval.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`

	// Timeout limits how long to wait for objects to become healthy, and for their
	// end when the deletion policy asks for that. Less than 30s counts as 30s.
	// Defaults to the interval less 30s.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Prune deletes objects that were applied before and have left the source.
	Prune bool `json:"prune"`

	// DeletionPolicy says what becomes of the objects when the Kustomization is
	// deleted: "MirrorPrune" deletes them if prune is true, "Delete" always does,
	// "WaitForTermination" also waits until they are gone, and "Orphan" leaves them.
	// Objects of a suspended Kustomization are left. Defaults to "MirrorPrune".
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// Force deletes and recreates an object when a change to an immutable field is
	// refused. A single object can ask for that by the label or annotation
	// kustomize.toolkit.fluxcd.io/force: enabled. Defaults to false.
	// +kubebuilder:default=false
	Force bool `json:"force,omitempty"`

	// Ignore names fields that are not corrected when they differ from the source, for
	// instance because an autoscaler sets them.
	Ignore []IgnoreRule `json:"ignore,omitempty"`

	// DependsOn names Kustomizations that must be ready first. One that has the same
	// source must have applied the revision that is to be applied here.
	DependsOn []meta.DependencyReference `json:"dependsOn,omitempty"`

	// Wait checks the health of all objects that were applied. healthChecks are then
	// ignored. Defaults to false.
	Wait bool `json:"wait,omitempty"`

	// HealthChecks names objects whose health is checked after the apply. They need
	// not be in the source. Without an apiVersion, apps/v1 is meant.
	HealthChecks []meta.NamespacedObjectKindReference `json:"healthChecks,omitempty"`

	// HealthCheckExprs says by CEL expressions when objects of a kind are healthy.
	// Each kind may be named once. The fields of the object, such as status, are the
	// variables.
	HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs,omitempty"`

	// TargetNamespace puts all objects into this namespace, whatever the source says.
	// Objects of kind Namespace in the source are renamed to it, too.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	TargetNamespace string `json:"targetNamespace,omitempty"`

	// NamePrefix is put before the names of all objects.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	NamePrefix string `json:"namePrefix,omitempty"`

	// NameSuffix is put after the names of all objects.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	NameSuffix string `json:"nameSuffix,omitempty"`

	// CommonMetadata is set on all objects.
	CommonMetadata *CommonMetadata `json:"commonMetadata,omitempty"`

	// Patches are applied after those of the source. Each is a strategic merge patch
	// or a list of JSON 6902 operations; the name and namespace of its target are
	// regular expressions for the whole value.
	Patches []kustomize.Patch `json:"patches,omitempty"`

	// Images sets the name, tag or digest of images. An entry changes only what it
	// has of the entry of the same name in the source.
	Images []kustomize.Image `json:"images,omitempty"`

	// Components adds kustomize components: paths in the source, relative to path.
	// Remote ones are refused.
	Components []string `json:"components,omitempty"`

	// IgnoreMissingComponents goes on without components whose path does not exist.
	// Defaults to false.
	IgnoreMissingComponents bool `json:"ignoreMissingComponents,omitempty"`

	// BuildMetadata says what kustomize notes on the objects: where they come from
	// (originAnnotations) and what has changed them (transformerAnnotations). It
	// replaces the list in the source.
	BuildMetadata []BuildMetadata `json:"buildMetadata,omitempty"`

	// PostBuild replaces variables in the objects that were built.
	PostBuild *PostBuild `json:"postBuild,omitempty"`

	// Decryption says how encrypted files are read. Without it, an encrypted Secret
	// is an error.
	Decryption *DecryptionSpec `json:"decryption,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace. What it may not
	// do in the cluster of the objects, the Kustomization may not either. Defaults to
	// what the controller was told.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// KubeConfig says how to reach another cluster for the objects to be in. Sources,
	// dependencies and variables are always those of this one.
	KubeConfig *meta.KubeConfigReference `json:"kubeConfig,omitempty"`

	// Suspend stops reconciliation. What was applied stays as it is. Defaults to
	// false.
	Suspend bool `json:"suspend,omitempty"`
}

// DeletionPolicy says what becomes of the objects of a Kustomization that is deleted.
//
// +kubebuilder:validation:Enum=MirrorPrune;Delete;WaitForTermination;Orphan
type DeletionPolicy string

const (
	// DeletionPolicyMirrorPrune deletes the objects if the Kustomization prunes.
	DeletionPolicyMirrorPrune DeletionPolicy = "MirrorPrune"

	// DeletionPolicyDelete deletes the objects.
	DeletionPolicyDelete DeletionPolicy = "Delete"

	// DeletionPolicyWaitForTermination deletes the objects and waits until they are
	// gone, within the timeout of the Kustomization.
	DeletionPolicyWaitForTermination DeletionPolicy = "WaitForTermination"

	// DeletionPolicyOrphan leaves the objects as they are.
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// KustomizationStatus is what the controller last did and saw.
type KustomizationStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out, or
	// given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions tell how the Kustomization is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// LastAppliedRevision is the revision of the source that was last applied in full
	// and found healthy.
	LastAppliedRevision string `json:"lastAppliedRevision,omitempty"`

	// LastAppliedOriginRevision is the revision that the source was made of, if it
	// tells one: for instance the Git commit of an OCI artifact.
	LastAppliedOriginRevision string `json:"lastAppliedOriginRevision,omitempty"`

	// LastAttemptedRevision is the revision of the source that was last taken up,
	// whatever came of it.
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`

	// Inventory lists the objects that were applied.
	Inventory *ResourceInventory `json:"inventory,omitempty"`

	// History has the last runs by what they applied, and with what result: at most
	// 5, the latest first.
	History meta.History `json:"history,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (k *Kustomization) GetConditions() []metav1.Condition {
	return k.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (k *Kustomization) SetConditions(conditions []metav1.Condition) {
	k.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (k *Kustomization) GetObservedGeneration() int64 {
	return k.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (k *Kustomization) SetObservedGeneration(generation int64) {
	k.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (k *Kustomization) GetLastHandledReconcileAt() string {
	return k.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (k *Kustomization) SetLastHandledReconcileAt(token string) {
	k.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (k *Kustomization) IsSuspended() bool {
	return k.Spec.Suspend
}

// GetInterval returns the time between two runs that succeed.
func (k *Kustomization) GetInterval() time.Duration {
	return k.Spec.Interval.Duration
}

// GetRetryInterval returns the time after which a run that failed is repeated: the
// interval unless the spec has another.
func (k *Kustomization) GetRetryInterval() time.Duration {
	if k.Spec.RetryInterval == nil {
		return k.Spec.Interval.Duration
	}
	return k.Spec.RetryInterval.Duration
}

// GetTimeout returns how long to wait for health or for deletion. It ends 30 seconds
// before the next run unless the spec has another, and is never less than 30 seconds.
func (k *Kustomization) GetTimeout() time.Duration {
	timeout := k.Spec.Interval.Duration - minTimeout
	if k.Spec.Timeout != nil {
		timeout = k.Spec.Timeout.Duration
	}
	return max(timeout, minTimeout)
}

// GetDeletionPolicy returns what becomes of the objects when the Kustomization is
// deleted: MirrorPrune unless the spec has another.
func (k *Kustomization) GetDeletionPolicy() DeletionPolicy {
	if k.Spec.DeletionPolicy == "" {
		return DeletionPolicyMirrorPrune
	}
	return k.Spec.DeletionPolicy
}
