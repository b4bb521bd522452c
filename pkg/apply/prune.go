package apply

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/health"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// Pruned is what Prune did.
type Pruned struct {
	// Changes has the objects that are gone or were left alone, in the order in
	// which they were looked at.
	Changes []Change
	// Left are the objects that could not be deleted; the caller keeps them in its
	// inventory.
	Left inventory.Set
}

// Prune deletes objects in the reverse order of application, without waiting for
// their end. An object that does not exist counts as deleted. One that isOurs
// denies, or that asks to be kept, is left and forgotten. What could not be
// deleted is told in the error and in Pruned.Left.
func (e *Engine) Prune(ctx context.Context, stale inventory.Set, isOurs func(metav1.Object) bool) (Pruned, error) {
	ids := stale.IDs()
	slices.Reverse(ids)
	p := Pruned{Changes: make([]Change, len(ids)), Left: make(inventory.Set)}
	var failed errorList
	var mu sync.Mutex
	for start := 0; start < len(ids); {
		end := start + 1
		for end < len(ids) && manifest.Rank(ids[end].GroupKind()) == manifest.Rank(ids[start].GroupKind()) {
			end++
		}
		var g errgroup.Group
		g.SetLimit(e.parallel)
		for i := start; i < end; i++ {
			g.Go(func() error {
				id := ids[i]
				kept := true // also if it panics
				failed.try(ctx, id, func() error {
					effect, err := e.pruneOne(ctx, id, stale[id], isOurs)
					p.Changes[i] = Change{ID: id, Effect: effect}
					if err != nil {
						return failure(id, "delete failed", err)
					}
					kept = false
					return nil
				})
				if kept {
					mu.Lock()
					defer mu.Unlock()
					p.Changes[i].ID, p.Left[id] = id, stale[id]
				}
				return nil
			})
		}
		_ = g.Wait() // the functions report to failed
		start = end
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c Change) bool { _, left := p.Left[c.ID]; return left })
	if !failed.empty() {
		return p, fmt.Errorf("delete failed, errors: %w", failed.join())
	}
	return p, nil
}

// pruneOne deletes one object, if it is still ours. It looks first, because only
// the live object tells whose it is, and deletes just what it saw.
func (e *Engine) pruneOne(ctx context.Context, id manifest.ID, version string, isOurs func(metav1.Object) bool) (Effect, error) {
	t, err := e.client.locate(schema.GroupVersionKind{Group: id.Group, Version: version, Kind: id.Kind})
	if meta.IsNoMatchError(err) {
		// Its kind is gone, and its objects with it; or only that version is.
		t, err = e.client.locateAny(id.GroupKind())
		if meta.IsNoMatchError(err) {
			e.tracker.Forget(id)
			return Deleted, nil
		}
	}
	if err != nil {
		return Unchanged, err
	}
	for {
		live, err := e.client.getMetadata(ctx, t, id.Namespace, id.Name)
		switch {
		case apierrors.IsNotFound(err):
			e.tracker.Forget(id)
			return Deleted, nil
		case err != nil:
			return Unchanged, err
		case !isOurs(live) || e.wishes(live).Keep:
			e.tracker.Forget(id)
			return Skipped, nil
		}
		uid, rv := live.GetUID(), live.GetResourceVersion()
		e.tracker.Forget(id) // or its end would look like drift
		err = e.client.delete(ctx, t, id.Namespace, id.Name, metav1.Preconditions{UID: &uid, ResourceVersion: &rv})
		switch {
		case apierrors.IsConflict(err):
			continue // changed since we looked: look again
		case err == nil, apierrors.IsNotFound(err):
			return Deleted, nil
		default:
			return Unchanged, err
		}
	}
}

// Left returns those objects of a set that still exist, in a form in which a
// health.Watcher can be asked to tell their end.
func (e *Engine) Left(ctx context.Context, set inventory.Set) ([]health.Awaited, error) {
	ids := set.IDs()
	found := make([]bool, len(ids))
	targets := make([]target, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(e.parallel)
	for i, id := range ids {
		g.Go(func() (err error) {
			targets[i], err = e.client.locateAny(id.GroupKind())
			if meta.IsNoMatchError(err) {
				return nil // its kind is gone, and its objects with it
			}
			if err == nil {
				_, err = e.client.getMetadata(ctx, targets[i], id.Namespace, id.Name)
			}
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return failure(id, "could not be looked for", err)
			}
			found[i] = true
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var left []health.Awaited
	for i, id := range ids {
		if found[i] {
			left = append(left, health.Awaited{ID: id, Resource: targets[i].resource})
		}
	}
	return left, nil
}
