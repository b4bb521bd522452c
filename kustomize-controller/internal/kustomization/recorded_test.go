package kustomization_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/testplane"
)

// TestStatusIsAsRecorded applies what Flux 2.9 was given, and expects the status that
// it wrote, but for times and revisions.
func TestStatusIsAsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recorded := recordedKustomization(t, "plain")
	ks := w.kustomization("plain", recorded.Spec.Path, func(s *kustomizev1.KustomizationSpec) { s.Interval = recorded.Spec.Interval })
	rev := w.publish(fleet(t))
	w.waitApplied(ks, rev)

	if diff := cmp.Diff(plainStatus(recorded.Status, rev), plainStatus(ks.Status, rev)); diff != "" {
		t.Errorf("the status differs from the recorded one (-recorded +got):\n%s", diff)
	}

	// Flux's tree brings its own namespace, which only pruning removes for good: one that
	// is deleted by hand comes back.
	if err := w.Client.Delete(t.Context(), ks); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain"}})
}

// plainStatus is a status with times taken out and the revision replaced by rev.
func plainStatus(s kustomizev1.KustomizationStatus, rev string) kustomizev1.KustomizationStatus {
	out := *s.DeepCopy()
	out.LastAppliedRevision, out.LastAttemptedRevision = rev, rev
	for i := range out.Conditions {
		out.Conditions[i].LastTransitionTime = metav1.Time{}
		if out.Conditions[i].Type == kustomizev1.ConditionReady {
			out.Conditions[i].Message = "Applied revision: " + rev
		}
	}
	for i := range out.History {
		h := &out.History[i]
		h.FirstReconciled, h.LastReconciled, h.LastReconciledDuration = metav1.Time{}, metav1.Time{}, metav1.Duration{}
		h.Metadata["revision"], h.TotalReconciliations = rev, 1
		for _, stage := range []string{"waiting", "building", "validating", "applying", "becomingHealthy"} {
			delete(h.Metadata, stage) // which only we tell
		}
	}
	return out
}

// recordedKustomization is one of those that Flux left.
func recordedKustomization(t *testing.T, name string) kustomizev1.Kustomization {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testplane.Root(t), "api", "kustomize", "v1", "testdata", "recorded", "kustomization-"+name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var ks kustomizev1.Kustomization
	if err := yaml.Unmarshal(data, &ks); err != nil {
		t.Fatal(err)
	}
	return ks
}

// fleet is the tree that Flux built from.
func fleet(t *testing.T) map[string]string {
	t.Helper()
	root := os.DirFS(filepath.Join(testplane.Root(t), "pkg", "build", "testdata", "fleet"))
	tree := make(map[string]string)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, path)
		tree[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
