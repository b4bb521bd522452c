package kustomization_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestWhatKubectlAddsIsRemoved also covers that the object can ask for an exception, with
// kubectl as well.
func TestWhatKubectlAddsIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))
	w.settle()

	w.Traffic.Reset()
	cm := w.configMap("a")
	w.Patch(cm, "kubectl-edit", "data: {other: added}")
	w.Wait("the field is removed", cm, func() bool { _, there := cm.Data["other"]; return !there })
	e := w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "kubectl-edit")
	if want := "ConfigMap/" + w.Namespace + `/a: data.other nothing -> "added" by kubectl-edit at `; !strings.HasPrefix(e.Message, want) {
		t.Errorf("the event says %q; want it to begin with %q", e.Message, want)
	}
	w.settle()
	w.expectRequests("a look, a takeover and an apply", map[string]int{"GET configmaps": 1, "PATCH configmaps": 2, "POST events": 1})

	w.Traffic.Reset()
	exempt := w.configMap("b")
	w.Patch(exempt, "kubectl-annotate", "metadata: {annotations: {kustomize.toolkit.fluxcd.io/ssa: Merge}}")
	w.Patch(exempt, "kubectl-edit", "data: {other: stays}")
	w.settle()
	w.expectRequests("nothing", map[string]int{})
	w.Patch(exempt, "kubectl-edit", "data: {k: '5'}")
	w.Wait("what is ours is put back", exempt, func() bool { return exempt.Data["k"] == "1" })
	if exempt.Data["other"] != "stays" {
		t.Errorf("ConfigMap has %v; want the key of somebody else to stay", exempt.Data)
	}
}

// TestManagerThatIsOverridden: its fields go as those of kubectl do.
func TestManagerThatIsOverridden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--override-manager=tool")
	there := w.configMap("a")
	there.Data = map[string]string{"k": "1", "other": "old"}
	w.Create(there)
	w.Patch(there, "tool", "data: {more: old}")
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	w.Get(there)
	if _, more := there.Data["more"]; more || there.Data["other"] != "old" {
		t.Errorf("ConfigMap has %v; want what the tool added to be gone, and the rest to be there", there.Data)
	}
	w.Patch(there, "tool", "data: {more: new}")
	w.Wait("the field is removed again", there, func() bool { _, more := there.Data["more"]; return !more })
}
