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

var (
	_ meta.ObjectWithConditions       = (*sourcev1.GitRepository)(nil)
	_ meta.ObjectWithConditionsSetter = (*sourcev1.GitRepository)(nil)
)

func TestAddToScheme(t *testing.T) {
	tests := map[string]runtime.Object{
		"GitRepository":     &sourcev1.GitRepository{},
		"GitRepositoryList": &sourcev1.GitRepositoryList{},
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

func TestGitRepositoryGetTimeout(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   *metav1.Duration
		want time.Duration
	}{
		"has a default":       {why: "an object that no API server has defaulted", in: nil, want: time.Minute},
		"is that of the spec": {why: "there is no lower limit", in: &metav1.Duration{Duration: time.Second}, want: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			repo := &sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{Timeout: tc.in}}
			if got := repo.GetTimeout(); got != tc.want {
				t.Errorf("GetTimeout() = %s, want %s (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestGitRepositoryAccessors(t *testing.T) {
	conditions := []metav1.Condition{{Type: sourcev1.ConditionReady, Status: metav1.ConditionTrue, Reason: sourcev1.ReasonSucceeded}}
	got := &sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{
		Interval: metav1.Duration{Duration: time.Hour},
		Suspend:  true,
	}}
	got.SetConditions(conditions)
	got.SetObservedGeneration(7)
	got.SetLastHandledReconcileAt("token")
	want := sourcev1.GitRepositoryStatus{
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
	if !got.IsSuspended() || got.GetInterval() != time.Hour {
		t.Errorf("suspended %t, interval %s; want true, 1h", got.IsSuspended(), got.GetInterval())
	}
}
