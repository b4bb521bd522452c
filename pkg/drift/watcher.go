// Package drift notices at once when somebody changes what was applied, without
// reading or keeping any object.
//
// With server-side apply, the API server takes a field out of our entry in
// managedFields exactly when somebody else changes or removes its value. So it is
// enough to watch metadata, to remember a digest of our entry from each apply, and
// to compare. Fields that somebody adds are theirs, unless it is somebody whose fields
// are taken over, such as kubectl; see apply.Managers. A difference or a deletion wakes the owner of the object, who looks
// at the object, restores it, and has Explain tell who took which field when. An
// object that lost its owner label looks deleted from here.
//
// Somebody who takes a field back at once each time it is restored is a machine. After
// a few rounds that one field is left to it for a while, longer each time, and the
// owner is told with whom it fights; the rest of the object is restored as ever. Edits
// at human speed are undone at once however often they come.
//
// What cannot be seen this way is a change made under our own name as manager.
package drift

import (
	"context"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

// Options are what a Watcher looks for.
type Options struct {
	// Manager is our field manager.
	Manager string
	// Override are further managers whose fields are taken over, as in apply.Config.
	Override []string
	// OwnerName and OwnerNamespace are the labels that name the owner.
	OwnerName, OwnerNamespace string
	// Wishes reads what a live object asks for; nil means apply.WishesOf.
	Wishes func(metav1.Object) apply.Wishes
	// Wake is called, without blocking, when an object of the owner has drifted.
	Wake func(owner types.NamespacedName)
	// Refused is called, without blocking, when a resource may not be watched, so
	// that drift of its objects is noticed only when they are applied; may be nil.
	Refused func(resource schema.GroupVersionResource, err error)
}

// Watcher remembers how applied objects should look and watches whether they do.
// It implements apply.Tracker and is safe for concurrent use.
type Watcher struct {
	opts     Options
	managers apply.Managers
	set      *watch.Set

	mu        sync.Mutex
	objects   map[manifest.ID]*object
	resources map[schema.GroupVersionResource]*resource
}

// resource is what is known of the objects of one API resource.
type resource struct {
	group, kind string
	// listed says that all objects there are have been seen once. Before, and
	// where watching is refused, nothing is known to be intact.
	listed bool
	// told is closed when the objects have been seen, or watching was refused.
	told chan struct{}
}

// seenTimeout bounds how long an apply waits to learn what there is.
const seenTimeout = 5 * time.Second

// New returns a Watcher of the resources that open opens, which must deliver
// managedFields; metadata is enough. It watches while Start runs.
func New(open func(schema.GroupVersionResource) watch.Source, opts Options) *Watcher {
	if opts.Wishes == nil {
		opts.Wishes = apply.WishesOf
	}
	w := &Watcher{
		opts:      opts,
		managers:  apply.Managers{Own: opts.Manager, Override: opts.Override},
		objects:   make(map[manifest.ID]*object),
		resources: make(map[schema.GroupVersionResource]*resource),
	}
	w.set = watch.NewSet(open, w, watch.Options{Selector: opts.OwnerName})
	return w
}

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error { return w.set.Start(ctx) }

// Recall implements apply.Tracker.
func (w *Watcher) Recall(id manifest.ID) apply.Known {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[id]
	if !ok {
		return apply.Known{}
	}
	k := apply.Known{Yielded: o.yielded()}
	if o.last != nil {
		k.Last = *o.last
		k.Intact = w.resources[o.resource].listed && !o.drifted() && (!o.last.Unowned || !newer(o.version, o.last.Version))
	}
	if o.version != "" && !o.gone {
		k.Live = apply.Live{UID: o.uid, ResourceVersion: o.version, Wishes: o.wishes}
	}
	return k
}

// Expect implements apply.Tracker.
func (w *Watcher) Expect(ctx context.Context, kinds map[schema.GroupVersionResource]schema.GroupKind) (blind map[schema.GroupVersionResource]bool, done func()) {
	told := make([]<-chan struct{}, 0, len(kinds))
	w.mu.Lock()
	for r, kind := range kinds {
		told = append(told, w.acquire(r, kind).told)
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	for _, c := range told {
		select {
		case <-c:
		case <-ctx.Done():
		}
	}
	blind = make(map[schema.GroupVersionResource]bool)
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range kinds {
		blind[r] = !w.resources[r].listed
	}
	return blind, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for r := range kinds {
			w.release(r)
		}
	}
}

// acquire begins one use of a resource. The lock is held.
func (w *Watcher) acquire(r schema.GroupVersionResource, kind schema.GroupKind) *resource {
	res, ok := w.resources[r]
	if !ok {
		res = &resource{group: kind.Group, kind: kind.Kind, told: make(chan struct{})}
		w.resources[r] = res
	}
	w.set.Acquire(r)
	return res
}

// tell ends the waiting for what there is. The lock of the Watcher is held.
func (r *resource) tell() {
	select {
	case <-r.told:
	default:
		close(r.told)
	}
}

// Applied implements apply.Tracker: it remembers how an object was left, and
// watches its resource from now on.
func (w *Watcher) Applied(a apply.Applied) {
	w.mu.Lock()
	o, ok := w.objects[a.ID]
	if !ok {
		o = &object{}
		w.objects[a.ID] = o
	}
	w.use(o, a)
	if a.Object != nil {
		o.leave(w.standOf(a.Object))
	}
	o.noticed = w.notice(o, a)
	wake := w.noteDrift(o) // somebody was faster than the answer to us
	w.mu.Unlock()
	if wake {
		w.opts.Wake(a.Owner)
	}
}

// use makes a the last application of o. The lock is held.
func (w *Watcher) use(o *object, a apply.Applied) {
	if o.last == nil || o.resource != a.Resource {
		if o.last != nil {
			w.release(o.resource)
		}
		o.resource = a.Resource
		w.acquire(a.Resource, a.ID.GroupKind())
	}
	kept := a
	if a.Object != nil {
		kept.UID, kept.Version = a.Object.GetUID(), a.Object.GetResourceVersion()
	}
	kept.Object, kept.Noticed = nil, nil
	if o.last == nil || o.last.Content != a.Content || o.last.Owner != a.Owner {
		o.end() // what is fought for may be another now
	}
	o.last = &kept
	if a.Object == nil || a.Noticed != nil {
		return // nobody has done anything about it
	}
	o.answered, o.since = o.since, time.Time{}
	if o.contest != nil {
		o.contest.owed = false
	}
}

// Spare implements apply.Tracker: an object is no longer ours to restore.
func (w *Watcher) Spare(id manifest.ID, once bool) {
	if !once {
		w.Forget(id)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.objects[id]; ok && o.last != nil {
		o.end()
		o.last.Once = true
	}
}

// Forget implements apply.Tracker: an object is no longer ours to watch.
func (w *Watcher) Forget(id manifest.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.objects[id]; ok && o.last != nil {
		w.forget(id, o)
	}
}

// ForgetAll is Forget for all objects that were applied for an owner last.
func (w *Watcher) ForgetAll(owner types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, o := range w.objects {
		if o.last != nil && o.last.Owner == owner {
			w.forget(id, o)
		}
	}
}

// forget is Forget of an object that was applied. The lock is held.
func (w *Watcher) forget(id manifest.ID, o *object) {
	o.end()
	o.last = nil
	if o.gone || o.version == "" {
		delete(w.objects, id)
	}
	w.release(o.resource)
}

// release ends one use of a resource. With the last, all that is known of it goes:
// nobody will keep it current. The lock is held.
func (w *Watcher) release(r schema.GroupVersionResource) {
	if !w.set.Release(r) {
		return
	}
	delete(w.resources, r)
	maps.DeleteFunc(w.objects, func(_ manifest.ID, o *object) bool { return o.resource == r && o.last == nil })
}

// Saw implements watch.Handler.
func (w *Watcher) Saw(r schema.GroupVersionResource, obj metav1.Object) {
	w.note(r, obj, false)
}

// Lost implements watch.Handler.
func (w *Watcher) Lost(r schema.GroupVersionResource, obj metav1.Object) {
	w.note(r, obj, true)
}

// note takes in the state of an object and wakes the owner if that is news.
func (w *Watcher) note(r schema.GroupVersionResource, obj metav1.Object, gone bool) {
	w.mu.Lock()
	id, ok := w.id(r, obj)
	if !ok {
		w.mu.Unlock()
		return
	}
	o := w.see(r, id, obj)
	o.gone = gone
	wake := w.noteDrift(o)
	var owner types.NamespacedName
	if wake {
		owner = o.last.Owner
	}
	if gone && o.last == nil {
		delete(w.objects, id)
	}
	w.mu.Unlock()
	if wake {
		w.opts.Wake(owner)
	}
}

// see records the state of an object. The lock is held.
func (w *Watcher) see(r schema.GroupVersionResource, id manifest.ID, obj metav1.Object) *object {
	o, ok := w.objects[id]
	if !ok {
		o = &object{resource: r}
		w.objects[id] = o
	}
	o.see(w.standOf(obj), obj, w.opts.Wishes(obj))
	return o
}

// Listed implements watch.Handler.
func (w *Watcher) Listed(r schema.GroupVersionResource, objs []metav1.Object, version string) {
	w.mu.Lock()
	res, ok := w.resources[r]
	if !ok {
		w.mu.Unlock()
		return
	}
	res.listed = true
	res.tell()
	present := make(map[manifest.ID]bool, len(objs))
	for _, obj := range objs {
		id, _ := w.id(r, obj)
		present[id] = true
		w.see(r, id, obj)
	}
	owners := make(map[types.NamespacedName]bool)
	for id, o := range w.objects {
		if o.resource != r {
			continue
		}
		if o.last == nil {
			if !present[id] {
				delete(w.objects, id)
			}
			continue
		}
		if !present[id] && newer(version, o.last.Version) {
			o.version, o.gone = version, true
		}
		if w.noteDrift(o) {
			owners[o.last.Owner] = true
		}
	}
	w.mu.Unlock()
	for owner := range owners {
		w.opts.Wake(owner)
	}
}

// Refused implements watch.Handler: until the resource can be listed again, no
// object of it counts as intact, and each interval applies anew.
func (w *Watcher) Refused(r schema.GroupVersionResource, err error) {
	if w.opts.Refused != nil {
		w.opts.Refused(r, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if res, ok := w.resources[r]; ok {
		res.listed = false
		res.tell()
	}
}

// id returns the identity of an object that a watch delivered.
func (w *Watcher) id(r schema.GroupVersionResource, obj metav1.Object) (manifest.ID, bool) {
	res, ok := w.resources[r]
	if !ok {
		return manifest.ID{}, false
	}
	return manifest.ID{Group: res.group, Kind: res.kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}, true
}

// newer reports whether resource version a is later than b.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}
