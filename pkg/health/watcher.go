package health

import (
	"context"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

// Awaited is an object whose health an owner waits for.
type Awaited struct {
	ID       manifest.ID
	Resource schema.GroupVersionResource
	// Version is the resource version from which on the object counts, so that a
	// state from before an apply does not; empty means any.
	Version string
}

// Verdict is an object that is not Current, and why.
type Verdict struct {
	ID      manifest.ID
	Status  Status
	Message string
}

// Watcher follows the health of objects that owners wait for. It keeps of each its
// status only. It is safe for concurrent use.
type Watcher struct {
	wake func(owner types.NamespacedName)
	set  *watch.Set

	mu     sync.Mutex
	kinds  map[schema.GroupVersionResource]schema.GroupKind
	listed map[schema.GroupVersionResource]bool
	states map[manifest.ID]state
	waits  map[types.NamespacedName]map[manifest.ID]Awaited
	owners map[manifest.ID]map[types.NamespacedName]bool
}

type state struct {
	status  Status
	message string
	version string
}

// NewWatcher returns a Watcher of the resources that open opens, which must
// deliver whole objects. Only those with the label selector are seen. wake is
// called, without blocking, when the verdict on an awaited object changes.
func NewWatcher(open func(schema.GroupVersionResource) watch.Source, selector string, wake func(types.NamespacedName)) *Watcher {
	w := &Watcher{
		wake:   wake,
		kinds:  make(map[schema.GroupVersionResource]schema.GroupKind),
		listed: make(map[schema.GroupVersionResource]bool),
		states: make(map[manifest.ID]state),
		waits:  make(map[types.NamespacedName]map[manifest.ID]Awaited),
		owners: make(map[manifest.ID]map[types.NamespacedName]bool),
	}
	w.set = watch.NewSet(open, w, watch.Options{Selector: selector})
	return w
}

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error { return w.set.Start(ctx) }

// Await makes objects the ones that owner waits for, in the place of those before.
// Nil ends the waiting.
func (w *Watcher) Await(owner types.NamespacedName, objects []Awaited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := make(map[manifest.ID]Awaited, len(objects))
	for _, a := range objects {
		next[a.ID] = a
		if _, ok := w.waits[owner][a.ID]; !ok {
			w.kinds[a.Resource] = a.ID.GroupKind()
			w.set.Acquire(a.Resource)
			if w.owners[a.ID] == nil {
				w.owners[a.ID] = make(map[types.NamespacedName]bool)
			}
			w.owners[a.ID][owner] = true
		}
	}
	for id, a := range w.waits[owner] {
		if _, ok := next[id]; !ok {
			w.drop(owner, a)
		}
	}
	w.waits[owner] = next
	if len(next) == 0 {
		delete(w.waits, owner)
	}
}

// drop ends the waiting of owner for one object. The lock is held.
func (w *Watcher) drop(owner types.NamespacedName, a Awaited) {
	if delete(w.owners[a.ID], owner); len(w.owners[a.ID]) == 0 {
		delete(w.owners, a.ID)
	}
	if !w.set.Release(a.Resource) {
		return
	}
	kind := w.kinds[a.Resource]
	delete(w.kinds, a.Resource)
	delete(w.listed, a.Resource)
	for id := range w.states {
		if id.GroupKind() == kind {
			delete(w.states, id)
		}
	}
}

// Check returns the awaited objects of owner that are not Current, in the order of
// their identities; none means that all are.
func (w *Watcher) Check(owner types.NamespacedName) []Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Verdict
	for id, a := range w.waits[owner] {
		if v := w.judge(a); v.Status != Current {
			out = append(out, Verdict{ID: id, Status: v.Status, Message: v.Message})
		}
	}
	slices.SortFunc(out, func(a, b Verdict) int { return a.ID.Compare(b.ID) })
	return out
}

// judge returns what is known of an object. The lock is held.
func (w *Watcher) judge(a Awaited) Verdict {
	s, seen := w.states[a.ID]
	switch {
	case !w.listed[a.Resource]:
		return Verdict{ID: a.ID, Status: Unknown}
	case !seen:
		return Verdict{ID: a.ID, Status: NotFound}
	case a.Version != "" && older(s.version, a.Version):
		return Verdict{ID: a.ID, Status: InProgress, Message: "the change is yet to be seen"}
	default:
		return Verdict{ID: a.ID, Status: s.status, Message: s.message}
	}
}

// Saw implements watch.Handler.
func (w *Watcher) Saw(r schema.GroupVersionResource, obj metav1.Object) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	w.mu.Lock()
	id := manifest.IDOf(u)
	before := w.judgeAll(id)
	status, message := Of(u)
	w.states[id] = state{status: status, message: message, version: u.GetResourceVersion()}
	owners := w.changed(id, before)
	w.mu.Unlock()
	w.wakeAll(owners)
}

// Lost implements watch.Handler.
func (w *Watcher) Lost(r schema.GroupVersionResource, obj metav1.Object) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	w.mu.Lock()
	id := manifest.IDOf(u)
	before := w.judgeAll(id)
	delete(w.states, id)
	owners := w.changed(id, before)
	w.mu.Unlock()
	w.wakeAll(owners)
}

// Listed implements watch.Handler.
func (w *Watcher) Listed(r schema.GroupVersionResource, objs []metav1.Object, _ string) {
	w.mu.Lock()
	kind := w.kinds[r]
	for id := range w.states {
		if id.GroupKind() == kind {
			delete(w.states, id)
		}
	}
	for _, obj := range objs {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			status, message := Of(u)
			w.states[manifest.IDOf(u)] = state{status: status, message: message, version: u.GetResourceVersion()}
		}
	}
	w.listed[r] = true
	owners := make(map[types.NamespacedName]bool)
	for owner, waited := range w.waits {
		for _, a := range waited {
			if a.Resource == r {
				owners[owner] = true
			}
		}
	}
	w.mu.Unlock()
	w.wakeAll(owners)
}

// Refused implements watch.Handler: what cannot be seen is never Current, and the
// owner says so when its time is over.
func (w *Watcher) Refused(r schema.GroupVersionResource, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed[r] = false
}

// judgeAll returns the verdicts on an object of all who wait for it. The lock is
// held.
func (w *Watcher) judgeAll(id manifest.ID) map[types.NamespacedName]Status {
	out := make(map[types.NamespacedName]Status, len(w.owners[id]))
	for owner := range w.owners[id] {
		out[owner] = w.judge(w.waits[owner][id]).Status
	}
	return out
}

// changed returns the owners for whom the verdict on an object is another now. The
// lock is held.
func (w *Watcher) changed(id manifest.ID, before map[types.NamespacedName]Status) map[types.NamespacedName]bool {
	out := make(map[types.NamespacedName]bool)
	for owner, was := range before {
		if w.judge(w.waits[owner][id]).Status != was {
			out[owner] = true
		}
	}
	return out
}

func (w *Watcher) wakeAll(owners map[types.NamespacedName]bool) {
	for owner := range owners {
		w.wake(owner)
	}
}

// older reports whether resource version a is earlier than b.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}
