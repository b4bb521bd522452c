package owner

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// Inventory returns what an object has applied, by its status; nothing if its kind applies
// nothing.
func Inventory(obj *unstructured.Unstructured) (inventory.Set, error) { return appliedBy(obj) }

// Unread is an object that may not be read.
type Unread struct {
	ID  manifest.ID
	Err error
}

// Applied returns those of the objects that an object has applied which are there, of those
// that are chosen, in the order in which they are applied, and those that may not be read. What
// is in another cluster is not looked for.
func (c Cluster) Applied(ctx context.Context, obj *unstructured.Unstructured, choose func(manifest.ID) bool) ([]*unstructured.Unstructured, []Unread, error) {
	applied, err := appliedBy(obj)
	if err != nil {
		return nil, nil, err
	}
	maps.DeleteFunc(applied, func(id manifest.ID, _ string) bool { return !choose(id) })
	if len(applied) == 0 || Elsewhere(obj) {
		return nil, nil, nil
	}
	found, err := c.read(ctx, ownerOf(obj), applied)
	if err != nil {
		return nil, nil, err
	}
	var out []*unstructured.Unstructured
	var unread []Unread
	for _, id := range applied.IDs() {
		r := found[id]
		switch {
		case apierrors.IsNotFound(r.err), meta.IsNoMatchError(r.err):
		case apierrors.IsForbidden(r.err):
			unread = append(unread, Unread{ID: id, Err: r.err})
		case r.err != nil:
			return nil, nil, fmt.Errorf("reading %s: %w", id, r.err)
		default:
			out = append(out, r.object)
		}
	}
	return out, unread, nil
}

// Above returns what has applied or made an object; nil if nobody says.
func (c Cluster) Above(ctx context.Context, obj *unstructured.Unstructured) (*Link, error) {
	return c.above(ctx, obj)
}

// Source returns what an object reads from; nil if it reads from nothing.
func (c Cluster) Source(ctx context.Context, obj *unstructured.Unstructured) (*Link, error) {
	gvk, key, ok, err := sourceOf(obj)
	if err != nil || !ok {
		return nil, err
	}
	return c.link(ctx, gvk, key.Namespace, key.Name)
}
