// Package dependency has objects of the API wait until the objects of their own kind are
// ready that their dependsOn names.
//
// Nothing polls: a dependency that changes wakes the objects that wait for it, and only
// them. What else makes a dependency ready than that it says so is the kind's to add.
package dependency

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"weir.dev/pkg/loop"
)

// index finds the objects that depend on one.
const index = "dependency"

// Object is an API object of a kind whose objects may depend on each other. The types of
// weir.dev/api are such.
type Object interface {
	conditions.Getter
	GetObservedGeneration() int64
}

// Options say how dependencies of a kind are awaited.
type Options[T Object] struct {
	// Of returns the dependsOn of an object; required.
	Of func(T) []meta.DependencyReference
	// List is an empty list of the kind; required.
	List client.ObjectList
	// Live reads what the cache does not have, because it holds a part of the objects
	// only; nil if it holds all.
	Live client.Reader
	// Retry is when what waits is looked at again at the latest.
	Retry time.Duration
	// Additive has a readyExpr come on top of the usual conditions, not in their place.
	Additive bool
}

// Gate lets objects of a kind pass whose dependencies are ready. It is safe for
// concurrent use.
type Gate[T Object] struct {
	cache client.Reader
	opts  Options[T]

	mu      sync.Mutex
	waiting map[types.NamespacedName]bool
}

// New returns a Gate that reads from a cache.
func New[T Object](cache client.Reader, opts Options[T]) *Gate[T] {
	return &Gate[T]{cache: cache, opts: opts, waiting: make(map[types.NamespacedName]bool)}
}

// Index has the cache find the objects that depend on one; it is needed by Dependents.
func (g *Gate[T]) Index(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, newObject[T](), index, func(obj client.Object) []string {
		of, ok := obj.(T)
		if !ok {
			return nil
		}
		on := g.dependencies(of)
		keys := make([]string, len(on))
		for i, key := range on {
			keys[i] = key.String()
		}
		return keys
	})
}

// dependencies returns the names of what an object depends on.
func (g *Gate[T]) dependencies(obj T) []types.NamespacedName {
	refs := g.opts.Of(obj)
	keys := make([]types.NamespacedName, len(refs))
	for i, ref := range refs {
		keys[i] = keyOf(obj, ref)
	}
	return keys
}

// Await returns nil if the dependencies of an object are ready, and otherwise an error of
// package loop that ends its run: any change of one of them asks for another. exprs are
// the readyExpr of its dependsOn, by Compile. also says why a dependency that is ready
// does not count for obj yet, "" if it does; nil means that all do.
func (g *Gate[T]) Await(ctx context.Context, obj T, exprs Exprs, also func(dep T) string) error {
	refs, waits := g.opts.Of(obj), client.ObjectKeyFromObject(obj)
	if len(refs) == 0 {
		g.Forget(waits)
		return nil
	}
	g.await(waits) // before they are read, or a change might be missed
	for i, ref := range refs {
		key := keyOf(obj, ref)
		dep, err := g.read(ctx, key)
		switch {
		case apierrors.IsNotFound(err):
			return g.wait(fmt.Sprintf("dependency '%s' not found", key))
		case err != nil:
			return loop.Fail(meta.DependencyNotReadyReason, fmt.Errorf("reading dependency '%s': %w", key, err))
		}
		why, err := g.unready(ctx, obj, dep, exprs.of(i), also)
		if err != nil { // of readyExpr: the field that it misses may come yet
			why = fmt.Sprintf("dependency '%s': %v", key, err)
		}
		if why != "" {
			if cycle := g.cycle(ctx, obj); cycle != "" {
				why = "dependency cycle: " + cycle
			}
			return g.wait(why)
		}
	}
	g.Forget(waits)
	return nil
}

func (g *Gate[T]) wait(why string) error {
	return loop.Wait(meta.DependencyNotReadyReason, g.opts.Retry, "%s", why)
}

// await notes that an object waits.
func (g *Gate[T]) await(obj types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[obj] = true
}

// Forget tells that an object waits no longer, as when it is gone.
func (g *Gate[T]) Forget(obj types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiting, obj)
}

// waits reports whether an object does.
func (g *Gate[T]) waits(obj types.NamespacedName) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting[obj]
}

// read reads a dependency. The cache may have only those that this controller reconciles.
func (g *Gate[T]) read(ctx context.Context, key types.NamespacedName) (T, error) {
	dep := newObject[T]()
	err := g.cache.Get(ctx, key, dep)
	if err != nil && g.opts.Live != nil {
		err = g.opts.Live.Get(ctx, key, dep)
	}
	return dep, err
}

// Dependents asks for runs of the objects that wait for one that has changed.
func (g *Gate[T]) Dependents() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	tell := func(ctx context.Context, dep client.Object, q queue) {
		list, key := g.opts.List.DeepCopyObject().(client.ObjectList), client.ObjectKeyFromObject(dep).String()
		err := g.cache.List(ctx, list, client.MatchingFields{index: key}, client.UnsafeDisableDeepCopy)
		if err == nil {
			err = apimeta.EachListItem(list, func(item runtime.Object) error {
				if of, ok := item.(client.Object); ok && g.waits(client.ObjectKeyFromObject(of)) {
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(of)})
				}
				return nil
			})
		}
		if err != nil {
			log.FromContext(ctx).Error(err, "looking for what depends on an object", "dependency", key)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { tell(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { tell(ctx, e.ObjectNew, q) },
	}
}

// newObject returns an empty object of the kind.
func newObject[T Object]() T {
	return reflect.New(reflect.TypeFor[T]().Elem()).Interface().(T)
}
