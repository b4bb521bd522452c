package soak_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// TestAPIServerRestarts: the controllers live on, undo what was done before they looked
// again, follow what comes, and touch nothing else.
func TestAPIServerRestarts(t *testing.T) {
	const n = 12
	w := newWorld(t)
	repo, url, err := w.Repository("repo")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string, n)
	for i := range n {
		files[fmt.Sprintf("%02d.yaml", i)] = settings(i, "1")
	}
	head, err := repo.Commit(branch, "Begin", gitserver.Files(files)...)
	if err != nil {
		t.Fatal(err)
	}
	ks := w.follow(url)
	w.waitRevision(ks, head)
	w.waitRest()
	pids := map[string]float64{}
	for name, k := range w.keepers {
		pids[name] = w.figure(k, "process_start_time_seconds")
	}
	before := w.versions()

	if err := w.killAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually("somebody changes an object by hand, as soon as they can", settleTimeout, func(ctx context.Context) string {
		return told(w.Client.Patch(ctx, settingsAt(3), client.RawPatch(types.MergePatchType, []byte(`{"data":{"value":"by-hand"}}`)), client.FieldOwner(byHand)))
	})
	w.eventually("and deletes another", settleTimeout, func(ctx context.Context) string { return told(w.Client.Delete(ctx, settingsAt(5))) })
	w.waitValue(3, "1")
	w.waitValue(5, "1")

	head, err = repo.Commit(branch, "Change", gitserver.File("07.yaml", settings(7, "2")))
	if err != nil {
		t.Fatal(err)
	}
	w.waitRevision(ks, head)
	w.waitValue(7, "2")
	w.waitRest()
	after := w.versions()
	for _, i := range []int{3, 5, 7} {
		if before[settingsName(i)] == after[settingsName(i)] {
			t.Errorf("%s was not written", settingsName(i))
		}
		delete(before, settingsName(i))
		delete(after, settingsName(i))
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("objects were written that nobody had touched (-version before +after):\n%s", diff)
	}
	for name, k := range w.keepers {
		if w.figure(k, "process_start_time_seconds") != pids[name] {
			t.Errorf("%s did not live on", name)
		}
	}
}

func settingsName(i int) string { return fmt.Sprintf("settings-%02d", i) }

func settingsAt(i int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: spaceName(0), Name: settingsName(i)}}
}

func settings(i int, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {value: %q}\n", settingsName(i), spaceName(0), value)
}

// follow makes a GitRepository and a Kustomization of all in it, which will not run by
// itself while the test does.
func (w *world) follow(url string) *kustomizev1.Kustomization {
	w.t.Helper()
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"},
		Spec: kustomizev1.KustomizationSpec{
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: "repo"},
			Interval:  metav1.Duration{Duration: time.Hour}, RetryInterval: &metav1.Duration{Duration: time.Second}, Prune: true,
		},
	}
	source := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "repo"},
		Spec: sourcev1.GitRepositorySpec{
			URL: url, Interval: metav1.Duration{Duration: 2 * time.Second}, Reference: &sourcev1.GitRepositoryRef{Branch: branch},
		},
	}
	for _, obj := range []client.Object{source, ks} {
		if err := w.Client.Create(w.t.Context(), obj); err != nil {
			w.t.Fatal(err)
		}
	}
	return ks
}

func (w *world) waitRevision(ks *kustomizev1.Kustomization, head string) {
	w.t.Helper()
	w.eventually("revision "+head+" is applied", settleTimeout, func(ctx context.Context) string {
		if err := w.Client.Get(ctx, client.ObjectKeyFromObject(ks), ks); err != nil {
			return err.Error()
		}
		if ks.Status.LastAppliedRevision != branch+"@sha1:"+head {
			return fmt.Sprintf("it is %q: %v", ks.Status.LastAppliedRevision, ks.Status.Conditions)
		}
		return ""
	})
}

func (w *world) waitValue(i int, value string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s has the value %s", settingsName(i), value), settleTimeout, func(ctx context.Context) string {
		cm := settingsAt(i)
		if err := w.Client.Get(ctx, client.ObjectKeyFromObject(cm), cm); err != nil {
			return err.Error()
		}
		if cm.Data["value"] != value {
			return fmt.Sprintf("it has %q", cm.Data["value"])
		}
		return ""
	})
}

// versions returns the resource versions of all that was applied.
func (w *world) versions() map[string]string {
	w.t.Helper()
	var list corev1.ConfigMapList
	if err := w.Client.List(w.t.Context(), &list, client.HasLabels{kustomizev1.LabelName}); err != nil {
		w.t.Fatal(err)
	}
	versions := make(map[string]string)
	for _, cm := range list.Items {
		versions[cm.Name] = cm.ResourceVersion
	}
	return versions
}

func (w *world) figure(k *keeper, name string) float64 {
	w.t.Helper()
	f, err := k.figures(w.t.Context())
	if err != nil || f[name] == 0 {
		w.t.Fatalf("measuring %s: %v, %v", k.name, f[name], err)
	}
	return f[name]
}
