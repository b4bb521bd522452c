package loop

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// saveAttempts bounds how often a status is rebased on a concurrent change.
const saveAttempts = 5

// writer patches the objects of one kind and remembers what it wrote until the
// cache has seen it, so that a run never starts from a state that this process
// itself has already replaced.
type writer[T Object] struct {
	client client.Client
	live   client.Reader
	owner  string

	mu sync.Mutex
	// server holds the last state of each object that the API server answered
	// with, or that the running reconciliation began with.
	server map[types.NamespacedName]T
}

func newWriter[T Object](c client.Client, live client.Reader, owner string) *writer[T] {
	return &writer[T]{client: c, live: live, owner: owner, server: make(map[types.NamespacedName]T)}
}

// newest returns obj, or a copy of the later state that this process wrote and
// the cache has yet to see.
func (w *writer[T]) newest(obj T) T {
	key := client.ObjectKeyFromObject(obj)
	w.mu.Lock()
	defer w.mu.Unlock()
	own, ok := w.server[key]
	if !ok {
		return obj
	}
	if own.GetUID() == obj.GetUID() && newer(own.GetResourceVersion(), obj.GetResourceVersion()) {
		return own.DeepCopyObject().(T)
	}
	delete(w.server, key)
	return obj
}

// begin makes the present state of obj what the next save is compared with.
func (w *writer[T]) begin(obj T) { w.keep(obj.DeepCopyObject().(T)) }

// forget drops what is remembered of an object.
func (w *writer[T]) forget(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.server, key)
}

// addFinalizer puts the finalizer on obj and takes over the answer.
func (w *writer[T]) addFinalizer(ctx context.Context, obj T) error {
	base := obj.DeepCopyObject().(T)
	controllerutil.AddFinalizer(obj, Finalizer)
	if err := w.patchMetadata(ctx, base, obj); err != nil {
		return fmt.Errorf("adding finalizer: %w", err)
	}
	w.begin(obj)
	return nil
}

// dropFinalizer takes the finalizer off obj.
func (w *writer[T]) dropFinalizer(ctx context.Context, obj T) error {
	base := obj.DeepCopyObject().(T)
	controllerutil.RemoveFinalizer(obj, Finalizer)
	if err := ignoreGone(w.patchMetadata(ctx, base, obj)); err != nil {
		return fmt.Errorf("removing finalizer: %w", err)
	}
	return nil
}

// patchMetadata writes the difference of base and obj. The list of finalizers is
// replaced whole by a merge patch, so the write must not race with another's.
func (w *writer[T]) patchMetadata(ctx context.Context, base, obj T) error {
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	return w.client.Patch(ctx, obj, patch, client.FieldOwner(w.owner))
}

// save writes the status of obj if it differs from the last known state. A
// concurrent change by somebody else is kept; conditions of types that are not
// on obj survive.
func (w *writer[T]) save(ctx context.Context, obj T) error {
	base := w.base(obj)
	change, err := statusChange(base, obj)
	if err != nil || change == nil {
		return err
	}
	target := base.DeepCopyObject().(T)
	for range saveAttempts {
		err = w.patchStatus(ctx, target, change)
		if !apierrors.IsConflict(err) {
			break
		}
		fresh := newObject[T]()
		if err := w.live.Get(ctx, client.ObjectKeyFromObject(obj), fresh); err != nil {
			return ignoreGone(err)
		}
		if fresh.GetUID() != obj.GetUID() {
			return nil // deleted and created anew: its own run will speak for it
		}
		rebaseConditions(change, base, fresh, obj)
		target = fresh
	}
	if err != nil {
		return ignoreGone(err)
	}
	w.keep(target)
	return nil
}

// patchStatus sends change against the resource version of target, and reads
// the answer into target.
func (w *writer[T]) patchStatus(ctx context.Context, target T, change map[string]any) error {
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": target.GetResourceVersion()},
		"status":   change,
	})
	if err != nil {
		return err
	}
	return w.client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, data), client.FieldOwner(w.owner))
}

// base returns the state that a save of obj is compared with.
func (w *writer[T]) base(obj T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.server[client.ObjectKeyFromObject(obj)]
}

func (w *writer[T]) keep(obj T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server[client.ObjectKeyFromObject(obj)] = obj
}

// statusChange returns the merge patch from the status of base to that of obj,
// nil if they are equal.
func statusChange(base, obj any) (map[string]any, error) {
	from, err := statusJSON(base)
	if err != nil {
		return nil, err
	}
	to, err := statusJSON(obj)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(from, to)
	if err != nil {
		return nil, fmt.Errorf("comparing status: %w", err)
	}
	var change map[string]any
	if err := json.Unmarshal(patch, &change); err != nil {
		return nil, fmt.Errorf("comparing status: %w", err)
	}
	if len(change) == 0 {
		return nil, nil
	}
	return change, nil
}

// statusJSON returns the status of an object as JSON.
func statusJSON(obj any) ([]byte, error) {
	data, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	var parts struct {
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return nil, err
	}
	if len(parts.Status) == 0 {
		return []byte("{}"), nil
	}
	return parts.Status, nil
}

// rebaseConditions keeps in change the conditions of fresh that are neither in
// base, which the run began with, nor in obj, which it ended with: somebody else
// added them meanwhile. Lists are replaced whole by a merge patch.
func rebaseConditions[T Object](change map[string]any, base, fresh, obj T) {
	if _, ok := change["conditions"]; !ok {
		return
	}
	merged := slices.Clone(obj.GetConditions())
	for _, c := range fresh.GetConditions() {
		if !hasCondition(base.GetConditions(), c.Type) && !hasCondition(merged, c.Type) {
			merged = append(merged, c)
		}
	}
	change["conditions"] = merged
}

func hasCondition(list []metav1.Condition, conditionType string) bool {
	return slices.ContainsFunc(list, func(c metav1.Condition) bool { return c.Type == conditionType })
}

// newer reports whether resource version a is later than b. Versions that cannot
// be compared count as not newer: then the cache decides.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// newObject returns an empty object of type T, which must be a pointer.
func newObject[T Object]() T {
	var zero T
	return reflect.New(reflect.TypeOf(zero).Elem()).Interface().(T)
}
