package helmrelease_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/program"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

// The namespaces of what was recorded; they are part of the releases.
const (
	recordedOwner  = "flux-system"
	recordedTarget = "shop"
)

// TestTakeoverFromFlux loads what Flux 2.9 left of three HelmReleases, starts the controller,
// and finds everything as it was: no release, no write to an object, no word said.
//
// It does not run in parallel: the objects are in namespaces of a fixed name.
func TestTakeoverFromFlux(t *testing.T) {
	w := prepareWorld(t)
	for _, name := range []string{recordedTarget, recordedOwner} {
		w.occupy(name)
	}
	packed, err := os.ReadFile(filepath.Join("..", "overlay", "testdata", "demo-1.2.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	var loaded []*unstructured.Unstructured
	for _, file := range []string{"objects.yaml", "helmcharts.yaml"} {
		for _, obj := range read(t, filepath.Join("testdata", "recorded", file)) {
			loaded = append(loaded, w.load(obj))
		}
	}
	for _, obj := range read(t, filepath.Join("..", "overlay", "testdata", "release-secrets.yaml")) {
		loaded = append(loaded, w.load(obj))
	}
	for _, obj := range []client.Object{
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: recordedOwner, Name: "more-values"},
			Data:       map[string]string{"values.yaml": "replicas: 0\nconfig: {level: debug, nested: {list: [1, 2.5, \"3\", true, null]}}\n"},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: recordedOwner, Name: "tag"}, StringData: map[string]string{"tag": "2.0"}},
	} {
		w.Create(obj)
	}
	artifact := w.charts.PublishBytes("demo-1.2.3.tgz", "1.2.3", packed)
	var all []*helmv2.HelmRelease
	for _, name := range []string{"defaults", "from", "values"} {
		chart := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Namespace: recordedOwner, Name: recordedOwner + "-" + name}}
		w.offer(chart, artifact)
		all = append(all, w.loadRelease(name))
	}

	allow := w.Traffic.Forbid(func(r testplane.Request) bool {
		return r.Write() && (r.Resource != "helmreleases" || r.Sub != "status" && r.Method != "PATCH")
	})
	w.RunWith(func(d *daemon.Daemon) {
		d.Getenv = func(key string) string { return map[string]string{"RUNTIME_NAMESPACE": recordedOwner}[key] }
	}, us, program.Run, "--graceful-shutdown-timeout=1s")
	for _, hr := range all {
		was := hr.Status.DeepCopy()
		w.Poke(hr)
		w.WaitHandled(hr)
		if diff := cmp.Diff(*was, hr.Status, cmpopts.IgnoreFields(helmv2.HelmReleaseStatus{}, "ReconcileRequestStatus")); diff != "" {
			t.Errorf("the status of %s has changed (-Flux +weir):\n%s", hr.Name, diff)
		}
	}
	w.settle()
	allow()
	w.expectAsLoaded(loaded)
	w.expectStored(4)

	// Nor does drift detection find anything, once it is asked for.
	for _, hr := range all {
		w.change(hr, drift(helmv2.DriftDetectionEnabled))
	}
	for _, hr := range all {
		w.WaitReady(hr)
		w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
		for _, e := range w.events(hr) {
			t.Errorf("%s: %s %s", hr.Name, e.Reason, e.Message)
		}
	}
	w.settle()
	w.expectAsLoaded(loaded)
	w.expectStored(4)
	for _, hr := range all {
		if err := w.Client.Delete(t.Context(), hr); err != nil {
			t.Fatal(err)
		}
	}
	for _, hr := range all {
		w.WaitGone(hr)
	}
	w.expectStored(0)
}

// occupy creates a namespace, empty of what a test that failed has left.
func (w *world) occupy(name string) {
	w.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.Client.Delete(w.t.Context(), ns); client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	w.unfinish(name)
	w.WaitGone(ns)
	ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.Client.Create(w.t.Context(), ns); err != nil {
		w.t.Fatal(err)
	}
	ctx := context.WithoutCancel(w.t.Context()) // which has ended by then
	w.t.Cleanup(func() {
		w.unfinish(name)
		if err := w.Client.Delete(ctx, ns); err != nil {
			w.t.Error(err)
		}
	})
}

// unfinish takes the finalizers off what would keep a namespace from going.
func (w *world) unfinish(namespace string) {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	var releases helmv2.HelmReleaseList
	var charts sourcev1.HelmChartList
	for _, list := range []client.ObjectList{&releases, &charts} {
		if err := w.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			w.t.Error(err)
		}
	}
	var all []client.Object
	for i := range releases.Items {
		all = append(all, &releases.Items[i])
	}
	for i := range charts.Items {
		all = append(all, &charts.Items[i])
	}
	for _, obj := range all {
		if err := w.Client.Patch(ctx, obj, patch); client.IgnoreNotFound(err) != nil {
			w.t.Error(err)
		}
	}
}

// read returns the objects in a file.
func read(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	objs, err := manifest.Read(bytes.TrimSpace(data))
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// load creates an object as it was recorded, its managedFields included, and returns it as
// it is then.
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

// loadRelease creates a HelmRelease as it was recorded, its status included.
func (w *world) loadRelease(name string) *helmv2.HelmRelease {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(testplane.Root(w.t), "api", "helm", "v2", "testdata", "recorded", "helmrelease-"+name+".yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var recorded helmv2.HelmRelease
	if err := yaml.Unmarshal(data, &recorded); err != nil {
		w.t.Fatal(err)
	}
	hr := &helmv2.HelmRelease{
		ObjectMeta: metav1.ObjectMeta{Namespace: recordedOwner, Name: recorded.Name, Annotations: recorded.Annotations, Finalizers: recorded.Finalizers},
		Spec:       recorded.Spec,
	}
	w.Create(hr)
	hr.Status = recorded.Status
	// What was recorded is of the second generation, where the first had other values.
	hr.Status.ObservedGeneration, hr.Status.LastAttemptedGeneration = hr.Generation, hr.Generation
	for i := range hr.Status.Conditions {
		hr.Status.Conditions[i].ObservedGeneration = hr.Generation
	}
	if err := w.Client.Status().Update(w.t.Context(), hr); err != nil {
		w.t.Fatal(err)
	}
	w.own(hr, recorded.ManagedFields)
	return hr
}

// expectAsLoaded fails the test if anybody has changed an object but for its status. A write
// that changes anything moves the time of its entry in managedFields.
func (w *world) expectAsLoaded(loaded []*unstructured.Unstructured) {
	w.t.Helper()
	for _, before := range loaded {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(before.GroupVersionKind())
		now.SetNamespace(before.GetNamespace())
		now.SetName(before.GetName())
		if !w.Get(now) {
			w.t.Errorf("%s is gone", manifest.IDOf(before))
			continue
		}
		if diff := cmp.Diff(substance(before), substance(now)); diff != "" {
			w.t.Errorf("%s has changed (-before +now):\n%s", manifest.IDOf(before), diff)
		}
	}
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

// expectStored fails the test unless as many releases are stored.
func (w *world) expectStored(want int) {
	w.t.Helper()
	var list corev1.SecretList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(recordedOwner), client.MatchingLabels{"owner": "helm"}); err != nil {
		w.t.Fatal(err)
	}
	if got := len(list.Items); got != want {
		w.t.Errorf("%d releases are stored; want %d", got, want)
	}
}
