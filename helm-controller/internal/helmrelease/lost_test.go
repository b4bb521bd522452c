package helmrelease_test

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
)

// plums is refusable, with a definition that only this test has.
func (w *world) plums(version string) *charttest.Chart {
	w.t.Helper()
	group := w.Namespace + ".example.com"
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "plums." + group}}
	ctx := context.WithoutCancel(w.t.Context()) // which has ended by then
	w.t.Cleanup(func() {
		if err := w.Client.Delete(ctx, crd); client.IgnoreNotFound(err) != nil {
			w.t.Error(err)
		}
	})
	return demo(w.t, version,
		"templates/other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.k | quote }}\n",
		"crds/plums.yaml", `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: plums.`+group+`}
spec:
  group: `+group+`
  scope: Namespaced
  names: {kind: Plum, plural: plums, singular: plum, listKind: PlumList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`)
}

// lose has the status tell no more than it did before an action, as if the process had been
// killed before it could record what came of that.
func (w *world) lose(hr *helmv2.HelmRelease, before helmv2.HelmReleaseStatus) {
	w.t.Helper()
	w.Get(hr)
	st := &hr.Status
	st.History, st.Inventory, st.Conditions = before.History, before.Inventory, nil
	st.ObservedPostRenderersDigest, st.ObservedCommonMetadataDigest = before.ObservedPostRenderersDigest, before.ObservedCommonMetadataDigest
	st.ObservedGeneration = -1
	if err := w.Client.Status().Update(w.t.Context(), hr); err != nil {
		w.t.Fatal(err)
	}
}

// TestReleaseThatWasNotRecorded is taken up by the next process as it is: nothing is
// released again.
func TestReleaseThatWasNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.plums("1.0.0"))
	hr := w.release("app", values("k: good"), func(s *helmv2.HelmReleaseSpec) {
		s.CommonMetadata = &helmv2.CommonMetadata{Labels: map[string]string{"team": "a"}}
	})
	w.waitReleased(hr, 1)
	w.settle()
	w.stop()
	was := hr.Status.DeepCopy()
	w.lose(hr, helmv2.HelmReleaseStatus{})
	w.start()
	w.waitReleased(hr, 1)
	w.lookAgain(hr)
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(was.Inventory, hr.Status.Inventory); diff != "" {
		t.Errorf("the inventory (-recorded +recovered):\n%s", diff)
	}
	if diff := cmp.Diff(was.History, hr.Status.History); diff != "" {
		t.Errorf("the history (-recorded +recovered):\n%s", diff)
	}
	if got, want := hr.Status.ObservedCommonMetadataDigest, was.ObservedCommonMetadataDigest; got != want || got == "" {
		t.Errorf("the metadata that was laid over the release is %q; want %q", got, want)
	}
}

// TestUpgradeOverEarlierValuesThatWasNotRecorded: its values are not those that were asked for
// alone, and it is ours all the same.
func TestUpgradeOverEarlierValuesThatWasNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", values("{k: one, other: stays, deep: {a: 1, b: 2}}"), func(s *helmv2.HelmReleaseSpec) {
		s.Upgrade = &helmv2.Upgrade{PreserveValues: true}
	})
	w.waitReleased(hr, 1)
	before := hr.Status.DeepCopy()
	w.change(hr, values("{k: two, deep: {b: 3}}"))
	w.waitReleased(hr, 2)
	w.settle()
	w.stop()
	was := hr.Status.DeepCopy()
	w.lose(hr, *before)
	w.start()
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	w.lookAgain(hr)
	if diff := cmp.Diff([]string{"1 superseded", "2 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(was.History, hr.Status.History); diff != "" {
		t.Errorf("the history (-recorded +recovered):\n%s", diff)
	}
}

// TestRollbackLeavesDefinitions, and the inventory knows them.
func TestRollbackLeavesDefinitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.plums("1.0.0"))
	hr := w.release("app", values("k: good"), retries(1))
	w.waitReleased(hr, 1)
	was := hr.Status.Inventory.DeepCopy()
	if !slices.ContainsFunc(was.Entries, func(e helmv2.ResourceRef) bool { return strings.HasSuffix(e.ID, "_CustomResourceDefinition") }) {
		t.Fatalf("the inventory is %v; want it to have the definition", was.Entries)
	}
	w.change(hr, values("k: Not_A_Name"))
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	if c := conditions.Get(hr, helmv2.ConditionReady); c.Reason != helmv2.ReasonRollbackSucceeded {
		t.Fatalf("Ready is %+v; want it to be rolled back", c)
	}
	if diff := cmp.Diff(was, hr.Status.Inventory); diff != "" {
		t.Errorf("the inventory (-before +after the rollback):\n%s", diff)
	}
}

// TestRequestIsHandledAtTheEnd of what it asks for: who waits for that finds all of it done.
func TestRequestIsHandledAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	w.waitUnderWay(hr, "install")
	if got, want := conditions.GetMessage(hr, helmv2.ConditionReady), "Running 'install' action with timeout of 5m0s"; got != want {
		t.Errorf("Ready says %q; want %q", got, want)
	}
	before := w.runs(hr)
	w.Poke(hr)
	w.Eventually("a run", func() bool { return w.runs(hr) > before }) // which has written its status
	if w.Get(hr); hr.Status.LastHandledReconcileAt != "" {
		t.Errorf("handled is %q while the action is under way", hr.Status.LastHandledReconcileAt)
	}
	w.unstick("app")
	w.WaitHandled(hr)
	if !ready(hr) {
		t.Errorf("conditions are %+v when the request is handled; want it to be Ready", hr.Status.Conditions)
	}

	// One that fails is handled, too.
	w.publish(demo(t, "2.0.0", "templates/bad.yaml", "a: 1\nb: {{ fail \"no such luck\" }}\n"))
	w.waitMessage(hr, helmv2.ConditionReady, "no such luck")
	w.Poke(hr)
	w.WaitHandled(hr)
}

// TestDriftTellsNoSecrets: what a chart has put from a Secret into another object is not told
// by who detects that it was changed.
func TestDriftTellsNoSecrets(t *testing.T) {
	t.Parallel()
	for mode, reason := range map[helmv2.DriftDetectionMode]string{
		helmv2.DriftDetectionWarn: helmv2.ReasonDriftDetected, helmv2.DriftDetectionEnabled: helmv2.ReasonDriftCorrected,
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0", "templates/more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: encoded}\ndata: {k: {{ .Values.k | b64enc }}}\n"))
			w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret"}, StringData: map[string]string{"k": "do-not-tell"}})
			hr := w.release("app", drift(mode), func(s *helmv2.HelmReleaseSpec) {
				s.ValuesFrom = []meta.ValuesReference{{Kind: "Secret", Name: "secret", ValuesKey: "k", TargetPath: "k"}}
			})
			w.waitReleased(hr, 1)
			w.settle()
			for _, name := range []string{"app", "encoded"} {
				w.Patch(w.configMap(name), "night-shift", "data: {k: changed}")
				e := w.waitEvent(hr, map[bool]string{true: corev1.EventTypeWarning, false: corev1.EventTypeNormal}[mode == helmv2.DriftDetectionWarn], reason, "/"+name, "night-shift", `data.k "***" -> "changed"`)
				for key, value := range e.Annotations {
					if strings.Contains(value, "do-not-tell") || strings.Contains(value, base64.StdEncoding.EncodeToString([]byte("do-not-tell"))) {
						t.Errorf("the annotation %s of the event is %q", key, value)
					}
				}
			}
		})
	}
}
