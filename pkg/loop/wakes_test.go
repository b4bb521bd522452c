package loop_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"weir.dev/pkg/loop"
)

// TestWakes: a run is asked for once however often it is, and knows since when.
func TestWakes(t *testing.T) {
	t.Parallel()
	var w loop.Wakes
	app, other := types.NamespacedName{Namespace: "a", Name: "app"}, types.NamespacedName{Namespace: "a", Name: "other"}
	w.Wake(app)
	if at := w.Take(app); !at.IsZero() {
		t.Errorf("before there is a queue, a run is asked for at %v", at)
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	t.Cleanup(queue.ShutDown)
	if err := w.Source().Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	w.Wake(app)
	between := time.Now()
	w.Wake(app)
	if n := queue.Len(); n != 1 {
		t.Errorf("%d requests wait; want 1", n)
	}
	if req, _ := queue.Get(); req.NamespacedName != app {
		t.Errorf("the request is for %v; want %v", req, app)
	}
	if at := w.Take(other); !at.IsZero() {
		t.Errorf("a run of an object that nobody woke is asked for at %v", at)
	}
	if at := w.Take(app); at.Before(begun) || at.After(between) {
		t.Errorf("the run was asked for at %v; want the first time, between %v and %v", at, begun, between)
	}
	if at := w.Take(app); !at.IsZero() {
		t.Errorf("the next run was asked for at %v; want it to begin anew", at)
	}
}
