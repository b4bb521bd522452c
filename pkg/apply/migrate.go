package apply

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// outOfSchema reports whether err may be about managedFields in a version of the API that
// does not have a field of the object: then the API server refuses every apply, whatever
// is applied. A field of the applied object that no schema has is told otherwise.
func outOfSchema(err error) bool {
	return err != nil && strings.Contains(err.Error(), "field not declared in schema") && !strings.Contains(err.Error(), "typed patch object")
}

// outdated reports whether an entry of managedFields is of another version than gv.
func outdated(apiVersion string, gv schema.GroupVersion) bool {
	other, err := schema.ParseGroupVersion(apiVersion)
	return err == nil && other.Group == gv.Group && other.Version != gv.Version
}

// mayMigrate reports whether the apply of w failed for what migrate mends.
func (e *Engine) mayMigrate(ctx context.Context, w *write, failed error) bool {
	if !e.migrates || !outOfSchema(failed) {
		return false
	}
	live, err := e.client.getMetadata(ctx, w.target, w.Object.GetNamespace(), w.Object.GetName())
	return err == nil && MigrationPatch(live, w.Object.GroupVersionKind().GroupVersion()) != nil
}

// migrate makes all entries in the managedFields of the object of w entries of the
// version that is applied. The fields keep their paths, as they do in the object when
// its definition converts nothing.
func (e *Engine) migrate(ctx context.Context, w *write) error {
	ns, name := w.Object.GetNamespace(), w.Object.GetName()
	for n := 0; ; n++ {
		live, err := e.client.getMetadata(ctx, w.target, ns, name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		patch := MigrationPatch(live, w.Object.GroupVersionKind().GroupVersion())
		if patch == nil {
			return nil
		}
		w.found, w.live = nil, nil // it is another version now
		if err := e.client.patch(ctx, w.target, ns, name, patch); !apierrors.IsConflict(err) || n == tries {
			return err
		}
	}
}

// MigrationPatch is a JSON patch after which no entry in the managedFields of an object is of
// another version of its group than the given one; nil if none is.
func MigrationPatch(live *unstructured.Unstructured, gv schema.GroupVersion) []byte {
	entries := slices.Clone(live.GetManagedFields())
	found := false
	for i := range entries {
		if outdated(entries[i].APIVersion, gv) {
			entries[i].APIVersion, found = gv.String(), true
		}
	}
	if !found {
		return nil
	}
	patch, err := json.Marshal([]operation{
		{Op: "replace", Path: "/metadata/managedFields", Value: entries},
		{Op: "replace", Path: "/metadata/resourceVersion", Value: live.GetResourceVersion()},
	})
	if err != nil {
		return nil
	}
	return patch
}
