package loop

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Wakes lets what is no watch of the controller ask for runs: watches of what was
// applied, and work that has ended. The zero value is ready, and safe for concurrent use.
type Wakes struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	asked map[types.NamespacedName]time.Time // since the last run of each
}

// Source puts the requests into the queue of the controller that watches it.
func (w *Wakes) Source() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.queue = queue
		return nil
	})
}

// Wake asks for a run of an object, and does not block. Before the controller has started
// it does nothing, for every object is run then.
func (w *Wakes) Wake(obj types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue == nil {
		return
	}
	if _, again := w.asked[obj]; !again {
		if w.asked == nil {
			w.asked = make(map[types.NamespacedName]time.Time)
		}
		w.asked[obj] = time.Now()
	}
	w.queue.Add(reconcile.Request{NamespacedName: obj})
}

// Take returns when a run was first asked for since the last Take, zero if it was not.
// Each run begins with it, and an object that goes is forgotten by it.
func (w *Wakes) Take(obj types.NamespacedName) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.asked[obj]
	delete(w.asked, obj)
	return at
}
