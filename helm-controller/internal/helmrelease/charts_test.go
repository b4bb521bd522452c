package helmrelease_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/pkg/manifest"
)

// chartGroup is the API group of what charts of charttest define; each test has its own.
const chartGroup = "widgets.example.com"

// group is the API group of this test.
func (w *world) group() string { return w.Namespace + "." + chartGroup }

// shared is a chart of charttest, with the API group of this test. What it defines goes with
// the test.
func (w *world) shared(name string) *charttest.Chart {
	w.t.Helper()
	w.t.Cleanup(func() {
		ctx := context.WithoutCancel(w.t.Context())
		for _, plural := range []string{"widgets", "widgetpools"} {
			crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: plural + "." + w.group()}}
			if err := w.Client.Delete(ctx, crd); client.IgnoreNotFound(err) != nil {
				w.t.Error(err)
			}
		}
	})
	return charttest.Open(w.t, name).Replace(chartGroup, w.group())
}

// asOnPlane has a release the values that a chart of charttest becomes ready with.
func asOnPlane(t *testing.T, name string) func(*helmv2.HelmReleaseSpec) {
	t.Helper()
	given := charttest.PlaneValues(t, name)
	data, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *helmv2.HelmReleaseSpec) {
		if given != nil {
			s.Values = &apiextensionsv1.JSON{Raw: data}
		}
	}
}

// newest is the newest version of a release, as the helm command reads it.
func (w *world) newest(name string) *release.Release {
	w.t.Helper()
	rel, err := w.helm().Releases.Last(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return rel
}

// objectsOf are those of the manifest of a release, each in its namespace.
func (w *world) objectsOf(rel *release.Release) []*unstructured.Unstructured {
	w.t.Helper()
	objs, err := manifest.Read([]byte(rel.Manifest))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, obj := range objs {
		namespaced, err := w.Client.IsObjectNamespaced(obj)
		if err != nil {
			w.t.Fatal(err)
		}
		if namespaced && obj.GetNamespace() == "" {
			obj.SetNamespace(rel.Namespace)
		}
	}
	return objs
}

// expectObjects fails the test unless all objects of a release are there, as many of each
// kind as are wanted, and say that they are of it.
func (w *world) expectObjects(rel *release.Release, want map[string]int) {
	w.t.Helper()
	got := make(map[string]int)
	for _, obj := range w.objectsOf(rel) {
		got[obj.GetKind()]++
		if !w.Get(obj) {
			w.t.Errorf("%s is not there", manifest.IDOf(obj))
			continue
		}
		of := []string{obj.GetLabels()[helmv2.LabelName], obj.GetLabels()[helmv2.LabelNamespace], obj.GetLabels()["app.kubernetes.io/managed-by"], obj.GetAnnotations()["meta.helm.sh/release-name"]}
		if diff := cmp.Diff([]string{rel.Name, w.Namespace, "Helm", rel.Name}, of); diff != "" {
			w.t.Errorf("%s says of whom it is (-want +got):\n%s", manifest.IDOf(obj), diff)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("objects of the release (-want +got):\n%s", diff)
	}
}

// expectHooks fails the test unless just the hooks of some events have run, all of them well.
func (w *world) expectHooks(rel *release.Release, events ...release.HookEvent) {
	w.t.Helper()
	for _, h := range rel.Hooks {
		want := release.HookPhase("")
		if slices.ContainsFunc(h.Events, func(e release.HookEvent) bool { return slices.Contains(events, e) }) {
			want = release.HookPhaseSucceeded
		}
		if h.LastRun.Phase != want {
			w.t.Errorf("hook %s of %v is %q; want %q", h.Name, h.Events, h.LastRun.Phase, want)
		}
	}
}

// entries are those of the inventory, which may be missing where it is empty.
func entries(hr *helmv2.HelmRelease) []helmv2.ResourceRef {
	if hr.Status.Inventory == nil {
		return nil
	}
	return hr.Status.Inventory.Entries
}

// expectUninstalled deletes hr, and fails the test unless nothing of its release is left but
// what asks to be kept.
func (w *world) expectUninstalled(hr *helmv2.HelmRelease, stays ...client.Object) {
	w.t.Helper()
	objs := w.objectsOf(w.newest(hr.GetReleaseName()))
	if err := w.Client.Delete(w.t.Context(), hr); err != nil {
		w.t.Fatal(err)
	}
	w.WaitGone(hr)
	for _, obj := range objs {
		keep := strings.EqualFold(obj.GetAnnotations()[kube.ResourcePolicyAnno], kube.KeepPolicy)
		if there := w.Get(obj) && obj.GetDeletionTimestamp() == nil; there != keep {
			w.t.Errorf("%s is there: %t; want %t", manifest.IDOf(obj), there, keep)
		}
	}
	for _, obj := range stays {
		if !w.Get(obj) || obj.GetDeletionTimestamp() != nil {
			w.t.Errorf("%T %s has gone; want it to stay", obj, obj.GetName())
		}
	}
	if stored := w.stored(hr.GetReleaseName()); len(stored) > 0 {
		w.t.Errorf("stored are %q; want nothing to be left", stored)
	}
}

// TestChartsAreReleased installs each chart of charttest, looks at what has become of it, and
// has it go again.
func TestChartsAreReleased(t *testing.T) {
	t.Parallel()
	all := shippedCharts()
	for _, name := range charttest.Names(t) {
		tc, ok := all[name]
		if !ok {
			t.Errorf("it is not said what comes of chart %q", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(w.shared(name))
			given := asOnPlane(t, name)
			if tc.values != "" {
				given = values(tc.values)
			}
			hr := w.release("app", given, func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: tc.tests} })
			if tc.meanwhile != nil {
				tc.meanwhile(w)
			}
			w.waitReleased(hr, 1)
			rel := w.newest("app")
			w.expectObjects(rel, tc.objects)
			events := []release.HookEvent{release.HookPreInstall, release.HookPostInstall}
			if tc.tests {
				events = append(events, release.HookTest)
			}
			w.expectHooks(rel, events...)
			if !strings.Contains(rel.Info.Notes, tc.notes) || tc.notes == "" && rel.Info.Notes != "" {
				t.Errorf("notes are %q; want %q (%s)", rel.Info.Notes, tc.notes, tc.why)
			}
			if got, want := entries(hr), len(w.objectsOf(rel))+tc.definitions; len(got) != want {
				t.Errorf("%d objects in the inventory; want %d: %v", len(got), want, got)
			}
			if tc.check != nil {
				tc.check(w, hr)
			}
			var stays []client.Object
			if tc.stays != nil {
				stays = tc.stays(w)
			}
			w.expectUninstalled(hr, stays...)
		})
	}
}
