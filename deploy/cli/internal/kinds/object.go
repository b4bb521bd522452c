package kinds

import (
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

// Object is what is read of an object of any of the kinds: little, so that reading
// thousands of them costs little.
type Object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       Spec     `json:"spec"`
	Status     Status   `json:"status"`
}

// Metadata names an object.
type Metadata struct {
	Name              string       `json:"name"`
	Namespace         string       `json:"namespace"`
	Generation        int64        `json:"generation"`
	ResourceVersion   string       `json:"resourceVersion"`
	CreationTimestamp metav1.Time  `json:"creationTimestamp"`
	DeletionTimestamp *metav1.Time `json:"deletionTimestamp"`
}

// Spec has fields of the specs of all kinds.
type Spec struct {
	Suspend            bool       `json:"suspend"`
	Type               string     `json:"type"`
	URL                string     `json:"url"`
	Endpoint           string     `json:"endpoint"`
	BucketName         string     `json:"bucketName"`
	Path               string     `json:"path"`
	Image              string     `json:"image"`
	Chart              Chart      `json:"chart"`
	Version            string     `json:"version"`
	ChartRef           *Reference `json:"chartRef"`
	SourceRef          *Reference `json:"sourceRef"`
	ImageRepositoryRef *Reference `json:"imageRepositoryRef"`
}

// Reference names another object.
type Reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
}

// Chart names a chart: a HelmChart by its name only, a HelmRelease by what is to become of
// it.
type Chart struct {
	Name    string
	Version string
	Ref     *Reference
}

// UnmarshalJSON reads either form.
func (c *Chart) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &c.Name)
	}
	var template struct {
		Spec struct {
			Chart     string     `json:"chart"`
			Version   string     `json:"version"`
			SourceRef *Reference `json:"sourceRef"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &template); err != nil {
		return err
	}
	*c = Chart{Name: template.Spec.Chart, Version: template.Spec.Version, Ref: template.Spec.SourceRef}
	return nil
}

// Status has fields of the statuses of all kinds.
type Status struct {
	ObservedGeneration    int64              `json:"observedGeneration"`
	Conditions            []metav1.Condition `json:"conditions"`
	Artifact              *Artifact          `json:"artifact"`
	LastAppliedRevision   string             `json:"lastAppliedRevision"`
	LastAttemptedRevision string             `json:"lastAttemptedRevision"`
	LastAttemptedDigest   string             `json:"lastAttemptedRevisionDigest"`
	ObservedSource        string             `json:"observedSourceArtifactRevision"`
	History               []Release          `json:"history"`
	HelmChart             string             `json:"helmChart"`
	LastScanResult        *Scan              `json:"lastScanResult"`
	LatestRef             *Image             `json:"latestRef"`
	LastAutomationRunTime *metav1.Time       `json:"lastAutomationRunTime"`
	LastPushCommit        string             `json:"lastPushCommit"`
	WebhookPath           string             `json:"webhookPath"`
}

// Release is what a HelmRelease once released.
type Release struct {
	ChartVersion string `json:"chartVersion"`
}

// Artifact is what a source published.
type Artifact struct {
	Revision string `json:"revision"`
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`
}

// Scan is what an ImageRepository found.
type Scan struct {
	ScanTime metav1.Time `json:"scanTime"`
	TagCount int         `json:"tagCount"`
}

// Image is what an ImagePolicy chose.
type Image struct {
	Name   string `json:"name"`
	Tag    string `json:"tag"`
	Digest string `json:"digest"`
}

// Read returns what is read of an object.
func Read(u *unstructured.Unstructured) (Object, error) {
	var o Object
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o)
	return o, err
}

// GroupKind returns the kind of the object without its version.
func (o Object) GroupKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).GroupKind()
}

// String names the object as manifests do.
func (o Object) String() string {
	return fmt.Sprintf("%s/%s/%s", o.Kind, o.Metadata.Namespace, o.Metadata.Name)
}

// Condition returns the condition of a type.
func (o Object) Condition(conditionType string) (metav1.Condition, bool) {
	for _, c := range o.Status.Conditions {
		if c.Type == conditionType {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

// Source returns what the object reads from, with its namespace.
func (o Object) Source() (Reference, bool) {
	var ref Reference
	switch {
	case o.Spec.ChartRef != nil:
		ref = *o.Spec.ChartRef
	case o.Spec.Chart.Ref != nil:
		ref = *o.Spec.Chart.Ref
	case o.Spec.SourceRef != nil:
		ref = *o.Spec.SourceRef
	case o.Spec.ImageRepositoryRef != nil:
		ref = *o.Spec.ImageRepositoryRef
		ref.Kind = "ImageRepository"
	default:
		return Reference{}, false
	}
	if ref.Namespace == "" {
		ref.Namespace = o.Metadata.Namespace
	}
	return ref, true
}

// HasTakenUp reports whether the controller of the object has worked with the artifact that a
// source of it has, however that went.
func (o Object) HasTakenUp(source Object) bool {
	if source.Status.Artifact == nil {
		return true
	}
	revision := source.Status.Artifact.Revision
	switch o.Kind {
	case sourcev1.HelmChartKind:
		return o.Status.ObservedSource == revision
	case helmv2.HelmReleaseKind:
		if _, digest, found := strings.Cut(revision, "@"); found && o.Status.LastAttemptedDigest != "" {
			return o.Status.LastAttemptedDigest == digest
		}
		return o.Status.LastAttemptedRevision == revision
	case kustomizev1.KustomizationKind:
		return o.Status.LastAttemptedRevision == revision
	}
	return true
}

// String names what is referred to as manifests do.
func (r Reference) String() string { return fmt.Sprintf("%s/%s/%s", r.Kind, r.Namespace, r.Name) }
