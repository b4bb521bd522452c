package loop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

	mu      sync.Mutex
	objects map[types.NamespacedName]known[T]
}

// known is what a writer remembers of an object. Both are never changed.
type known[T Object] struct {
	// server is the last state that the API server answered with, until the cache
	// has it, or that the running reconciliation began with.
	server T
	// run is how the running reconciliation began, or had its object at its last
	// save: all that differs from it is yet to be written. It is not what server
	// is where somebody else has written too.
	run T
	// gone says that the object is deleted and our finalizer off, so that this process has
	// done with it, whatever the cache still says: an object that ends by losing its last
	// finalizer gets no new resource version by which that could be told.
	gone bool
}

func newWriter[T Object](c client.Client, live client.Reader, owner string) *writer[T] {
	return &writer[T]{client: c, live: live, owner: owner, objects: make(map[types.NamespacedName]known[T])}
}

// newest returns obj, or a copy of the later state that this process wrote and
// the cache has yet to see.
func (w *writer[T]) newest(obj T) T {
	key := client.ObjectKeyFromObject(obj)
	w.mu.Lock()
	defer w.mu.Unlock()
	k, ok := w.objects[key]
	if !ok {
		return obj
	}
	if k.server.GetUID() == obj.GetUID() && (k.gone || newer(k.server.GetResourceVersion(), obj.GetResourceVersion())) {
		return k.server.DeepCopyObject().(T)
	}
	delete(w.objects, key)
	return obj
}

// begin makes the present state of obj what the next save is compared with.
func (w *writer[T]) begin(obj T) {
	now := obj.DeepCopyObject().(T)
	w.keep(now, now)
}

// settle drops what is remembered of an object if it is no more than the cache
// holds, at resource version cached.
func (w *writer[T]) settle(key types.NamespacedName, cached string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k, ok := w.objects[key]; ok && !k.gone && k.server.GetResourceVersion() == cached {
		delete(w.objects, key)
	}
}

// forget drops what is remembered of an object.
func (w *writer[T]) forget(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.objects, key)
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
	base := w.known(obj).server // not obj, which does not know of a save
	target := base.DeepCopyObject().(T)
	controllerutil.RemoveFinalizer(target, Finalizer)
	if err := client.IgnoreNotFound(w.patchMetadata(ctx, base, target)); err != nil {
		return fmt.Errorf("removing finalizer: %w", err)
	}
	controllerutil.RemoveFinalizer(obj, Finalizer)
	w.mu.Lock()
	defer w.mu.Unlock()
	going := !obj.GetDeletionTimestamp().IsZero() // else it may be ours again
	w.objects[client.ObjectKeyFromObject(obj)] = known[T]{server: target, run: target, gone: going}
	return nil
}

// patchMetadata writes the difference of base and obj. The list of finalizers is
// replaced whole by a merge patch, so the write must not race with another's.
func (w *writer[T]) patchMetadata(ctx context.Context, base, obj T) error {
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	return w.client.Patch(ctx, obj, patch, client.FieldOwner(w.owner))
}

// ErrGone says that an object has come to its end, whatever the cache says, so that nothing
// can be recorded of it any more, and nothing must be done for it. There may be another of its
// name.
var ErrGone = errors.New("the object does not exist any more")

// save writes the status of obj if it differs from the last known state. What
// somebody else writes meanwhile is kept, unless the run has changed it as well.
// It fails with ErrGone if obj has come to its end.
func (w *writer[T]) save(ctx context.Context, obj T) error {
	k := w.known(obj)
	change, err := statusChange(k.run, obj)
	if err != nil || change == nil {
		return err
	}
	answer, err := w.patchStatus(ctx, k, obj, change)
	for attempt := 1; apierrors.IsConflict(err) && attempt < saveAttempts; attempt++ {
		k.server = newObject[T]()
		if err := w.live.Get(ctx, client.ObjectKeyFromObject(obj), k.server); err != nil {
			return goneIfNotFound(err)
		}
		if k.server.GetUID() != obj.GetUID() {
			return ErrGone // deleted and created anew: its own run will speak for it
		}
		answer, err = w.patchStatus(ctx, k, obj, change)
	}
	if err != nil {
		return goneIfNotFound(err)
	}
	w.keep(answer, obj.DeepCopyObject().(T))
	return nil
}

// goneIfNotFound returns ErrGone for an error which says that an object does not exist.
func goneIfNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return ErrGone
	}
	return err
}

// saveLast is save at the end of a run: of an object that is gone there is nothing to tell.
func (w *writer[T]) saveLast(ctx context.Context, obj T) error {
	if err := w.save(ctx, obj); err != nil && !errors.Is(err, ErrGone) {
		return fmt.Errorf("saving status: %w", err)
	}
	return nil
}

// patchStatus sends change, which leads from the beginning of a run to obj,
// against the state of the server, and returns the answer.
func (w *writer[T]) patchStatus(ctx context.Context, k known[T], obj T, change map[string]any) (T, error) {
	if _, ok := change["conditions"]; ok {
		change["conditions"] = mergeConditions(k.run.GetConditions(), obj.GetConditions(), k.server.GetConditions())
	}
	// The answer must be read into an empty object: a client decodes it on top of
	// what is there, so that a field which the patch removed would stay.
	answer := newObject[T]()
	answer.SetNamespace(obj.GetNamespace())
	answer.SetName(obj.GetName())
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": k.server.GetResourceVersion()},
		"status":   change,
	})
	if err != nil {
		return answer, err
	}
	err = w.client.Status().Patch(ctx, answer, client.RawPatch(types.MergePatchType, data), client.FieldOwner(w.owner))
	return answer, err
}

// known returns what is remembered of obj since its run began.
func (w *writer[T]) known(obj T) known[T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects[client.ObjectKeyFromObject(obj)]
}

// keep remembers the state of the server and of the run, which the caller must
// not change from now on.
func (w *writer[T]) keep(server, run T) {
	server.SetManagedFields(nil) // of no use here, and often larger than the rest
	w.mu.Lock()
	defer w.mu.Unlock()
	w.objects[client.ObjectKeyFromObject(server)] = known[T]{server: server, run: run}
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
