package kustomization_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestDriftWhileHealthIsAwaited: an object that was put back has to become healthy again.
// That is seen by a watch, and a status that is the same as before is not written.
func TestDriftWhileHealthIsAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", waiting)
	rev := w.publish(map[string]string{"d.yaml": deploymentYAML("web", ""), "a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, rev)
	w.settle()

	w.Traffic.Reset()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "web"}}
	w.Patch(d, "night-shift", "metadata: {labels: {other: stays}}\nspec: {minReadySeconds: 0, replicas: 2}")
	w.Wait("the value is put back", d, func() bool { return *d.Spec.Replicas == 1 })
	w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "spec.replicas 1 -> 2 by night-shift")
	w.waitApplied(ks, rev)
	w.settle()
	w.expectRequests("a look, an apply, an event", map[string]int{"GET deployments": 1, "PATCH deployments": 1, "POST events": 1})
	if d.Labels["other"] != "stays" {
		t.Errorf("the labels are %v; want that of somebody else to stay", d.Labels)
	}
}
