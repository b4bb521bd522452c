package kustomization_test

import (
	"io"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
)

// published is a source of any kind.
type published interface {
	client.Object
	SetArtifact(artifact *meta.Artifact)
}

// TestEveryKindOfSource applies what sources of all kinds publish, also later.
func TestEveryKindOfSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--feature-gates=ExternalArtifact=true")
	named := metav1.ObjectMeta{Name: "app"}
	hour := metav1.Duration{Duration: time.Hour}
	tests := map[string]published{
		sourcev1.OCIRepositoryKind:    &sourcev1.OCIRepository{ObjectMeta: named, Spec: sourcev1.OCIRepositorySpec{URL: "oci://registry.example.com/app", Interval: hour}},
		sourcev1.BucketKind:           &sourcev1.Bucket{ObjectMeta: named, Spec: sourcev1.BucketSpec{BucketName: "app", Endpoint: "s3.example.com", Interval: hour}},
		sourcev1.ExternalArtifactKind: &sourcev1.ExternalArtifact{ObjectMeta: named},
	}
	for kind, src := range tests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w.Create(src)
			name := "from-" + src.GetName() + "-" + kindName(kind)
			ks := w.kustomization(name, "", func(s *kustomizev1.KustomizationSpec) {
				s.SourceRef = kustomizev1.SourceReference{Kind: kind, Name: src.GetName()}
			})
			for _, value := range []string{"1", "2"} {
				revision := "v" + value + "@sha256:" + value
				w.advertise(kind, src, revision, map[string]string{"a.yaml": configMapYAML(name, "k", value)})
				w.waitApplied(ks, revision)
				cm := w.configMap(name)
				if !w.Get(cm) || cm.Data["k"] != value {
					t.Errorf("the object has %v; want %s", cm.Data, value)
				}
			}
			if got := ks.Status.LastAppliedOriginRevision; got != "main@sha1:abc" {
				t.Errorf("the origin of what was applied is %q", got)
			}
			if got := ks.Status.History.Latest().Metadata["originRevision"]; got != "main@sha1:abc" {
				t.Errorf("the history has the origin %q", got)
			}
			e := w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonReconciliationSucceeded)
			if got := e.Annotations[kustomizev1.GroupVersion.Group+"/originRevision"]; got != "main@sha1:abc" {
				t.Errorf("the event has the origin %q: %v", got, e.Annotations)
			}
		})
	}
}

func TestExternalArtifactTakesItsGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
		s.SourceRef = kustomizev1.SourceReference{Kind: sourcev1.ExternalArtifactKind, Name: "app"}
	})
	w.WaitCondition(ks, meta.StalledCondition, metav1.ConditionTrue, meta.FeatureGateDisabledReason)
}

// kindName is a kind as part of a name.
func kindName(kind string) string {
	return map[string]string{sourcev1.OCIRepositoryKind: "oci", sourcev1.BucketKind: "bucket", sourcev1.ExternalArtifactKind: "external"}[kind]
}

// advertise makes the files the artifact of a source.
func (w *world) advertise(kind string, src published, revision string, tree map[string]string) {
	w.t.Helper()
	dir, err := artifact.NewDir(kind, w.Namespace, src.GetName())
	if err != nil {
		w.t.Fatal(err)
	}
	path, err := dir.File(revision + ".tar.gz")
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := w.files.Put(path, func(out io.Writer) error { return pack(out, w.expand(tree)) })
	if err != nil {
		w.t.Fatal(err)
	}
	w.Get(src)
	src.SetArtifact(&meta.Artifact{
		Path: path.String(), URL: path.URL(w.server.URL), Revision: revision, Digest: stored.Digest.String(), Size: &stored.Size,
		LastUpdateTime: metav1.Now(), Metadata: map[string]string{"org.opencontainers.image.revision": "main@sha1:abc"},
	})
	if err := w.Client.Status().Update(w.t.Context(), src); err != nil {
		w.t.Fatal(err)
	}
}
