package kustomization_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// noTimer keeps what waits for something from looking at it again by itself.
const noTimer = "--requeue-dependency=1h"

func dependsOn(name, expr string) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) {
		s.DependsOn = append(s.DependsOn, meta.DependencyReference{Name: name, ReadyExpr: expr})
	}
}

// waitNotReady waits until ks says why a dependency keeps it from being applied.
func (w *world) waitNotReady(ks *kustomizev1.Kustomization, message string) {
	w.t.Helper()
	message = strings.ReplaceAll(message, "NS", w.Namespace)
	w.Wait("a dependency that is not ready: "+message, ks, func() bool {
		c := conditions.Get(ks, kustomizev1.ConditionReady)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == kustomizev1.ReasonDependencyNotReady && strings.Contains(c.Message, message)
	})
}

// chain publishes a ConfigMap for each Kustomization of a name.
func (w *world) chain(value string, names ...string) (revision string) {
	w.t.Helper()
	tree := make(map[string]string, len(names))
	for _, name := range names {
		tree[name+"/a.yaml"] = configMapYAML(name, "k", value)
	}
	return w.publish(tree)
}

func TestDependentIsWoken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noTimer)
	w.lamp("lamp", "flickers")
	first := w.chain("1", "infra", "mid", "app")
	app := w.kustomization("app", "app", dependsOn("mid", ""))
	w.waitNotReady(app, "dependency 'NS/mid' not found")
	mid := w.kustomization("mid", "mid", dependsOn("infra", ""))
	w.waitNotReady(mid, "dependency 'NS/infra' not found")
	w.waitNotReady(app, "dependency 'NS/mid' is not ready")
	infra := w.kustomization("infra", "infra", checking("lamp"))
	w.waitChecking(infra, first)
	w.waitNotReady(mid, "dependency 'NS/infra' is not ready")
	if w.Get(w.configMap("mid")) || w.Get(w.configMap("app")) {
		t.Error("something was applied before what it depends on")
	}
	w.light("lamp", "on")
	for _, ks := range []*kustomizev1.Kustomization{infra, mid, app} {
		w.waitApplied(ks, first)
	}
	if err := w.Client.Delete(t.Context(), mid); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(mid)
	second := w.chain("2", "infra", "mid", "app")
	w.waitNotReady(app, "dependency 'NS/mid' not found")
	w.waitApplied(w.kustomization("mid", "mid", dependsOn("infra", "")), second)
	w.waitApplied(app, second)
}

// TestDependencyOfTheSameSourceGoesFirst: a dependency that is Ready with the revision
// before is not ready for this one.
func TestDependencyOfTheSameSourceGoesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noTimer)
	infra, app := w.kustomization("infra", "infra"), w.kustomization("app", "app", dependsOn("infra", ""))
	first := w.chain("1", "infra", "app")
	w.waitApplied(app, first)
	w.Patch(infra, "operator", "spec: {suspend: true}")
	w.waitApplied(infra, first)
	second := w.chain("2", "infra", "app")
	w.waitNotReady(app, "dependency 'NS/infra'")
	cm := w.configMap("app")
	if w.Get(cm); cm.Data["k"] != "1" {
		t.Errorf("the second revision was applied before what it depends on: %v", cm.Data)
	}
	w.Patch(infra, "operator", "spec: {suspend: false}")
	w.waitApplied(infra, second)
	w.waitApplied(app, second)
}

// TestReadyExprDecides: the dependency is suspended, so that it never becomes Ready.
func TestReadyExprDecides(t *testing.T) {
	t.Parallel()
	const same = "'version' in dep.metadata.?labels.orValue({}) && dep.metadata.labels.version == self.metadata.annotations.version"
	tests := map[string]struct {
		why   string
		flags []string
		adds  bool // the usual conditions count, too
	}{
		"alone":  {why: "as in Flux it takes the place of the usual conditions"},
		"on top": {why: "the gate adds it to them", flags: []string{"--feature-gates=AdditiveCELDependencyCheck=true"}, adds: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(tc.flags, noTimer)...)
			rev := w.chain("1", "infra", "app")
			infra := w.kustomization("infra", "infra", func(s *kustomizev1.KustomizationSpec) { s.Suspend = true })
			app := w.kustomization("app", "app", dependsOn("infra", same))
			w.Patch(app, "author", "metadata: {annotations: {version: v2}}")
			w.waitNotReady(app, "dependency 'NS/infra'")
			w.Patch(infra, "author", "metadata: {labels: {version: v1}}")
			w.Poke(app)
			w.WaitHandled(app)
			w.waitNotReady(app, "dependency 'NS/infra'")
			w.Patch(infra, "author", "metadata: {labels: {version: v2}}")
			if tc.adds {
				w.Poke(app)
				w.WaitHandled(app)
				w.waitNotReady(app, "dependency 'NS/infra' is not ready")
				w.Patch(infra, "operator", "spec: {suspend: false}")
			}
			w.waitApplied(app, rev)
		})
	}
}

// TestReadyExprThatCannotBeEvaluated: a field may come later, so nothing has failed yet.
func TestReadyExprThatCannotBeEvaluated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noTimer)
	rev := w.chain("1", "infra", "app")
	infra := w.kustomization("infra", "infra")
	w.waitApplied(infra, rev)
	app := w.kustomization("app", "app", dependsOn("infra", "dep.metadata.annotations.ready == 'yes'"))
	w.waitNotReady(app, "no such key: annotations")
	if stalled(app) != nil {
		t.Errorf("it is Stalled: %v", stalled(app))
	}
	w.Patch(infra, "author", "metadata: {annotations: {ready: 'yes'}}")
	w.waitApplied(app, rev)
	for _, e := range w.events(app) {
		if e.Type == "Warning" {
			t.Errorf("a dependency that is awaited warns: %s", e.Message)
		}
	}
}

func TestCycleIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noTimer)
	rev := w.chain("1", "a", "b", "c")
	a := w.kustomization("a", "a", dependsOn("b", ""))
	b := w.kustomization("b", "b", dependsOn("c", ""))
	c := w.kustomization("c", "c", dependsOn("a", ""))
	ways := map[*kustomizev1.Kustomization]string{
		a: "NS/a -> NS/b -> NS/c -> NS/a", b: "NS/b -> NS/c -> NS/a -> NS/b", c: "NS/c -> NS/a -> NS/b -> NS/c",
	}
	for ks, way := range ways {
		w.waitNotReady(ks, "dependency cycle: "+way)
	}
	w.Patch(c, "author", "spec: {dependsOn: null}")
	for ks := range ways {
		w.waitApplied(ks, rev)
	}
	itself := w.kustomization("itself", "a", dependsOn("itself", ""))
	w.waitNotReady(itself, fmt.Sprintf("dependency cycle: %s/itself -> %s/itself", w.Namespace, w.Namespace))
}
