package kustomization_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/kustomize-controller/internal/program"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

// us is the field manager of applied objects, which is Flux's.
const us = "kustomize-controller"

// TestTakeoverFromFlux loads what Flux 2.9 left of two Kustomizations, starts the
// controller, and finds everything as it was. Then the same comes out of a fresh start.
//
// It does not run in parallel: the objects are in namespaces of a fixed name.
func TestTakeoverFromFlux(t *testing.T) {
	w := prepareWorld(t)
	w.repo = w.source("fleet")
	w.vacate()
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if err := w.Client.Create(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	t.Cleanup(func() { // the context of the test has ended by then
		if err := w.Client.Delete(context.WithoutCancel(ctx), shop); err != nil {
			t.Error(err)
		}
	})
	plain, overlay := recordedKustomization(t, "plain"), recordedKustomization(t, "overlay")
	w.publishRecorded(plain.Status.LastAppliedRevision)

	var found []*unstructured.Unstructured
	for _, obj := range w.recordedObjects() {
		found = append(found, w.load(obj))
	}
	kss := []*kustomizev1.Kustomization{w.loadKustomization(plain), w.loadKustomization(overlay)}

	w.Traffic.Reset()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool {
		return r.Write() && (r.Method != "PATCH" || r.Resource == "kustomizations")
	})
	stop := w.Run("kustomize-controller", program.Run)
	w.Eventually("all objects are looked at", func() bool { return w.Traffic.Count(appliesRecorded) == len(found) })
	w.settle()
	allow()
	if got := w.Traffic.Count(appliesRecorded); got != len(found) {
		t.Errorf("%d writes of %d objects; want one that changes nothing for each", got, len(found))
	}
	for _, before := range found {
		w.expectUntouched(before)
	}
	for _, ks := range kss {
		before := ks.DeepCopy()
		w.Get(ks)
		if diff := cmp.Diff(before.Status, ks.Status); diff != "" {
			t.Errorf("the status of %s has changed (-Flux +weir):\n%s", ks.Name, diff)
		}
		if events := w.events(ks); len(events) > 0 {
			t.Errorf("%s: %s %s", ks.Name, events[0].Reason, events[0].Message)
		}
	}

	for _, ks := range kss {
		if err := w.Client.Delete(t.Context(), ks); err != nil {
			t.Fatal(err)
		}
	}
	for _, ks := range kss {
		w.WaitGone(ks)
	}
	for _, obj := range found {
		w.WaitGone(obj)
	}
	stop()
	w.startFresh(plain, overlay, found)
}

// startFresh applies the same again, where nothing of it exists.
func (w *world) startFresh(plain, overlay kustomizev1.Kustomization, recorded []*unstructured.Unstructured) {
	w.t.Helper()
	w.Run("kustomize-controller", program.Run)
	for _, was := range []kustomizev1.Kustomization{plain, overlay} {
		ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Name: was.Name}, Spec: was.Spec}
		w.Create(ks)
		rev := was.Status.LastAppliedRevision
		w.waitApplied(ks, rev)
		if diff := cmp.Diff(plainStatus(was.Status, rev), plainStatus(ks.Status, rev)); diff != "" {
			w.t.Errorf("the status of %s differs (-Flux +weir):\n%s", ks.Name, diff)
		}
	}
	for _, was := range recorded {
		now := bare(was)
		if !w.Get(now) {
			w.t.Errorf("%s is missing", manifest.IDOf(was))
			continue
		}
		if diff := cmp.Diff(ownFields(w.t, was), ownFields(w.t, now)); diff != "" {
			w.t.Errorf("what is ours in %s differs (-Flux +weir):\n%s", manifest.IDOf(was), diff)
		}
	}
}

// appliesRecorded matches the writes of recorded objects.
func appliesRecorded(r testplane.Request) bool {
	return r.Write() && r.Resource != "kustomizations" && r.Resource != "events"
}

// vacate removes what a test that failed has left of what was recorded.
func (w *world) vacate() {
	w.t.Helper()
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "plain:reader"}},
	} {
		if err := w.Client.Delete(w.t.Context(), obj); client.IgnoreNotFound(err) != nil {
			w.t.Fatal(err)
		}
		w.WaitGone(obj)
	}
}

