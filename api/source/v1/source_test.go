package v1_test

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	sourcev1 "weir.dev/api/source/v1"
)

// published is what consumers need of a source.
type published interface {
	runtime.Object
	meta.ObjectWithConditions
	meta.ObjectWithConditionsSetter
	GetArtifact() *meta.Artifact
	SetArtifact(artifact *meta.Artifact)
}

// source is what a controller needs of the kinds that it reconciles.
type source interface {
	published
	SetObservedGeneration(generation int64)
	SetLastHandledReconcileAt(token string)
	IsSuspended() bool
	GetInterval() time.Duration
}

func TestAddToScheme(t *testing.T) {
	tests := map[string]runtime.Object{
		"GitRepository":        &sourcev1.GitRepository{},
		"GitRepositoryList":    &sourcev1.GitRepositoryList{},
		"OCIRepository":        &sourcev1.OCIRepository{},
		"OCIRepositoryList":    &sourcev1.OCIRepositoryList{},
		"HelmRepository":       &sourcev1.HelmRepository{},
		"HelmRepositoryList":   &sourcev1.HelmRepositoryList{},
		"HelmChart":            &sourcev1.HelmChart{},
		"HelmChartList":        &sourcev1.HelmChartList{},
		"Bucket":               &sourcev1.Bucket{},
		"BucketList":           &sourcev1.BucketList{},
		"ExternalArtifact":     &sourcev1.ExternalArtifact{},
		"ExternalArtifactList": &sourcev1.ExternalArtifactList{},
	}
	scheme := runtime.NewScheme()
	if err := sourcev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for kind, obj := range tests {
		t.Run(kind, func(t *testing.T) {
			got, _, err := scheme.ObjectKinds(obj)
			want := []schema.GroupVersionKind{{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: kind}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("kinds of %T: %v (-want +got):\n%s", obj, err, diff)
			}
		})
	}
}

func TestGetTimeout(t *testing.T) {
	tests := map[string]func(in *metav1.Duration) time.Duration{
		"GitRepository": func(in *metav1.Duration) time.Duration {
			return (&sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{Timeout: in}}).GetTimeout()
		},
		"OCIRepository": func(in *metav1.Duration) time.Duration {
			return (&sourcev1.OCIRepository{Spec: sourcev1.OCIRepositorySpec{Timeout: in}}).GetTimeout()
		},
		"HelmRepository": func(in *metav1.Duration) time.Duration {
			return (&sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{Timeout: in}}).GetTimeout()
		},
		"Bucket": func(in *metav1.Duration) time.Duration {
			return (&sourcev1.Bucket{Spec: sourcev1.BucketSpec{Timeout: in}}).GetTimeout()
		},
	}
	for kind, timeout := range tests {
		t.Run(kind, func(t *testing.T) {
			if got := timeout(nil); got != time.Minute {
				t.Errorf("timeout of an object that no API server has defaulted is %s, want 1m", got)
			}
			if got := timeout(&metav1.Duration{Duration: time.Second}); got != time.Second {
				t.Errorf("timeout is %s, want that of the spec, 1s: there is no lower limit", got)
			}
		})
	}
}

