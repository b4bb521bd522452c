package kustomization_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	corev1 "k8s.io/api/core/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestDriftWhileHealthIsAwaited: an object that was put back has to become healthy again.
// That is seen by a watch, and a status that is the same as before is not written.
func TestDriftWhileHealthIsAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", waiting, func(s *kustomizev1.KustomizationSpec) {
		s.HealthCheckExprs = []kustomize.CustomHealthCheck{lamps()}
	})
	rev := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")})
	for _, name := range []string{"a", "b"} { // the light of each is nobody's but the test's
		w.Wait("the lamp", w.configMap(name), func() bool { return true })
		w.light(name, "on")
	}
	w.waitApplied(ks, rev)

	cm := w.configMap("a")
	for round := range 3 {
		w.settle()
		w.Traffic.Reset()
		began := time.Now()
		w.Patch(cm, "night-shift", fmt.Sprintf("metadata: {labels: {other: stays}}\ndata: {k: by-hand-%d, light: flickers}", round))
		w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
		w.light("a", "on")
		w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, fmt.Sprintf(`data.k "1" -> "by-hand-%d" by night-shift`, round))
		w.waitApplied(ks, rev)
		w.settle()
		if time.Since(began) < 2*time.Second {
			break // else it may be told that health is awaited, as on a busy machine
		}
	}
	w.expectRequests("a look, an apply, an event", map[string]int{"GET configmaps": 1, "PATCH configmaps": 1, "POST events": 1})
	if cm.Labels["other"] != "stays" {
		t.Errorf("the labels are %v; want that of somebody else to stay", cm.Labels)
	}
}
