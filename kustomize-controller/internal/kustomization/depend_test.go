package kustomization

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

func TestBehind(t *testing.T) {
	t.Parallel()
	dep := func(revision string, adjust ...func(*kustomizev1.SourceReference)) *kustomizev1.Kustomization {
		ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "infra"}}
		ks.Spec.SourceRef = kustomizev1.SourceReference{Kind: "GitRepository", Name: "fleet"}
		ks.Status.LastAppliedRevision = revision
		for _, f := range adjust {
			f(&ks.Spec.SourceRef)
		}
		return ks
	}
	tests := map[string]struct {
		why  string
		dep  *kustomizev1.Kustomization
		want string
	}{
		"at the same revision": {dep: dep("main@sha1:1")},
		"at another revision of the same source": {
			why: "both are to go forward together", dep: dep("main@sha1:0"), want: "dependency 'a/infra' revision is not up to date",
		},
		"of another source": {
			why: "the two say nothing about each other", dep: dep("main@sha1:0", func(r *kustomizev1.SourceReference) { r.Name = "other" }),
		},
		"of another kind of source": {
			why: "it is another one", dep: dep("main@sha1:0", func(r *kustomizev1.SourceReference) { r.Kind = "Bucket" }),
		},
		"of a source of that name in another namespace": {
			why: "it is another one", dep: dep("main@sha1:0", func(r *kustomizev1.SourceReference) { r.Namespace = "b" }),
		},
		"of the same source by its full name": {
			why: "the namespace of the object is what it means anyway",
			dep: dep("main@sha1:0", func(r *kustomizev1.SourceReference) { r.Namespace = "a" }), want: "dependency 'a/infra' revision is not up to date",
		},
	}
	for name, tc := range tests {
		if got := behind(dep("main@sha1:1"), tc.dep, "main@sha1:1"); got != tc.want {
			t.Errorf("%s: %q; want %q (%s)", name, got, tc.want, tc.why)
		}
	}
}
