package v1_test

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/api/image/v1beta2"
)

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{imagev1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[schema.GroupVersionKind]runtime.Object{}
	for version, objects := range map[string]map[string]runtime.Object{
		"v1": {
			"ImageRepository": &imagev1.ImageRepository{}, "ImageRepositoryList": &imagev1.ImageRepositoryList{},
			"ImagePolicy": &imagev1.ImagePolicy{}, "ImagePolicyList": &imagev1.ImagePolicyList{},
			"ImageUpdateAutomation": &imagev1.ImageUpdateAutomation{}, "ImageUpdateAutomationList": &imagev1.ImageUpdateAutomationList{},
		},
		"v1beta2": {
			"ImageRepository": &v1beta2.ImageRepository{}, "ImageRepositoryList": &v1beta2.ImageRepositoryList{},
			"ImagePolicy": &v1beta2.ImagePolicy{}, "ImagePolicyList": &v1beta2.ImagePolicyList{},
			"ImageUpdateAutomation": &v1beta2.ImageUpdateAutomation{}, "ImageUpdateAutomationList": &v1beta2.ImageUpdateAutomationList{},
		},
	} {
		for kind, obj := range objects {
			tests[schema.GroupVersionKind{Group: "image.toolkit.fluxcd.io", Version: version, Kind: kind}] = obj
		}
	}
	for gvk, obj := range tests {
		got, _, err := scheme.ObjectKinds(obj)
		if diff := cmp.Diff([]schema.GroupVersionKind{gvk}, got); err != nil || diff != "" {
			t.Errorf("kinds of %T: %v (-want +got):\n%s", obj, err, diff)
		}
	}
}

// driven is what a controller needs of the kinds that it reconciles.
type driven interface {
	runtime.Object
	meta.ObjectWithConditions
	meta.ObjectWithConditionsSetter
	GetObservedGeneration() int64
	SetObservedGeneration(generation int64)
	GetLastHandledReconcileAt() string
	SetLastHandledReconcileAt(token string)
	IsSuspended() bool
	GetInterval() time.Duration
}

func TestAccessors(t *testing.T) {
	conditions := []metav1.Condition{{Type: imagev1.ConditionReady, Status: metav1.ConditionTrue, Reason: imagev1.ReasonSucceeded}}
	hour, request := metav1.Duration{Duration: time.Hour}, meta.ReconcileRequestStatus{LastHandledReconcileAt: "token"}
	tests := map[string]struct{ obj, want driven }{
		"ImageRepository": {
			obj: &imagev1.ImageRepository{Spec: imagev1.ImageRepositorySpec{Interval: hour, Suspend: true}},
			want: &imagev1.ImageRepository{
				Spec:   imagev1.ImageRepositorySpec{Interval: hour, Suspend: true},
				Status: imagev1.ImageRepositoryStatus{Conditions: conditions, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
		"ImagePolicy": {
			obj: &imagev1.ImagePolicy{Spec: imagev1.ImagePolicySpec{Interval: &hour, Suspend: true}},
			want: &imagev1.ImagePolicy{
				Spec:   imagev1.ImagePolicySpec{Interval: &hour, Suspend: true},
				Status: imagev1.ImagePolicyStatus{Conditions: conditions, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
		"ImageUpdateAutomation": {
			obj: &imagev1.ImageUpdateAutomation{Spec: imagev1.ImageUpdateAutomationSpec{Interval: hour, Suspend: true}},
			want: &imagev1.ImageUpdateAutomation{
				Spec:   imagev1.ImageUpdateAutomationSpec{Interval: hour, Suspend: true},
				Status: imagev1.ImageUpdateAutomationStatus{Conditions: conditions, ObservedGeneration: 7, ReconcileRequestStatus: request},
			},
		},
	}
	for kind, tc := range tests {
		t.Run(kind, func(t *testing.T) {
			got := tc.obj
			got.SetConditions(conditions)
			got.SetObservedGeneration(7)
			got.SetLastHandledReconcileAt("token")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(conditions, got.GetConditions()); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if !got.IsSuspended() || got.GetInterval() != time.Hour || got.GetObservedGeneration() != 7 || got.GetLastHandledReconcileAt() != "token" {
				t.Errorf("suspended %t, interval %s, generation %d, request %q", got.IsSuspended(), got.GetInterval(), got.GetObservedGeneration(), got.GetLastHandledReconcileAt())
			}
		})
	}
}

func TestValuesOfAbsentFields(t *testing.T) {
	policy, repo := &imagev1.ImagePolicy{}, &imagev1.ImageRepository{}
	if got := policy.GetInterval(); got != 0 {
		t.Errorf("the interval is %s, want 0: nothing is asked again", got)
	}
	if got := policy.GetDigestReflectionPolicy(); got != imagev1.ReflectNever {
		t.Errorf("digests are reflected %s, want never", got)
	}
	if got := repo.GetProvider(); got != imagev1.ImageProviderGeneric {
		t.Errorf("the provider is %q, want generic", got)
	}
}

func TestScanTimeout(t *testing.T) {
	tests := map[string]struct {
		why      string
		interval time.Duration
		timeout  time.Duration // zero: none
		want     time.Duration
	}{
		"the interval":         {interval: time.Hour, want: time.Hour},
		"not a short interval": {why: "a list may have many pages", interval: 5 * time.Second, want: 30 * time.Second},
		"that of the spec":     {interval: time.Hour, timeout: time.Second, want: time.Second},
	}
	for name, tc := range tests {
		repo := &imagev1.ImageRepository{Spec: imagev1.ImageRepositorySpec{Interval: metav1.Duration{Duration: tc.interval}}}
		if tc.timeout != 0 {
			repo.Spec.Timeout = &metav1.Duration{Duration: tc.timeout}
		}
		if got := repo.GetTimeout(); got != tc.want {
			t.Errorf("%s: the timeout is %s, want %s (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestImageRefString(t *testing.T) {
	for want, ref := range map[string]imagev1.ImageRef{
		"example.com/app:1.0":            {Name: "example.com/app", Tag: "1.0"},
		"example.com/app:1.0@sha256:abc": {Name: "example.com/app", Tag: "1.0", Digest: "sha256:abc"},
	} {
		if got := ref.String(); got != want {
			t.Errorf("the image is %q, want %q", got, want)
		}
	}
}
