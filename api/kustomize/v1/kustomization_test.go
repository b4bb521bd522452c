package v1_test

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

var (
	_ meta.ObjectWithConditions       = (*kustomizev1.Kustomization)(nil)
	_ meta.ObjectWithConditionsSetter = (*kustomizev1.Kustomization)(nil)
)

func TestAddToScheme(t *testing.T) {
	tests := map[string]runtime.Object{
		"Kustomization":     &kustomizev1.Kustomization{},
		"KustomizationList": &kustomizev1.KustomizationList{},
	}
	scheme := runtime.NewScheme()
	if err := kustomizev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for kind, obj := range tests {
		t.Run(kind, func(t *testing.T) {
			got, _, err := scheme.ObjectKinds(obj)
			want := []schema.GroupVersionKind{{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: kind}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("kinds of %T: %v (-want +got):\n%s", obj, err, diff)
			}
		})
	}
}

// times are what a Kustomization says about time, by its accessors.
type times struct{ Interval, Retry, Timeout time.Duration }

func TestKustomizationTimes(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   kustomizev1.KustomizationSpec
		want times
	}{
		"follow from the interval": {
			why:  "a wait ends before the next run",
			in:   kustomizev1.KustomizationSpec{Interval: duration("10m")},
			want: times{Interval: 10 * time.Minute, Retry: 10 * time.Minute, Timeout: 10*time.Minute - 30*time.Second},
		},
		"leave time for a run": {
			why:  "a short interval would leave none",
			in:   kustomizev1.KustomizationSpec{Interval: duration("45s")},
			want: times{Interval: 45 * time.Second, Retry: 45 * time.Second, Timeout: 30 * time.Second},
		},
		"are those of the spec": {
			why:  "a timeout may be longer than the interval",
			in:   kustomizev1.KustomizationSpec{Interval: duration("1m"), RetryInterval: new(duration("5s")), Timeout: new(duration("1h"))},
			want: times{Interval: time.Minute, Retry: 5 * time.Second, Timeout: time.Hour},
		},
		"have a shortest timeout": {
			why:  "the limit holds for what the user writes, too",
			in:   kustomizev1.KustomizationSpec{Interval: duration("10m"), Timeout: new(duration("1s"))},
			want: times{Interval: 10 * time.Minute, Retry: 10 * time.Minute, Timeout: 30 * time.Second},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			k := &kustomizev1.Kustomization{Spec: tc.in}
			got := times{Interval: k.GetInterval(), Retry: k.GetRetryInterval(), Timeout: k.GetTimeout()}
			if got != tc.want {
				t.Errorf("times are %+v, want %+v (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestKustomizationGetDeletionPolicy(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   kustomizev1.DeletionPolicy
		want kustomizev1.DeletionPolicy
	}{
		"mirrors prune by default": {why: "the field is newer than the kind", in: "", want: kustomizev1.DeletionPolicyMirrorPrune},
		"is that of the spec":      {why: "the user decides", in: kustomizev1.DeletionPolicyOrphan, want: kustomizev1.DeletionPolicyOrphan},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			k := &kustomizev1.Kustomization{Spec: kustomizev1.KustomizationSpec{DeletionPolicy: tc.in}}
			if got := k.GetDeletionPolicy(); got != tc.want {
				t.Errorf("GetDeletionPolicy() = %q, want %q (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestKustomizationAccessors(t *testing.T) {
	conditions := []metav1.Condition{{Type: kustomizev1.ConditionReady, Status: metav1.ConditionTrue, Reason: kustomizev1.ReasonReconciliationSucceeded}}
	got := &kustomizev1.Kustomization{Spec: kustomizev1.KustomizationSpec{Suspend: true}}
	got.SetConditions(conditions)
	got.SetObservedGeneration(7)
	got.SetLastHandledReconcileAt("token")
	want := kustomizev1.KustomizationStatus{
		Conditions:             conditions,
		ObservedGeneration:     7,
		ReconcileRequestStatus: meta.ReconcileRequestStatus{LastHandledReconcileAt: "token"},
	}
	if diff := cmp.Diff(want, got.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(conditions, got.GetConditions()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if !got.IsSuspended() {
		t.Error("not suspended")
	}
}

func duration(s string) metav1.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err) // a mistake in this file
	}
	return metav1.Duration{Duration: d}
}
