package health_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// A Deployment on nodes that run its Pods, as far as simulated ones do.
func TestDeploymentBecomesCurrent(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	objects, err := dynamic.NewForConfig(p.Config())
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan types.NamespacedName, 1000)
	w := health.NewWatcher(watch.Objects(objects), health.Options{Selector: "owner=" + p.Namespace}, func(o types.NamespacedName) { woken <- o })
	run(t, w)

	app := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: `+p.Namespace+`, labels: {owner: `+p.Namespace+`}}
spec:
  replicas: 2
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: example.com/a}]}}
`)
	p.Create(app)
	await := func() {
		w.Await(owner("o"), []health.Awaited{{
			ID: manifest.IDOf(app), Resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, Version: app.GetResourceVersion(),
		}})
	}
	await()
	deadline := time.After(2 * time.Minute)
	follow := func(what string) {
		t.Helper()
		// Only a wake asks for another look, as in a controller.
		for len(w.Check(owner("o"))) > 0 {
			select {
			case <-woken:
			case <-deadline:
				t.Fatalf("waited in vain %s: %v", what, w.Check(owner("o")))
			}
		}
	}
	follow("after its creation")
	p.Get(app)
	if status, why := health.Of(app); status != health.Current {
		t.Errorf("the watcher says Current, and the object says %s: %s", status, why)
	}

	// A change of the spec counts from the version on that it made.
	p.Patch(app, "test", "spec: {template: {spec: {containers: [{name: a, image: example.com/b}]}}}")
	await()
	follow("after its change")
	var pods corev1.PodList
	if err := p.Client.List(t.Context(), &pods, client.InNamespace(p.Namespace)); err != nil {
		t.Fatal(err)
	}
	fresh := 0
	for _, pod := range pods.Items {
		if pod.Spec.Containers[0].Image == "example.com/b" && pod.Status.Phase == corev1.PodRunning {
			fresh++
		}
	}
	if fresh != 2 {
		t.Errorf("%d Pods run the new image, want 2", fresh)
	}
	if got := p.Traffic.Count(func(r testplane.Request) bool { return !r.Watch }); got > 1 {
		t.Errorf("waiting is watching, but there were %d other requests than streams: %v", got, p.Traffic.Requests())
	}
}
