package buildspec_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/build"
	"weir.dev/pkg/buildspec"
)

func TestOf(t *testing.T) {
	t.Parallel()
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "shop"},
		Spec: kustomizev1.KustomizationSpec{
			Path: "./app", TargetNamespace: "a", NamePrefix: "b-", NameSuffix: "-c", Components: []string{"d"}, IgnoreMissingComponents: true,
			Patches: []kustomize.Patch{{Patch: "e"}}, Images: []kustomize.Image{{Name: "f"}}, BuildMetadata: []kustomizev1.BuildMetadata{"originAnnotations"},
			CommonMetadata: &kustomizev1.CommonMetadata{Labels: map[string]string{"g": "h"}, Annotations: map[string]string{"i": "j"}},
		},
	}
	want := build.Spec{
		Path: "./app", TargetNamespace: "a", NamePrefix: "b-", NameSuffix: "-c", Components: []string{"d"}, IgnoreMissingComponents: true,
		Patches: []kustomize.Patch{{Patch: "e"}}, Images: []kustomize.Image{{Name: "f"}}, BuildMetadata: []string{"originAnnotations"},
		CommonMetadata: build.Metadata{Labels: map[string]string{"g": "h"}, Annotations: map[string]string{"i": "j"}},
		OwnerLabels:    map[string]string{"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": "shop"},
	}
	if diff := cmp.Diff(want, buildspec.Of(ks)); diff != "" {
		t.Errorf("Of (-want +got):\n%s", diff)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	there := fake.NewClientBuilder().WithObjects(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "map", Namespace: "shop"}, Data: map[string]string{"a": "map", "b": "map", "c": "map"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret", Namespace: "shop"}, Data: map[string][]byte{"b": []byte("secret"), "c": []byte("secret")}},
	).Build()
	from := func(kind, name string, optional bool) kustomizev1.SubstituteReference {
		return kustomizev1.SubstituteReference{Kind: kind, Name: name, Optional: optional}
	}
	tests := map[string]struct {
		why  string
		post *kustomizev1.PostBuild
		want map[string]string
		err  string
	}{
		"none": {why: "nothing is put in place of anything"},
		"later ones count": {
			why: "the order is the user's, and what is in the spec is nearest",
			post: &kustomizev1.PostBuild{
				SubstituteFrom: []kustomizev1.SubstituteReference{from("ConfigMap", "map", false), from("Secret", "secret", false)},
				Substitute:     map[string]string{"c": "spec"},
			},
			want: map[string]string{"a": "map", "b": "secret", "c": "spec"},
		},
		"optional": {
			why:  "it need not exist",
			post: &kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{from("Secret", "nowhere", true)}},
			want: map[string]string{},
		},
		"missing": {
			why:  "the message names it",
			post: &kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{from("Secret", "nowhere", false)}},
			err:  `substitute from 'Secret/nowhere' error: secrets "nowhere" not found`,
		},
		"of another kind": {
			why:  "the API refuses it, but for objects that are no longer looked at",
			post: &kustomizev1.PostBuild{SubstituteFrom: []kustomizev1.SubstituteReference{from("Pod", "a", true)}},
			err:  `substitute from 'Pod/a' error: "Pod" has no variables: use ConfigMap or Secret`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "shop"}, Spec: kustomizev1.KustomizationSpec{PostBuild: tc.post}}
			got, err := buildspec.Variables(t.Context(), there, ks)
			if text := text(err); text != tc.err {
				t.Errorf("the error is %q, want %q (%s)", text, tc.err, tc.why)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("variables, -want +got (%s):\n%s", tc.why, diff)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSubstitution(t *testing.T) {
	t.Parallel()
	ks := &kustomizev1.Kustomization{}
	if got := buildspec.Substitution(ks, nil, true); got != nil {
		t.Errorf("without postBuild, it is %+v, want nil", got)
	}
	ks.Spec.PostBuild = &kustomizev1.PostBuild{SubstituteStrategy: kustomizev1.SubstituteAlways}
	vars := map[string]string{"a": "b"}
	want := &build.Substitution{Vars: vars, Always: true, Lenient: true}
	if diff := cmp.Diff(want, buildspec.Substitution(ks, vars, false)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
