package helmrelease_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

// beside names a namespace of this test beside its own, which goes with it.
func (w *world) beside(suffix string) *corev1.Namespace {
	w.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace + "-" + suffix}}
	w.t.Cleanup(func() {
		if err := w.Client.Delete(context.WithoutCancel(w.t.Context()), ns); client.IgnoreNotFound(err) != nil {
			w.t.Error(err)
		}
	})
	return ns
}

// storedIn is like stored, in any namespace.
func (w *world) storedIn(namespace, release string) []string {
	w.t.Helper()
	var list corev1.SecretList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(namespace), client.MatchingLabels{"owner": "helm", "name": release}); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, s := range list.Items {
		out = append(out, s.Labels["version"]+" "+s.Labels["status"])
	}
	return out
}

// TestStorageOfAnotherNamespace: releases are stored there, found there again, and leave
// nothing there when they go, or are to be stored elsewhere.
func TestStorageOfAnotherNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	storage := w.beside("storage")
	if err := w.Client.Create(t.Context(), storage); err != nil {
		t.Fatal(err)
	}
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.StorageNamespace = storage.Name })
	w.waitReleased(hr, 1)
	w.change(hr, values("k: two"))
	w.waitReleased(hr, 2)
	w.expectValue("app", "two") // which is beside the HelmRelease
	if diff := cmp.Diff([]string{"1 superseded", "2 deployed"}, w.storedIn(storage.Name, "app")); diff != "" || len(w.stored("app")) > 0 {
		t.Errorf("stored beside the HelmRelease are %q, in the other namespace (-want +got):\n%s", w.stored("app"), diff)
	}
	if hr.Status.StorageNamespace != storage.Name {
		t.Errorf("status.storageNamespace is %q; want %q", hr.Status.StorageNamespace, storage.Name)
	}
	w.stop()
	w.start()
	w.Poke(hr)
	w.WaitHandled(hr)
	if got := w.storedIn(storage.Name, "app"); len(got) != 2 {
		t.Errorf("after a restart, stored are %q; want what was", got)
	}

	cm := w.configMap("app")
	w.Get(cm)
	was := cm.UID
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.StorageNamespace = "" })
	w.Wait("the release to be stored here", hr, func() bool { return ready(hr) && hr.Status.StorageNamespace == w.Namespace })
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" || len(w.storedIn(storage.Name, "app")) > 0 {
		t.Errorf("stored in the other namespace are %q, beside the HelmRelease (-want +got):\n%s", w.storedIn(storage.Name, "app"), diff)
	}
	if w.Get(cm); cm.UID == was {
		t.Error("the ConfigMap is the one of before; want the release to be installed anew")
	}

	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.StorageNamespace = storage.Name })
	w.Wait("the release to be stored there", hr, func() bool { return ready(hr) && hr.Status.StorageNamespace == storage.Name })
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	if got := w.storedIn(storage.Name, "app"); len(got) > 0 || w.Get(cm) {
		t.Errorf("stored are %q; want nothing to be left", got)
	}
}

// TestReleaseInATargetNamespace has the name that says so, and makes the namespace only
// where that is asked for.
func TestReleaseInATargetNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.beside("t")
	w.publish(demo(t, "1.0.0"))
	without := w.release("without", func(s *helmv2.HelmReleaseSpec) { s.TargetNamespace = target.Name })
	w.waitMessage(without, helmv2.ConditionReady, `create the namespace "`+target.Name+`", or set spec.install.createNamespace`)
	if w.Get(target) {
		t.Fatal("the namespace is there, though nobody asked for it")
	}
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.TargetNamespace, s.ReleaseName, s.Install = target.Name, "app", &helmv2.Install{CreateNamespace: true}
	})
	w.waitReleased(hr, 1)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target.Name, Name: "app"}}
	if !w.Get(cm) || cm.Labels[helmv2.LabelNamespace] != w.Namespace || len(w.stored("app")) == 0 {
		t.Errorf("the ConfigMap has labels %v, and stored are %q; want it to be of the HelmRelease, whose namespace has the Secrets", cm.Labels, w.stored("app"))
	}
	if last := hr.Status.History.Latest(); last.Namespace != target.Name || last.Name != "app" {
		t.Errorf("the release is %s/%s; want %s/app", last.Namespace, last.Name, target.Name)
	}
	if !w.Get(target) || target.Labels[helmv2.LabelName] != "" {
		t.Errorf("the namespace has labels %v; want none that say whose it is", target.Labels)
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.TargetNamespace = "" })
	w.Wait("the release to be here", hr, func() bool { return ready(hr) && hr.Status.History.Latest().Namespace == w.Namespace })
	w.expectValue("app", "1")
	if w.Get(cm) || !w.Get(target) || target.DeletionTimestamp != nil {
		t.Error("want the ConfigMap of before to be gone, and the namespace to stay")
	}
}

// TestReleaseIsCalledAfterItsTarget unless it is named.
func TestReleaseIsCalledAfterItsTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	target := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "target-"}}
	if err := w.Client.Create(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Client.Delete(context.WithoutCancel(t.Context()), target); err != nil {
			t.Error(err)
		}
	})
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.TargetNamespace = target.Name })
	w.waitReleased(hr, 1)
	if got := hr.Status.History.Latest().Name; got != target.Name+"-app" || len(w.stored(got)) != 1 {
		t.Errorf("the release is %q; want it to be called after its target", got)
	}
}

// TestChartsOfOtherNamespaces are released, and a HelmChart is where its source is.
func TestChartsOfOtherNamespaces(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	beside := w.beside("charts")
	if err := w.Client.Create(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	// The controller looks into all namespaces, which are those of other tests as well.
	w.start("--watch-all-namespaces=true", "--watch-label-selector=sharding.fluxcd.io/key="+w.Namespace)
	artifact := w.charts.Publish(demo(t, "1.0.0"))
	mine := func(hr *helmv2.HelmRelease) *helmv2.HelmRelease {
		w.Patch(hr, "test", "metadata: {labels: {sharding.fluxcd.io/key: "+w.Namespace+"}}")
		return hr
	}

	there := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Namespace: beside.Name, Name: "there"}, Spec: w.source.Spec}
	w.Create(there)
	w.offer(there, artifact)
	w.waitReleased(mine(w.release("ref", func(s *helmv2.HelmReleaseSpec) {
		s.ChartRef = &helmv2.CrossNamespaceSourceReference{Kind: sourcev1.HelmChartKind, Namespace: beside.Name, Name: "there"}
	})), 1)
	w.expectValue("ref", "1")

	hr := mine(w.release("made", template, func(s *helmv2.HelmReleaseSpec) { s.Chart.Spec.SourceRef.Namespace = beside.Name }))
	chart := w.chartOf(hr)
	chart.Namespace = beside.Name
	w.Wait("the HelmChart", chart, func() bool { return chart.Labels[helmv2.LabelNamespace] == w.Namespace })
	w.offer(chart, artifact)
	w.waitReleased(hr, 1)
	if want := beside.Name + "/" + chart.Name; hr.Status.HelmChart != want {
		t.Errorf("status.helmChart is %q; want %q", hr.Status.HelmChart, want)
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Chart.Spec.SourceRef.Namespace = "" })
	w.WaitGone(chart)
	moved := w.chartOf(hr)
	w.Wait("the HelmChart beside the HelmRelease", moved, func() bool { return true })
	w.offer(moved, artifact)
	w.WaitReady(hr)
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(moved)
}
