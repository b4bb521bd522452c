package apply

import (
	"context"
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

const (
	// rounds bounds the steps by which fields of others are taken over in one write.
	// Each version of the API that they were set in takes two.
	rounds = 8
	// tries bounds how often a request is repeated because the object has changed
	// between a look at it and the request.
	tries = 5
)

// except are the fields of w that are left as they are, whoever set them.
func (w *write) except() *fieldpath.Set {
	switch {
	case w.yielded == nil:
		return w.ignored
	case w.ignored == nil:
		return w.yielded
	}
	return w.yielded.Union(w.ignored)
}

// adopt takes over what there is to be taken over in an object as it was found, and
// reports whether it changed the object for it. What becomes ours so goes with the next apply, if
// the source does not have it. An end between the two leaves fields that are ours and
// not in the source, which the next apply ends, too.
func (e *Engine) adopt(ctx context.Context, w *write, found *unstructured.Unstructured) (bool, error) {
	ns, name := w.Object.GetNamespace(), w.Object.GetName()
	for n := 0; ; n++ {
		if found == nil || e.managers.Claimed(found, w.except()) == nil {
			return false, nil
		}
		patch, relayed, err := e.managers.takeover(found, w.Object.GetAPIVersion(), w.except())
		if err != nil {
			return false, err
		}
		w.relayed = relayed
		if len(patch) == 0 {
			return false, nil
		}
		w.live = nil // it is another version now
		switch err := e.client.patch(ctx, w.target, ns, name, patch); {
		case err == nil:
			return true, nil
		case apierrors.IsNotFound(err):
			return false, nil
		case !apierrors.IsConflict(err) || n == tries:
			return false, err
		}
		if found, err = e.client.getMetadata(ctx, w.target, ns, name); apierrors.IsNotFound(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
}

// carry applies the object of w, and takes over the fields of others that it was found
// with, or is found with then.
func (e *Engine) carry(ctx context.Context, w *write, whole bool) (answer, error) {
	if _, err := e.adopt(ctx, w, w.found); err != nil {
		return answer{}, err
	}
	a, err := e.send(ctx, w, false, whole)
	for n := 0; err == nil && n < rounds; n++ {
		if w.relayed {
			w.relayed = false
			a.object, err = e.drop(ctx, w, a.object, whole)
			continue
		}
		var patched bool
		if patched, err = e.adopt(ctx, w, a.object); err == nil && patched {
			created := a.created
			a, err = e.send(ctx, w, false, whole)
			a.created = created
		} else if !w.relayed {
			break
		}
	}
	return a, err
}

// drop lets go of the fields that wait under the name of the relay: whatever nobody
// else has goes.
func (e *Engine) drop(ctx context.Context, w *write, found *unstructured.Unstructured, whole bool) (*unstructured.Unstructured, error) {
	nothing := &unstructured.Unstructured{}
	nothing.SetGroupVersionKind(w.Object.GroupVersionKind())
	nothing.SetNamespace(w.Object.GetNamespace())
	nothing.SetName(w.Object.GetName())
	nothing.SetUID(found.GetUID()) // or it would be created if it is gone
	a, err := e.client.applyAs(ctx, w.target, nothing, nil, e.managers.relay(), manner{whole: whole})
	return a.object, err
}

// sameButBookkeeping reports whether two states of an object differ in nothing that
// anybody has set.
func sameButBookkeeping(a, b *unstructured.Unstructured) bool {
	return equality.Semantic.DeepEqual(substance(a), substance(b))
}

// substance is the content of an object without what the API server notes about it.
func substance(obj *unstructured.Unstructured) map[string]any {
	out := maps.Clone(obj.Object)
	delete(out, "status")
	if metadata, ok := out["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
			delete(metadata, field)
		}
		out["metadata"] = metadata
	}
	return out
}
