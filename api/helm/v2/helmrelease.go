package v2

import (
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HelmReleaseKind is the kind of a HelmRelease.
const HelmReleaseKind = "HelmRelease"

// HelmRelease installs a Helm chart, upgrades the release when the chart or its values
// change, and puts things right when that fails.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=hr,categories={all,fluxcd,fluxcd-appliers}
// +kubebuilder:metadata:annotations={"kustomize.toolkit.fluxcd.io/substitute=disabled"}
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type HelmRelease struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what to release, and how.
	Spec HelmReleaseSpec `json:"spec,omitzero"`

	// Status is what the controller last did and saw. A new object has
	// observedGeneration -1 until the controller has finished with it once.
	// +kubebuilder:default={"observedGeneration":-1}
	Status HelmReleaseStatus `json:"status,omitzero"`
}

// HelmReleaseList is a list of HelmRelease objects.
//
// +kubebuilder:object:root=true
type HelmReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmRelease `json:"items"`
}

// HelmReleaseSpec says what to release, and how.
//
// +kubebuilder:validation:XValidation:rule="(has(self.chart) && !has(self.chartRef)) || (!has(self.chart) && has(self.chartRef))",message="either chart or chartRef must be set"
type HelmReleaseSpec struct {
	// Chart describes a HelmChart, which is created, changed and deleted with the
	// HelmRelease. Either it or chartRef must be set.
	Chart *HelmChartTemplate `json:"chart,omitempty"`

	// ChartRef names an object whose artifact is the chart.
	ChartRef *CrossNamespaceSourceReference `json:"chartRef,omitempty"`

	// Interval is the time between two looks at the release when nothing asks for one
	// earlier, such as "10m" or "1h30m". A new chart, and changed values, do not wait
	// for it.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Interval metav1.Duration `json:"interval"`

	// ReleaseName is the name of the release. Defaults to the name of the HelmRelease,
	// after the target namespace and a dash if that is set; when this is longer than 53
	// characters, its end is replaced by a hash.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=53
	ReleaseName string `json:"releaseName,omitempty"`

	// TargetNamespace is the namespace of the release. Defaults to that of the
	// HelmRelease.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	TargetNamespace string `json:"targetNamespace,omitempty"`

	// StorageNamespace is the namespace of the Secrets by which Helm remembers the
	// release. Defaults to that of the HelmRelease.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	StorageNamespace string `json:"storageNamespace,omitempty"`

	// DependsOn names HelmReleases that must be ready first.
	DependsOn []meta.DependencyReference `json:"dependsOn,omitempty"`

	// Timeout limits each action of Helm, such as an upgrade with its hooks and the wait
	// for objects to become ready. Defaults to "5m".
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// MaxHistory is how many releases Helm remembers, and with that how far back a
	// rollback can go; 0 means all. Defaults to 5.
	MaxHistory *int `json:"maxHistory,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace. What it may not
	// do in the cluster of the release, the HelmRelease may not either. Defaults to what
	// the controller was told.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// KubeConfig says how to reach another cluster for the release to be in, and its
	// Secrets. Charts, dependencies and values are always those of this one.
	KubeConfig *meta.KubeConfigReference `json:"kubeConfig,omitempty"`

	// PersistentClient makes no difference. In Flux, false is for charts that bring custom
	// resource definitions in another way than by their crds directory, and use them: such
	// kinds are always found.
	PersistentClient *bool `json:"persistentClient,omitempty"`

	// DriftDetection says what to do about objects of the release that others have
	// changed or deleted.
	DriftDetection *DriftDetection `json:"driftDetection,omitempty"`

	// Install says how the chart is installed.
	Install *Install `json:"install,omitempty"`

	// Upgrade says how the release is upgraded.
	Upgrade *Upgrade `json:"upgrade,omitempty"`

	// Test says whether and how the release is tested.
	Test *Test `json:"test,omitempty"`

	// Rollback says how the release is rolled back.
	Rollback *Rollback `json:"rollback,omitempty"`

	// Uninstall says how the release is uninstalled.
	Uninstall *Uninstall `json:"uninstall,omitempty"`

	// ValuesFrom names ConfigMaps and Secrets in the same namespace that have values.
	// Those of later ones win, and values win over all of them.
	ValuesFrom []meta.ValuesReference `json:"valuesFrom,omitempty"`

	// Values for the chart.
	Values *apiextensionsv1.JSON `json:"values,omitempty"`

	// CommonMetadata is set on all objects of the release, after the postRenderers.
	CommonMetadata *CommonMetadata `json:"commonMetadata,omitempty"`

	// PostRenderers change the objects that the chart renders, one after the other.
	PostRenderers []PostRenderer `json:"postRenderers,omitempty"`

	// PostRenderStrategy says whether hooks go through the postRenderers: "combined"
	// takes them together with the other objects, "separate" on their own, and "nohooks"
	// leaves them as they are. Defaults to "combined", unless the controller was told
	// to keep to the defaults of Helm 3, which is "nohooks".
	PostRenderStrategy PostRenderStrategy `json:"postRenderStrategy,omitempty"`

	// WaitStrategy says how to tell that objects are ready.
	WaitStrategy *WaitStrategy `json:"waitStrategy,omitempty"`

	// HealthCheckExprs says by CEL expressions when objects of a kind are ready. Each
	// kind may be named once. The fields of the object, such as status, are the
	// variables. It goes with the wait strategy "poller" only.
	HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs,omitempty"`

	// Suspend stops reconciliation. What was released stays as it is. Defaults to false.
	Suspend bool `json:"suspend,omitempty"`
}