func TestHelmRepositoryGetInterval(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   time.Duration
		want time.Duration
	}{
		"has a default":       {why: "the interval is optional", want: time.Minute},
		"is that of the spec": {why: "the default is no limit", in: time.Second, want: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			repo := &sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{Interval: metav1.Duration{Duration: tc.in}}}
			if got := repo.GetInterval(); got != tc.want {
				t.Errorf("GetInterval() = %s, want %s (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestHelmRepositoryIsOCI(t *testing.T) {
	tests := map[sourcev1.HelmRepositoryType]bool{
		"":                                 false,
		sourcev1.HelmRepositoryTypeDefault: false,
		sourcev1.HelmRepositoryTypeOCI:     true,
	}
	for in, want := range tests {
		repo := &sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{URL: "oci://registry.example.com", Type: in}}
		if got := repo.IsOCI(); got != want {
			t.Errorf("IsOCI() with the type %q = %t, want %t", in, got, want)
		}
	}
}

func TestAccessors(t *testing.T) {
	conditions := []metav1.Condition{{Type: sourcev1.ConditionReady, Status: metav1.ConditionTrue, Reason: sourcev1.ReasonSucceeded}}
	artifact := &meta.Artifact{Digest: "sha256:abc"}
	hour, request := metav1.Duration{Duration: time.Hour}, meta.ReconcileRequestStatus{LastHandledReconcileAt: "token"}
	tests := map[string]struct{ obj, want source }{
		"GitRepository": {
			obj: &sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{Interval: hour, Suspend: true}},
			want: &sourcev1.GitRepository{
				Spec:   sourcev1.GitRepositorySpec{Interval: hour, Suspend: true},
				Status: sourcev1.GitRepositoryStatus{Conditions: conditions, Artifact: artifact, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
		"OCIRepository": {
			obj: &sourcev1.OCIRepository{Spec: sourcev1.OCIRepositorySpec{Interval: hour, Suspend: true}},
			want: &sourcev1.OCIRepository{
				Spec:   sourcev1.OCIRepositorySpec{Interval: hour, Suspend: true},
				Status: sourcev1.OCIRepositoryStatus{Conditions: conditions, Artifact: artifact, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
		"HelmRepository": {
			obj: &sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{Interval: hour, Suspend: true}},
			want: &sourcev1.HelmRepository{
				Spec:   sourcev1.HelmRepositorySpec{Interval: hour, Suspend: true},
				Status: sourcev1.HelmRepositoryStatus{Conditions: conditions, Artifact: artifact, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
		"HelmChart": {
			obj: &sourcev1.HelmChart{Spec: sourcev1.HelmChartSpec{Interval: hour, Suspend: true}},
			want: &sourcev1.HelmChart{
				Spec:   sourcev1.HelmChartSpec{Interval: hour, Suspend: true},
				Status: sourcev1.HelmChartStatus{Conditions: conditions, Artifact: artifact, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
		"Bucket": {
			obj: &sourcev1.Bucket{Spec: sourcev1.BucketSpec{Interval: hour, Suspend: true}},
			want: &sourcev1.Bucket{
				Spec:   sourcev1.BucketSpec{Interval: hour, Suspend: true},
				Status: sourcev1.BucketStatus{Conditions: conditions, Artifact: artifact, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
	}
	for kind, tc := range tests {
		t.Run(kind, func(t *testing.T) {
			got := tc.obj
			got.SetConditions(conditions)
			got.SetArtifact(artifact)
			got.SetObservedGeneration(7)
			got.SetLastHandledReconcileAt("token")
			checkPublished(t, got, tc.want)
			if !got.IsSuspended() || got.GetInterval() != time.Hour {
				t.Errorf("suspended %t, interval %s; want true, 1h", got.IsSuspended(), got.GetInterval())
			}
		})
	}
}

func TestExternalArtifactAccessors(t *testing.T) {
	want := &sourcev1.ExternalArtifact{Status: sourcev1.ExternalArtifactStatus{
		Conditions: []metav1.Condition{{Type: sourcev1.ConditionReady, Status: metav1.ConditionTrue}},
		Artifact:   &meta.Artifact{Digest: "sha256:abc"},
	}}
	got := &sourcev1.ExternalArtifact{}
	got.SetConditions(want.Status.Conditions)
	got.SetArtifact(want.Status.Artifact)
	checkPublished(t, got, want)
}

// checkPublished compares an object, and what its accessors return, with what it is to be.
func checkPublished(t *testing.T, got, want published) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	conditions := []metav1.Condition{{Type: sourcev1.ConditionReady, Status: metav1.ConditionTrue}}
	got.SetConditions(conditions)
	if diff := cmp.Diff(conditions, got.GetConditions()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	artifact := &meta.Artifact{Digest: "sha256:def"}
	got.SetArtifact(artifact)
	if got.GetArtifact() != artifact {
		t.Errorf("artifact is %v, want the one that was set", got.GetArtifact())
	}
}
