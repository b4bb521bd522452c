package v1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HelmChartKind is the kind of a HelmChart.
const HelmChartKind = "HelmChart"

// HelmChart publishes a packaged Helm chart: one of a HelmRepository, or one that is
// packaged from files of a GitRepository or a Bucket.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=hc,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Chart",type=string,JSONPath=`.spec.chart`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Source Kind",type=string,JSONPath=`.spec.sourceRef.kind`
// +kubebuilder:printcolumn:name="Source Name",type=string,JSONPath=`.spec.sourceRef.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type HelmChart struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which chart to publish, and how.
	Spec HelmChartSpec `json:"spec,omitzero"`

	// Status is what the controller last saw. A new object has observedGeneration -1
	// until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status HelmChartStatus `json:"status,omitzero"`
}

// HelmChartList is a list of HelmChart objects.
//
// +kubebuilder:object:root=true
type HelmChartList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmChart `json:"items"`
}

// HelmChartSpec says which chart to publish, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.verify) || self.sourceRef.kind == 'HelmRepository'",message="spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'"
type HelmChartSpec struct {
	// Chart is the name of the chart in a HelmRepository. In a GitRepository or a
	// Bucket it is the path of the directory, or of the package, of the chart,
	// relative to the root of the artifact.
	Chart string `json:"chart"`

	// Version is a version of the chart, or a range, such as ">=1.2.0 <2.0.0" or
	// "1.x", of which the highest is published. It goes with a HelmRepository only.
	// Defaults to "*", the highest of all.
	// +kubebuilder:default="*"
	Version string `json:"version,omitempty"`

	// SourceRef names the source of the chart.
	SourceRef LocalHelmChartSourceReference `json:"sourceRef"`

	// Interval is the time between two looks at the source, such as "5m" or "1h30m".
	// A new artifact of the source is looked at when it is published.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// ReconcileStrategy says when a chart in a GitRepository or a Bucket is packaged
	// anew: "ChartVersion" when the version in its Chart.yaml changes, "Revision"
	// when the revision of the source does, which then becomes a part of the version.
	// Defaults to "ChartVersion".
	// +kubebuilder:default=ChartVersion
	ReconcileStrategy ReconcileStrategy `json:"reconcileStrategy,omitempty"`

	// ValuesFiles lists files whose values are merged, later ones over earlier ones,
	// and packaged as the values.yaml of the chart. With a HelmRepository the paths
	// are relative to the root of the chart, else to the root of the artifact of the
	// source. When the list is empty, the chart keeps its values.yaml.
	ValuesFiles []string `json:"valuesFiles,omitempty"`

	// IgnoreMissingValuesFiles leaves out values files that do not exist, which
	// otherwise are an error. Defaults to false.
	IgnoreMissingValuesFiles bool `json:"ignoreMissingValuesFiles,omitempty"`

	// Suspend stops reconciliation. The artifact that is published stays available.
	// Defaults to false.
	Suspend bool `json:"suspend,omitempty"`

	// Verify asks for a signed chart. It takes effect with a HelmRepository of
	// the type "oci" only. A chart whose signature is not good is not published; the
	// one before it stays.
	Verify *HelmChartVerification `json:"verify,omitempty"`
}

// LocalHelmChartSourceReference names the source of a chart in the same namespace.
type LocalHelmChartSourceReference struct {
	// APIVersion of the source. It may be left out.
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the source: "HelmRepository", "GitRepository" or "Bucket".
	// +kubebuilder:validation:Enum=HelmRepository;GitRepository;Bucket
	Kind string `json:"kind"`

	// Name of the source.
	Name string `json:"name"`
}

// ReconcileStrategy says when a chart is packaged anew.
//
// +kubebuilder:validation:Enum=ChartVersion;Revision
type ReconcileStrategy string

const (
	// ReconcileStrategyChartVersion packages a chart when its version changes.
	ReconcileStrategyChartVersion ReconcileStrategy = "ChartVersion"

	// ReconcileStrategyRevision packages a chart when the revision of its source
	// changes.
	ReconcileStrategyRevision ReconcileStrategy = "Revision"
)

// HelmChartVerification asks for a signature and says whose.
type HelmChartVerification struct {
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
}

// HelmChartStatus is what the controller last saw.
type HelmChartStatus struct {
	// ObservedGeneration is the generation of the spec that was last carried out,
	// or given up. It is -1 on a new object, and does not move while runs fail.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ObservedSourceArtifactRevision is the revision of the source that the chart
	// was last looked for in.
	ObservedSourceArtifactRevision string `json:"observedSourceArtifactRevision,omitempty"`

	// ObservedChartName is the name of the published chart, as its Chart.yaml has it.
	ObservedChartName string `json:"observedChartName,omitempty"`

	// ObservedValuesFiles are the values files that were found and merged. The list
	// is kept only when missing ones are ignored.
	ObservedValuesFiles []string `json:"observedValuesFiles,omitempty"`

	// Conditions tell how the chart is doing. "Ready" sums up the others.
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// URL is where the latest chart can be downloaded, whatever its version.
	URL string `json:"url,omitempty"`

	// Artifact is the chart that is published: where to download it and its digest.
	// Its revision is the version of the chart. It stays while a newer chart cannot
	// be made.
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`
}

// GetConditions returns the conditions of the status.
func (c *HelmChart) GetConditions() []metav1.Condition {
	return c.Status.Conditions
}

// SetConditions replaces the conditions of the status.
func (c *HelmChart) SetConditions(conditions []metav1.Condition) {
	c.Status.Conditions = conditions
}

// GetObservedGeneration returns the generation that was carried out, or given up.
func (c *HelmChart) GetObservedGeneration() int64 {
	return c.Status.ObservedGeneration
}

// SetObservedGeneration records the generation that was carried out.
func (c *HelmChart) SetObservedGeneration(generation int64) {
	c.Status.ObservedGeneration = generation
}

// GetLastHandledReconcileAt returns the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (c *HelmChart) GetLastHandledReconcileAt() string {
	return c.Status.LastHandledReconcileAt
}

// SetLastHandledReconcileAt records the value of the annotation
// reconcile.fluxcd.io/requestedAt that was acted upon.
func (c *HelmChart) SetLastHandledReconcileAt(token string) {
	c.Status.LastHandledReconcileAt = token
}

// IsSuspended reports whether the user has stopped reconciliation.
func (c *HelmChart) IsSuspended() bool {
	return c.Spec.Suspend
}

// GetInterval returns the time between two runs that succeed.
func (c *HelmChart) GetInterval() time.Duration {
	return c.Spec.Interval.Duration
}

// GetArtifact returns what is published, or nil.
func (c *HelmChart) GetArtifact() *meta.Artifact {
	return c.Status.Artifact
}

// SetArtifact records what is published, or with nil that nothing is.
func (c *HelmChart) SetArtifact(artifact *meta.Artifact) {
	c.Status.Artifact = artifact
}