// publishRecorded makes the tree that Flux built from the artifact of the source.
func (w *world) publishRecorded(revision string) {
	w.t.Helper()
	dir, err := artifact.NewDir(sourcev1.GitRepositoryKind, w.Namespace, w.repo.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	path, err := dir.File(revision[strings.LastIndexByte(revision, ':')+1:] + ".tar.gz")
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := w.files.Put(path, func(out io.Writer) error { return pack(out, fleet(w.t)) })
	if err != nil {
		w.t.Fatal(err)
	}
	w.Get(w.repo)
	w.repo.Status.Artifact = &meta.Artifact{
		Path: path.String(), URL: path.URL(w.server.URL), Revision: revision,
		Digest: stored.Digest.String(), Size: &stored.Size, LastUpdateTime: metav1.Now(),
	}
	if err := w.Client.Status().Update(w.t.Context(), w.repo); err != nil {
		w.t.Fatal(err)
	}
}

// recordedObjects are what Flux applied, of owners in the namespace of the test.
func (w *world) recordedObjects() []*unstructured.Unstructured {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", "objects.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	objs, err := manifest.Read(data)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, obj := range objs {
		labels := obj.GetLabels()
		labels[kustomizev1.LabelNamespace] = w.Namespace
		obj.SetLabels(labels)
	}
	return objs
}

// load creates an object as it was recorded, its managedFields included, and returns it
// as it is then.
func (w *world) load(recorded *unstructured.Unstructured) *unstructured.Unstructured {
	w.t.Helper()
	obj := recorded.DeepCopy()
	for _, field := range [][]string{
		{"metadata", "uid"}, {"metadata", "resourceVersion"}, {"metadata", "managedFields"}, {"metadata", "creationTimestamp"},
		{"status"}, {"spec", "clusterIP"}, {"spec", "clusterIPs"},
	} {
		unstructured.RemoveNestedField(obj.Object, field...)
	}
	if err := w.Client.Create(w.t.Context(), obj, client.FieldOwner("loader")); err != nil {
		w.t.Fatalf("loading %s: %v", manifest.IDOf(recorded), err)
	}
	w.own(obj, recorded.GetManagedFields())
	return obj
}

// own replaces the managedFields of an object.
func (w *world) own(obj client.Object, entries []metav1.ManagedFieldsEntry) {
	w.t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/metadata/managedFields", "value": entries}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.Client.Patch(w.t.Context(), obj, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		w.t.Fatal(err)
	}
}

// loadKustomization creates a Kustomization as it was recorded, its status included.
func (w *world) loadKustomization(recorded kustomizev1.Kustomization) *kustomizev1.Kustomization {
	w.t.Helper()
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Name: recorded.Name, Annotations: recorded.Annotations, Finalizers: recorded.Finalizers},
		Spec:       recorded.Spec,
	}
	w.Create(ks)
	ks.Status = recorded.Status
	if err := w.Client.Status().Update(w.t.Context(), ks); err != nil {
		w.t.Fatal(err)
	}
	w.own(ks, recorded.ManagedFields)
	return ks
}

// expectUntouched fails the test if anybody has changed an object but for its status. A
// write that changes anything moves the time of its entry in managedFields.
func (w *world) expectUntouched(before *unstructured.Unstructured) {
	w.t.Helper()
	now := bare(before)
	if !w.Get(now) {
		w.t.Errorf("%s is gone", manifest.IDOf(before))
		return
	}
	if diff := cmp.Diff(substance(before), substance(now)); diff != "" {
		w.t.Errorf("%s has changed (-before +now):\n%s", manifest.IDOf(before), diff)
	}
}

// bare is the identity of an object.
func bare(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{}
	out.SetGroupVersionKind(obj.GroupVersionKind())
	out.SetNamespace(obj.GetNamespace())
	out.SetName(obj.GetName())
	return out
}

// substance is an object without its status, and what is noted about that.
func substance(obj *unstructured.Unstructured) map[string]any {
	out := obj.DeepCopy()
	delete(out.Object, "status")
	out.SetResourceVersion("")
	var entries []metav1.ManagedFieldsEntry
	for _, e := range out.GetManagedFields() {
		if e.Subresource == "" {
			entries = append(entries, e)
		}
	}
	out.SetManagedFields(entries)
	annotations := out.GetAnnotations()
	delete(annotations, "deployment.kubernetes.io/revision")
	out.SetAnnotations(annotations)
	return out.Object
}

// ownFields are the fields of an object that are ours, as YAML would have them.
func ownFields(t *testing.T, obj *unstructured.Unstructured) map[string]any {
	t.Helper()
	for _, e := range obj.GetManagedFields() {
		if e.Manager == us && e.Operation == metav1.ManagedFieldsOperationApply {
			var out map[string]any
			if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	return nil
}
