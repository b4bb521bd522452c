// Package drift notices at once when somebody changes what was applied, without
// reading or keeping any object.
//
// With server-side apply, the API server takes a field out of our entry in
// managedFields exactly when somebody else changes or removes its value. So it is
// enough to watch metadata, to remember a digest of our entry from each apply, and
// to compare. A difference or a deletion wakes the owner of the object, who looks
// at the object, restores it, and has Explain tell who took which field when. An
// object that lost its owner label looks deleted from here.
//
// What cannot be seen this way is a change made under our own name as manager.
package drift

import (
	"context"
	"crypto/sha256"
	"maps"
	"sync"

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
	// OwnerName and OwnerNamespace are the labels that name the owner.
	OwnerName, OwnerNamespace string
	// Wake is called, without blocking, when an object of the owner has drifted.
	Wake func(owner types.NamespacedName)
}

// Watcher remembers how applied objects should look and watches whether they do.
// It implements apply.Tracker and is safe for concurrent use.
type Watcher struct {
	opts Options
	set  *watch.Set

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
}

// object is one object: how we left it, and how it was last seen.
type object struct {
	applied  *apply.Applied
	left     print
	seen     print
	uid      types.UID
	version  string // resource version of seen; empty if it was never seen
	gone     bool
	resource schema.GroupVersionResource
}

// print is a digest of who owns what in an object.
type print [16]byte

// New returns a Watcher of the resources that open opens, which must deliver
// managedFields; metadata is enough. It watches while Start runs.
func New(open func(schema.GroupVersionResource) watch.Source, opts Options) *Watcher {
	w := &Watcher{
		opts:      opts,
		objects:   make(map[manifest.ID]*object),
		resources: make(map[schema.GroupVersionResource]*resource),
	}
	w.set = watch.NewSet(open, w, watch.Options{Selector: opts.OwnerName})
	return w
}

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error { return w.set.Start(ctx) }

// Intact implements apply.Tracker.
func (w *Watcher) Intact(id manifest.ID) (apply.Applied, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[id]
	if !ok || o.applied == nil {
		return apply.Applied{}, false
	}
	return *o.applied, w.resources[o.resource].listed && !o.drifted()
}

// Live implements apply.Tracker.
func (w *Watcher) Live(id manifest.ID) (apply.Live, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[id]
	if !ok || o.version == "" || o.gone {
		return apply.Live{}, false
	}
	return apply.Live{UID: o.uid, ResourceVersion: o.version}, true
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
	o.left = w.printOf(a.Object)
	drifted := o.drifted() // somebody was faster than the answer to us
	w.mu.Unlock()
	if drifted {
		w.opts.Wake(a.Owner)
	}
}

// use makes a the last application of o. The lock is held.
func (w *Watcher) use(o *object, a apply.Applied) {
	if o.applied == nil || o.resource != a.Resource {
		if o.applied != nil {
			w.release(o.resource)
		}
		if _, ok := w.resources[a.Resource]; !ok {
			w.resources[a.Resource] = &resource{group: a.ID.Group, kind: a.ID.Kind}
		}
		o.resource = a.Resource
		w.set.Acquire(a.Resource)
	}
	kept := a
	kept.UID, kept.Version = a.Object.GetUID(), a.Object.GetResourceVersion()
	kept.Object = nil
	o.applied = &kept
}

// Forget implements apply.Tracker: an object is no longer ours to watch.
func (w *Watcher) Forget(id manifest.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[id]
	if !ok || o.applied == nil {
		return
	}
	o.applied = nil
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
	maps.DeleteFunc(w.objects, func(_ manifest.ID, o *object) bool { return o.resource == r && o.applied == nil })
}

// drifted reports whether the object was last seen otherwise than we left it.
func (o *object) drifted() bool {
	if o.applied == nil || o.version == "" || !newer(o.version, o.applied.Version) {
		return false
	}
	return o.gone || o.uid != o.applied.UID || o.seen != o.left
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
	o := w.see(r, id, obj, gone)
	wake := o.drifted()
	var owner types.NamespacedName
	if wake {
		owner = o.applied.Owner
	}
	if gone && o.applied == nil {
		delete(w.objects, id)
	}
	w.mu.Unlock()
	if wake {
		w.opts.Wake(owner)
	}
}

// see records the state of an object. The lock is held.
func (w *Watcher) see(r schema.GroupVersionResource, id manifest.ID, obj metav1.Object, gone bool) *object {
	o, ok := w.objects[id]
	if !ok {
		o = &object{resource: r}
		w.objects[id] = o
	}
	o.seen, o.uid, o.version, o.gone = w.printOf(obj), obj.GetUID(), obj.GetResourceVersion(), gone
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
	present := make(map[manifest.ID]bool, len(objs))
	for _, obj := range objs {
		id, _ := w.id(r, obj)
		present[id] = true
		w.see(r, id, obj, false)
	}
	owners := make(map[types.NamespacedName]bool)
	for id, o := range w.objects {
		if o.resource != r {
			continue
		}
		if o.applied == nil {
			if !present[id] {
				delete(w.objects, id)
			}
			continue
		}
		if !present[id] && newer(version, o.applied.Version) {
			o.version, o.gone = version, true
		}
		if o.drifted() {
			owners[o.applied.Owner] = true
		}
	}
	w.mu.Unlock()
	for owner := range owners {
		w.opts.Wake(owner)
	}
}

// Refused implements watch.Handler: until the resource can be listed again, no
// object of it counts as intact, and each interval applies anew.
func (w *Watcher) Refused(r schema.GroupVersionResource, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if res, ok := w.resources[r]; ok {
		res.listed = false
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

// printOf digests our entry in the managedFields of an object, and who is named
// as its owner.
func (w *Watcher) printOf(obj metav1.Object) print {
	h := sha256.New()
	labels := obj.GetLabels()
	for _, part := range []string{labels[w.opts.OwnerName], "/", labels[w.opts.OwnerNamespace], "/"} {
		h.Write([]byte(part))
	}
	for _, f := range obj.GetManagedFields() {
		if f.Manager == w.opts.Manager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == "" && f.FieldsV1 != nil {
			h.Write([]byte(f.APIVersion))
			h.Write(f.FieldsV1.GetRawBytes())
		}
	}
	var p print
	copy(p[:], h.Sum(nil))
	return p
}

// newer reports whether resource version a is later than b.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}
