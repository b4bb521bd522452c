package v2

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HelmChartTemplate is what the HelmChart of a HelmRelease is made of. It is created in
// the namespace of its source.
type HelmChartTemplate struct {
	// ObjectMeta has labels and annotations for the HelmChart.
	ObjectMeta *HelmChartTemplateObjectMeta `json:"metadata,omitempty"`

	// Spec says which chart to release.
	Spec HelmChartTemplateSpec `json:"spec"`
}

// HelmChartTemplateObjectMeta is metadata for a HelmChart.
type HelmChartTemplateObjectMeta struct {
	// Labels to set.
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations to set.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// HelmChartTemplateSpec says which chart to release.
type HelmChartTemplateSpec struct {
	// Chart is the name of the chart in a HelmRepository. In a GitRepository or a
	// Bucket it is the path of the directory, or of the package, of the chart, relative
	// to the root of the artifact.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Chart string `json:"chart"`

	// Version is a version of the chart, or a range, such as ">=1.2.0 <2.0.0" or "1.x",
	// of which the highest is released. It goes with a HelmRepository only. Defaults to
	// "*", the highest of all.
	// +kubebuilder:default="*"
	Version string `json:"version,omitempty"`

	// SourceRef names the source of the chart.
	SourceRef CrossNamespaceObjectReference `json:"sourceRef"`

	// Interval is the time between two looks at the source. Defaults to the interval of
	// the HelmRelease.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval *metav1.Duration `json:"interval,omitempty"`

	// ReconcileStrategy says when a chart in a GitRepository or a Bucket is packaged
	// anew: "ChartVersion" when the version in its Chart.yaml changes, "Revision" when
	// the revision of the source does, which then becomes a part of the version.
	// Defaults to "ChartVersion".
	// +kubebuilder:validation:Enum=ChartVersion;Revision
	// +kubebuilder:default=ChartVersion
	ReconcileStrategy string `json:"reconcileStrategy,omitempty"`

	// ValuesFiles lists files whose values are merged, later ones over earlier ones,
	// and take the place of the values.yaml of the chart. With a HelmRepository the
	// paths are relative to the root of the chart, else to the root of the artifact of
	// the source. When the list is empty, the chart keeps its values.yaml.
	ValuesFiles []string `json:"valuesFiles,omitempty"`

	// IgnoreMissingValuesFiles leaves out values files that do not exist, which
	// otherwise are an error. Defaults to false.
	IgnoreMissingValuesFiles bool `json:"ignoreMissingValuesFiles,omitempty"`

	// Verify asks for a signed chart. It goes with a HelmRepository of the type "oci"
	// only.
	Verify *HelmChartTemplateVerification `json:"verify,omitempty"`
}

// HelmChartTemplateVerification asks for a signature of a chart.
type HelmChartTemplateVerification struct {
	// Provider is the technology of the signature: "cosign" or "notation". Defaults to
	// "cosign".
	// +kubebuilder:validation:Enum=cosign;notation
	// +kubebuilder:default=cosign
	Provider string `json:"provider"`

	// SecretRef names a Secret, in the namespace of the source, with what to trust, as
	// the HelmChart takes it.
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
}

// CrossNamespaceObjectReference names the source of a chart.
type CrossNamespaceObjectReference struct {
	// APIVersion of the source. It need not be set: the kind says enough.
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the source: "HelmRepository", "GitRepository" or "Bucket".
	// +kubebuilder:validation:Enum=HelmRepository;GitRepository;Bucket
	Kind string `json:"kind"`

	// Name of the source.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the source. Defaults to the namespace of the HelmRelease; the
	// controller may have been told to refuse any other.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// CrossNamespaceSourceReference names an object whose artifact is a chart.
type CrossNamespaceSourceReference struct {
	// APIVersion of the object. It need not be set: the kind says enough.
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the object: "OCIRepository", "HelmChart" or "ExternalArtifact". The last
	// must be enabled in the controller by the feature gate ExternalArtifact.
	// +kubebuilder:validation:Enum=OCIRepository;HelmChart;ExternalArtifact
	Kind string `json:"kind"`

	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the object. Defaults to the namespace of the HelmRelease; the
	// controller may have been told to refuse any other.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// GetNamespace returns the namespace of the source, which is also that of the HelmChart:
// own, that of the HelmRelease, unless the template has another.
func (t *HelmChartTemplate) GetNamespace(own string) string {
	return either(t.Spec.SourceRef.Namespace, own)
}

// GetInterval returns the time between two looks at the source: interval, that of the
// HelmRelease, unless the template has another.
func (t *HelmChartTemplate) GetInterval(interval time.Duration) time.Duration {
	return duration(t.Spec.Interval, interval)
}

// GetNamespace returns the namespace of the object: own, that of the HelmRelease, unless
// the reference has another.
func (r *CrossNamespaceSourceReference) GetNamespace(own string) string {
	return either(r.Namespace, own)
}
