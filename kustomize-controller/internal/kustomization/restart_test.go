package kustomization_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/kustomize-controller/internal/program"
	"weir.dev/pkg/testplane"
)

// TestRestartChangesNothing: a new process knows nothing of how objects were left. It
// applies each once, without a dry run, and finds all as it should be.
func TestRestartChangesNothing(t *testing.T) {
	t.Parallel()
	const n = 3
	w := prepareWorld(t)
	stop := w.Run("kustomize-controller", program.Run)
	ks := w.kustomization("app", "")
	tree := make(map[string]string, n)
	for i := range n {
		tree[fmt.Sprintf("%d.yaml", i)] = configMapYAML(fmt.Sprintf("cm-%d", i), "k", "1")
	}
	w.waitApplied(ks, w.publish(tree))
	stop()
	versions := make(map[string]string, n)
	for i := range n {
		cm := w.configMap(fmt.Sprintf("cm-%d", i))
		w.Get(cm)
		versions[cm.Name] = cm.ResourceVersion
	}
	w.Get(ks)
	before := ks.DeepCopy()

	w.Traffic.Reset()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return r.DryRun || testplane.Writes("kustomizations")(r) })
	stop = w.Run("kustomize-controller", program.Run)
	w.Eventually("all objects are applied again", func() bool {
		return w.Traffic.Count(testplane.Writes("configmaps")) == n
	})
	w.settle()
	allow()
	if got := w.Traffic.Count(testplane.Writes("configmaps")); got != n {
		t.Errorf("%d writes of ConfigMaps after a restart; want %d", got, n)
	}
	for name, version := range versions {
		if cm := w.configMap(name); !w.Get(cm) || cm.ResourceVersion != version {
			t.Errorf("ConfigMap %s is at version %s; want %s", name, cm.ResourceVersion, version)
		}
	}
	w.Get(ks)
	if diff := cmp.Diff(before.Status, ks.Status); diff != "" {
		t.Errorf("the status has changed (-before +after):\n%s", diff)
	}
	stop()

	w.Patch(w.configMap("cm-1"), "night-shift", "data: {k: by-hand}")
	w.Run("kustomize-controller", program.Run)
	cm := w.configMap("cm-1")
	w.Wait("what was changed meanwhile is put back", cm, func() bool { return cm.Data["k"] == "1" })
}

// TestSuspendedIsLeftAlone also covers that it goes on where it was.
func TestSuspendedIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	first := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, first)
	w.Patch(ks, "test", "spec: {suspend: true}")
	w.settle()
	w.Traffic.Forbid(testplane.Writes())
	second := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "2")})
	w.settle()
	w.Get(ks)
	if ks.Status.LastAppliedRevision != first {
		t.Errorf("revision %s was applied while suspended", ks.Status.LastAppliedRevision)
	}
	w.Traffic.Forbid(func(testplane.Request) bool { return false })
	w.Patch(ks, "test", "spec: {suspend: false}")
	w.waitApplied(ks, second)
	w.expectValue("a", "2")
}

func TestRequestIsHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "")
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	w.Poke(ks)
	w.WaitHandled(ks)
	w.publish(map[string]string{"a.yaml": "kind: ConfigMap\n\tx"})
	w.WaitCondition(ks, kustomizev1.ConditionReady, "False", kustomizev1.ReasonBuildFailed)
	generation := ks.Status.ObservedGeneration
	w.Patch(ks, "test", "spec: {timeout: 2m}")
	w.Poke(ks)
	w.WaitHandled(ks)
	if ks.Status.ObservedGeneration != generation {
		t.Errorf("observedGeneration went from %d to %d with a run that failed", generation, ks.Status.ObservedGeneration)
	}
}
