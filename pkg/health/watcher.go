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

	mu        sync.Mutex
	resources map[schema.GroupVersionResource]*resource // those that are followed
	waits     map[types.NamespacedName]map[manifest.ID]Awaited
	owners    map[manifest.ID]map[types.NamespacedName]bool
}

// resource is what is known of the objects of one API resource.
type resource struct {
	// listed says that all objects there are have been seen once. Before, nothing
	// is known of any.
	listed  bool
	refused string // why the resource may not be watched, if so
	states  map[manifest.ID]state
}

type state struct {
	status  Status
	message string
	version string
	gone    bool // and yet as it should be
}

// NewWatcher returns a Watcher of the resources that open opens, which must
// deliver whole objects. Only those with the label selector are seen. wake is
// called, without blocking, when the verdict on an awaited object changes.
func NewWatcher(open func(schema.GroupVersionResource) watch.Source, selector string, wake func(types.NamespacedName)) *Watcher {
	w := &Watcher{
		wake:      wake,
		resources: make(map[schema.GroupVersionResource]*resource),
		waits:     make(map[types.NamespacedName]map[manifest.ID]Awaited),
		owners:    make(map[manifest.ID]map[types.NamespacedName]bool),
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
	before := w.waits[owner]
	next := make(map[manifest.ID]Awaited, len(objects))
	for _, a := range objects {
		next[a.ID] = a
	}
	for id, a := range next {
		if old, ok := before[id]; !ok || old.Resource != a.Resource {
			w.follow(a.Resource)
		}
		if w.owners[id] == nil {
			w.owners[id] = make(map[types.NamespacedName]bool)
		}
		w.owners[id][owner] = true
	}
	for id, old := range before {
		a, ok := next[id]
		if !ok {
			w.disown(owner, id)
		}
		if !ok || old.Resource != a.Resource {
			w.release(old.Resource)
		}
	}
	w.waits[owner] = next
	if len(next) == 0 {
		delete(w.waits, owner)
	}
}

// follow makes sure that a resource is watched. The lock is held.
func (w *Watcher) follow(r schema.GroupVersionResource) {
	if w.resources[r] == nil {
		w.resources[r] = &resource{states: make(map[manifest.ID]state)}
	}
	w.set.Acquire(r)
}

// release ends one use of a resource. With the last, all that is known of it goes:
// nobody will keep it current. The lock is held.
func (w *Watcher) release(r schema.GroupVersionResource) {
	if w.set.Release(r) {
		delete(w.resources, r)
	}
}

// disown ends the waiting of owner for one object. The lock is held.
func (w *Watcher) disown(owner types.NamespacedName, id manifest.ID) {
	if delete(w.owners[id], owner); len(w.owners[id]) == 0 {
		delete(w.owners, id)
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
	r := w.resources[a.Resource]
	s, seen := r.states[a.ID]
	switch {
	case r.refused != "":
		return Verdict{ID: a.ID, Status: Unknown, Message: r.refused}
	case !r.listed:
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
	if u, ok := obj.(*unstructured.Unstructured); ok {
		w.note(r, u, false)
	}
}

// Lost implements watch.Handler.
func (w *Watcher) Lost(r schema.GroupVersionResource, obj metav1.Object) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		w.note(r, u, true)
	}
}

// note takes in the state of an object and wakes those for whom it is news.
func (w *Watcher) note(r schema.GroupVersionResource, obj *unstructured.Unstructured, gone bool) {
	w.mu.Lock()
	res := w.resources[r]
	if res == nil { // let go, and its stream has not ended yet
		w.mu.Unlock()
		return
	}
	id := manifest.IDOf(obj)
	before := w.verdicts(id)
	if s, remains := stateOf(obj, gone); remains {
		res.states[id] = s
	} else {
		delete(res.states, id)
	}
	owners := w.changed(before)
	w.mu.Unlock()
	w.wakeAll(owners)
}

// stateOf returns what is to be remembered of an object, if anything is.
func stateOf(obj *unstructured.Unstructured, gone bool) (state, bool) {
	if gone {
		if obj = expired(obj); obj == nil {
			return state{}, false
		}
	}
	s, message := Of(obj)
	return state{status: s, message: message, version: obj.GetResourceVersion(), gone: gone}, true
}

// Listed implements watch.Handler.
func (w *Watcher) Listed(r schema.GroupVersionResource, objs []metav1.Object, _ string) {
	w.mu.Lock()
	res := w.resources[r]
	if res == nil { // let go, and its stream has not ended yet
		w.mu.Unlock()
		return
	}
	var awaited []manifest.ID
	for _, waited := range w.waits {
		for id, a := range waited {
			if a.Resource == r {
				awaited = append(awaited, id)
			}
		}
	}
	before := w.verdicts(awaited...)
	res.listed, res.refused = true, ""
	clear(res.states)
	for _, obj := range objs {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			res.states[manifest.IDOf(u)], _ = stateOf(u, false)
		}
	}
	owners := w.changed(before)
	w.mu.Unlock()
	w.wakeAll(owners)
}

// Refused implements watch.Handler: what cannot be seen is never Current, and the
// owner says so when its time is over.
func (w *Watcher) Refused(r schema.GroupVersionResource, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if res := w.resources[r]; res != nil {
		res.listed, res.refused = false, "may not be watched: "+err.Error()
	}
}

// wait is that of one owner for one object.
type wait struct {
	owner types.NamespacedName
	id    manifest.ID
}

// verdict is as much of a Verdict as is news when it changes.
type verdict struct {
	status Status
	gone   bool
}

// verdicts returns what is known of objects to all who wait for them. The lock is
// held.
func (w *Watcher) verdicts(ids ...manifest.ID) map[wait]verdict {
	out := make(map[wait]verdict, len(ids))
	for _, id := range ids {
		for owner := range w.owners[id] {
			of := wait{owner, id}
			out[of] = w.verdict(of)
		}
	}
	return out
}

func (w *Watcher) verdict(of wait) verdict {
	a := w.waits[of.owner][of.id]
	return verdict{status: w.judge(a).Status, gone: w.resources[a.Resource].states[of.id].gone}
}

// changed returns the owners one of whose verdicts is another now. The lock is held.
func (w *Watcher) changed(before map[wait]verdict) map[types.NamespacedName]bool {
	out := make(map[types.NamespacedName]bool)
	for of, was := range before {
		if w.verdict(of) != was {
			out[of.owner] = true
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
