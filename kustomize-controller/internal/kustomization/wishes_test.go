package kustomization_test

import (
	"strings"
	"testing"

	"weir.dev/kustomize-controller/internal/program"
)

// annotated is a manifest of a ConfigMap with an annotation of the API.
func annotated(name, value, key, wish string) string {
	return strings.Replace(configMapYAML(name, "k", value), "namespace: NS", "namespace: NS, annotations: {kustomize.toolkit.fluxcd.io/"+key+": "+wish+"}", 1)
}

// TestLiveObjectIsLeftAloneOnRequest: the annotation is what users reach for in an
// emergency, when a commit would take too long.
func TestLiveObjectIsLeftAloneOnRequest(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	stop := w.Run("kustomize-controller", program.Run)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))

	cm := w.configMap("a")
	w.Patch(cm, "night-shift", "metadata: {annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}}")
	w.Patch(cm, "night-shift", "data: {k: by-hand}")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "2"), "b.yaml": configMapYAML("b", "k", "2")}))
	w.expectValue("a", "by-hand")
	w.expectValue("b", "2")

	stop()
	w.Run("kustomize-controller", program.Run)
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "3"), "b.yaml": configMapYAML("b", "k", "3")}))
	w.expectValue("a", "by-hand") // by a process that has never applied it, too

	w.waitApplied(ks, w.publish(map[string]string{"b.yaml": configMapYAML("b", "k", "3")}))
	if !w.Get(cm) {
		t.Error("the object was pruned although it is to be left alone")
	}
}

func TestIfNotPresentIsCreatedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := w.configMap("there")
	there.Data = map[string]string{"k": "theirs"}
	w.Create(there)
	ks := w.kustomization("app", "")
	tree := func(value string) map[string]string {
		return map[string]string{"a.yaml": annotated("new", value, "ssa", "IfNotPresent"), "b.yaml": annotated("there", value, "ssa", "IfNotPresent")}
	}
	w.waitApplied(ks, w.publish(tree("1")))
	w.expectValue("new", "1")
	w.expectValue("there", "theirs")

	cm := w.configMap("new")
	w.Patch(cm, "somebody", "data: {k: changed}")
	w.waitApplied(ks, w.publish(tree("2")))
	w.expectValue("new", "changed")

	w.Get(cm)
	if err := w.Client.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	w.Eventually("it is created again", func() bool { now := w.configMap("new"); return w.Get(now) && now.Data["k"] == "2" })
}
