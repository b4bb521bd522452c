package kustomization

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

func TestUnready(t *testing.T) {
	t.Parallel()
	dep := func(adjust ...func(*kustomizev1.Kustomization)) *kustomizev1.Kustomization {
		ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "infra", Generation: 2}}
		ks.Spec.SourceRef = kustomizev1.SourceReference{Kind: "GitRepository", Name: "fleet"}
		ks.Status.ObservedGeneration, ks.Status.LastAppliedRevision = 2, "main@sha1:1"
		ks.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue}}
		for _, f := range adjust {
			f(ks)
		}
		return ks
	}
	const notReady, notUpToDate = "dependency 'a/infra' is not ready", "dependency 'a/infra' revision is not up to date"
	tests := map[string]struct {
		why  string
		dep  *kustomizev1.Kustomization
		want string
	}{
		"ready":           {dep: dep()},
		"without a word":  {why: "nobody has looked at it yet", dep: dep(func(k *kustomizev1.Kustomization) { k.Status.Conditions = nil }), want: notReady},
		"of another spec": {why: "what is Ready is the spec before", dep: dep(func(k *kustomizev1.Kustomization) { k.Generation = 3 }), want: notReady},
		"not ready": {dep: dep(func(k *kustomizev1.Kustomization) {
			k.Status.Conditions[0].Status = metav1.ConditionFalse
		}), want: notReady},
		"at another revision of the same source": {
			why: "both are to go forward together", dep: dep(func(k *kustomizev1.Kustomization) { k.Status.LastAppliedRevision = "main@sha1:0" }), want: notUpToDate,
		},
		"at a revision of another source": {
			why: "the two say nothing about each other", dep: dep(func(k *kustomizev1.Kustomization) {
				k.Status.LastAppliedRevision, k.Spec.SourceRef.Name = "main@sha1:0", "other"
			}),
		},
		"of a source of that name in another namespace": {
			why: "it is another one", dep: dep(func(k *kustomizev1.Kustomization) {
				k.Status.LastAppliedRevision, k.Spec.SourceRef.Namespace = "main@sha1:0", "b"
			}),
		},
	}
	for name, tc := range tests {
		if got := unready(dep(), tc.dep, "main@sha1:1"); got != tc.want {
			t.Errorf("%s: %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}

func TestCycleFrom(t *testing.T) {
	t.Parallel()
	name := func(n string) types.NamespacedName { return types.NamespacedName{Namespace: "x", Name: n} }
	tests := map[string]struct {
		why   string
		edges map[string][]string
		want  []string
	}{
		"itself":            {edges: map[string][]string{"a": {"a"}}, want: []string{"a", "a"}},
		"two":               {edges: map[string][]string{"a": {"b"}, "b": {"a"}}, want: []string{"a", "b", "a"}},
		"behind a dead end": {edges: map[string][]string{"a": {"d", "b"}, "d": {"e"}, "b": {"c"}, "c": {"a"}}, want: []string{"a", "b", "c", "a"}},
		"none":              {edges: map[string][]string{"a": {"b", "c"}, "b": {"c"}}},
		"one beside it":     {why: "a is not part of it", edges: map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}},
	}
	for title, tc := range tests {
		got := cycleFrom(name("a"), func(at types.NamespacedName) []types.NamespacedName {
			var next []types.NamespacedName
			for _, n := range tc.edges[at.Name] {
				next = append(next, name(n))
			}
			return next
		})
		var names []string
		for _, key := range got {
			names = append(names, key.Name)
		}
		if diff := cmp.Diff(tc.want, names); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", title, tc.why, diff)
		}
	}
}
