package apply

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/manifest"
)

// preview carries out a plan by dry runs. It costs a look and a dry run for each object
// that is not known to be as it was left, in no order: nothing that is not done can have
// an effect on the rest.
func (e *Engine) preview(ctx context.Context, p Plan, req Request) ([]Change, error) {
	changes := make([]Change, 0, len(p.Inventory)) // with room for all, for writes point to them
	var writes []*write
	var failed errorList
	var served deadline
	for _, stage := range p.Stages {
		for _, item := range stage.Items {
			changes = append(changes, Change{ID: item.ID})
			w := &write{Item: item, change: &changes[len(changes)-1], strict: req.Strict}
			if e.pass(w); !item.Action.writes() {
				continue
			}
			switch err := e.locate(ctx, w, false, &served); {
			case errors.Is(err, errNoKind) && p.defined[item.ID.Group]: // it went with its definition
				w.change.Effect, w.change.Restored = Created, true
			case err != nil:
				failed.add(err)
			default:
				writes = append(writes, w)
			}
		}
	}
	_, done := e.expect(ctx, writes)
	defer done()
	var g errgroup.Group
	g.SetLimit(e.parallel)
	for _, w := range writes {
		g.Go(func() error {
			failed.try(ctx, w.ID, func() error { return e.foresee(ctx, p, w, req) })
			return nil
		})
	}
	_ = g.Wait() // the functions report to failed
	return changes, failed.join()
}

// foresee finds out what the apply of one object would do, and tells the tracker.
func (e *Engine) foresee(ctx context.Context, p Plan, w *write, req Request) error {
	if w.Action == Restore {
		w.yield(e.tracker.Recall(w.ID).Yielded)
	}
	found, a, left, err := e.expected(ctx, w)
	switch {
	case immutable(err) && e.mayRecreate(w, req):
		w.change.Effect, w.change.Restored, w.change.Before, w.change.Live = Recreated, true, found, w.Object
		return nil
	case err != nil:
		return failure(w.ID, "dry-run failed", err)
	case w.change.Effect == Skipped:
		return nil
	case found == nil || a.created:
		told := e.applied(p, w, nil)
		if !told.Expires {
			w.change.Effect, w.change.Restored = Created, true
		}
		e.tracker.Applied(told)
		return nil
	}
	told := e.applied(p, w, a.object)
	if sameButBookkeeping(found, left) {
		told.Object, told.Unowned = found, e.managers.unowned(found, a.object)
	} else {
		told.Noticed = found
		w.change.Effect, w.change.Restored, w.change.Before, w.change.Live = Configured, true, found, left
	}
	e.tracker.Applied(told)
	return nil
}

// expected returns an object as it is, as an apply would leave it, and as that and a takeover of
// fields would. The three are of the same version, unless that changes all the time.
func (e *Engine) expected(ctx context.Context, w *write) (found *unstructured.Unstructured, a answer, left *unstructured.Unstructured, err error) {
	for n := 0; ; n++ {
		found, a, err = e.compare(ctx, w)
		if err != nil || found == nil || a.created || w.change.Effect == Skipped {
			return found, a, nil, err
		}
		left, err = e.left(ctx, w, found, a.object)
		if n == tries || !apierrors.IsConflict(err) {
			return found, a, left, err
		}
	}
}

// compare returns an object as it is, nil if there is none, and as an apply would leave it.
// The two are of the same version, unless that changes all the time.
func (e *Engine) compare(ctx context.Context, w *write) (found *unstructured.Unstructured, a answer, err error) {
	for n := 0; ; n++ {
		found, err = e.client.get(ctx, w.target, w.Object.GetNamespace(), w.Object.GetName())
		if apierrors.IsNotFound(err) {
			return nil, answer{}, nil
		}
		if err != nil {
			return nil, answer{}, err
		}
		if exempt(w.wishes, Live{ResourceVersion: found.GetResourceVersion(), Wishes: e.wishes(found)}) {
			w.change.Effect = Skipped
			return found, answer{}, nil
		}
		w.live = found
		a, err = e.send(ctx, w, true, true)
		if err != nil || n == tries || a.object.GetResourceVersion() == found.GetResourceVersion() {
			return found, a, err
		}
	}
}

// left returns an object as an apply, which would leave it like applied as far as fields are
// concerned that are ours, and a takeover of others leave it. Some of those are defaults, which
// belong to whoever has created it, and come back: what the API server makes of an object without
// them, it tells by another dry run. Where it refuses that, which it may although an apply is
// none, they are missing.
func (e *Engine) left(ctx context.Context, w *write, found, applied *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	left := e.managers.without(applied, w.except())
	if sameButBookkeeping(applied, left) || sameButBookkeeping(found, left) {
		return left, nil
	}
	patch, err := patchTo(found, left)
	if err != nil {
		return nil, err
	}
	completed, err := e.client.foresee(ctx, w.target, found.GetNamespace(), found.GetName(), patch)
	switch {
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err), apierrors.IsMethodNotSupported(err):
		return left, nil
	case err != nil:
		return nil, masked(err, w.Object)
	}
	completed.SetManagedFields(left.GetManagedFields())
	return completed, nil
}

// patchTo returns a merge patch that makes one object of another, if that has not changed since.
func patchTo(found, left *unstructured.Unstructured) ([]byte, error) {
	before, err := json.Marshal(substance(found))
	if err != nil {
		return nil, err
	}
	want := substance(left)
	metadata, _ := want["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	metadata["resourceVersion"] = found.GetResourceVersion()
	want["metadata"] = metadata
	after, err := json.Marshal(want)
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(before, after)
}

// without returns an object as it would be without the fields in it that are claimed: what
// nobody else has goes with them. A default that would take the place of one is not there.
func (m Managers) without(obj *unstructured.Unstructured, except *fieldpath.Set) *unstructured.Unstructured {
	claimed := m.Claimed(obj, except)
	if claimed == nil {
		return obj
	}
	kept := fieldpath.NewSet()
	for _, entry := range obj.GetManagedFields() {
		if set, err := fieldsOf(entry); err == nil && !m.takes(entry) {
			kept = kept.Union(set)
		}
	}
	gone := fieldpath.NewSet()
	claimed.Iterate(func(p fieldpath.Path) {
		if !kept.Has(p) && !hasBelow(kept, p) {
			gone.Insert(p.Copy())
		}
	})
	return manifest.Without(obj, gone)
}

// unowned reports whether an apply, which leaves an object as it is, would make fields ours
// that somebody else, or nobody, has now: a change of them is not to be seen by who has
// what.
func (m Managers) unowned(found, left *unstructured.Unstructured) bool {
	more := m.ownFields(left).Difference(m.ownFields(found))
	if claimed := m.Claimed(found, nil); claimed != nil {
		more = more.Difference(claimed)
	}
	return !more.Empty()
}