// CommonMetadata is set on every object of a release. It replaces values of the same
// keys. Selectors and the templates of pods stay as they are.
type CommonMetadata struct {
	// Annotations to set.
	Annotations map[string]string `json:"annotations,omitempty"`

	// Labels to set.
	Labels map[string]string `json:"labels,omitempty"`
}

// PostRenderer changes what a chart renders.
type PostRenderer struct {
	// Kustomize changes objects as a kustomization does.
	Kustomize *Kustomize `json:"kustomize,omitempty"`
}

// Kustomize changes objects as a kustomization does.
type Kustomize struct {
	// Patches to apply. Each is a strategic merge patch or a list of JSON 6902
	// operations; the name and namespace of its target are regular expressions for the
	// whole value.
	Patches []kustomize.Patch `json:"patches,omitempty"`

	// Images sets the name, tag or digest of images.
	Images []kustomize.Image `json:"images,omitempty"`
}

// PostRenderStrategy says whether hooks go through the post-renderers.
//
// +kubebuilder:validation:Enum=nohooks;combined;separate
type PostRenderStrategy string

const (
	// PostRenderStrategyNoHooks leaves hooks as the chart renders them.
	PostRenderStrategyNoHooks PostRenderStrategy = "nohooks"

	// PostRenderStrategyCombined takes hooks together with the other objects.
	PostRenderStrategyCombined PostRenderStrategy = "combined"

	// PostRenderStrategySeparate takes hooks by themselves: a patch must have a target
	// among the hooks, and one among the other objects.
	PostRenderStrategySeparate PostRenderStrategy = "separate"
)

// WaitStrategy says how to tell that objects are ready.
type WaitStrategy struct {
	// Name of the strategy: "poller" goes by the status of objects of any kind, as
	// Kustomizations do, and gives up when one has failed; "legacy" goes by the rules of
	// Helm 3, which know the kinds of Kubernetes only. Defaults to "poller", unless the
	// controller was told to keep to the defaults of Helm 3.
	Name WaitStrategyName `json:"name"`
}

// WaitStrategyName is a way to tell that objects are ready.
//
// +kubebuilder:validation:Enum=poller;legacy
type WaitStrategyName string

const (
	// WaitStrategyPoller goes by the status of objects of any kind.
	WaitStrategyPoller WaitStrategyName = "poller"

	// WaitStrategyLegacy goes by the rules of Helm 3.
	WaitStrategyLegacy WaitStrategyName = "legacy"
)

// DriftDetection says what to do about objects that others have changed or deleted.
type DriftDetection struct {
	// Mode is "enabled" to put objects right, "warn" to say only what has changed, or
	// "disabled". Defaults to "disabled".
	Mode DriftDetectionMode `json:"mode,omitempty"`

	// Ignore names fields that may differ, for instance because an autoscaler sets them.
	Ignore []IgnoreRule `json:"ignore,omitempty"`
}

// DriftDetectionMode says what to do about drift.
//
// +kubebuilder:validation:Enum=enabled;warn;disabled
type DriftDetectionMode string

const (
	// DriftDetectionEnabled puts objects right.
	DriftDetectionEnabled DriftDetectionMode = "enabled"

	// DriftDetectionWarn says what has changed, and changes nothing.
	DriftDetectionWarn DriftDetectionMode = "warn"

	// DriftDetectionDisabled does not look.
	DriftDetectionDisabled DriftDetectionMode = "disabled"
)

// IgnoreRule names fields of objects that may differ from the release.
type IgnoreRule struct {
	// Paths are JSON pointers to fields, such as "/spec/replicas". An empty one leaves
	// out the whole object.
	Paths []string `json:"paths"`

	// Target selects the objects. Defaults to all.
	Target *kustomize.Selector `json:"target,omitempty"`
}
