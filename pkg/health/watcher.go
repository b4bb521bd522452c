package health

import (
	"context"
	"fmt"
	"slices"
	"sync"

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
	// Rule judges the object; nil means that kstatus does. With a Rule even kinds
	// that are Immediate without may take their time.
	Rule *Rule
}

// Verdict is an object that is not Current, and why.
type Verdict struct {
	ID      manifest.ID
	Status  Status
	Message string
}

// String tells the verdict in the words of messages to users.
func (v Verdict) String() string {
	text := fmt.Sprintf("%s status: '%s'", v.ID, v.Status)
	if v.Message != "" {
		text += ": " + v.Message
	}
	return text
}

// Options say which objects a Watcher sees, and how.
type Options struct {
	// Selector is of labels: objects without them do not exist for the Watcher.
	// Empty means all objects.
	Selector string
	// Lone watches each awaited object by itself, where it is, so that rights in its
	// namespace are enough. That takes a stream an object; otherwise those of a
	// resource share one.
	Lone bool
	// Refused is called, without blocking, when objects turn out not to be watchable;
	// may be nil. It is not called again before they have been.
	Refused func(of watch.Key, err error)
}

// Watcher follows the health of objects that owners wait for. It keeps of each its
// status only. Objects that it may read but not watch it looks at every few seconds.
// It is safe for concurrent use.
type Watcher struct {
	open     func(watch.Key) watch.Source
	opts     Options
	wake     func(owner types.NamespacedName)
	set      *watch.Streams[watch.Key]
	unlooked chan struct{} // holds one if something is to be looked at

	mu      sync.Mutex
	streams map[watch.Key]*stream // those that are followed
	waits   map[types.NamespacedName]map[manifest.ID]await
}

// stream is what is known of objects that are followed together and judged alike.
type stream struct {
	key    watch.Key
	rule   *Rule
	owners map[manifest.ID]map[types.NamespacedName]bool
	// listed says that all objects there are have been seen once. Before, nothing
	// is known of any.
	listed  bool
	refusal error // why they cannot be watched, if so
	states  map[manifest.ID]state
}

// await is the waiting of one owner for one object.
type await struct {
	version string // from which on the object counts
	stream  *stream
}

// state is what is remembered of an object.
type state struct {
	status  Status
	message string
	version string
	gone    bool // and yet as it should be
	barred  bool // from being looked at
}

// NewWatcher returns a Watcher of the objects that open opens, which must deliver
// them whole. wake is called, without blocking, when the verdict on an awaited object
// changes.
func NewWatcher(open func(watch.Key) watch.Source, opts Options, wake func(types.NamespacedName)) *Watcher {
	w := &Watcher{
		open: open, opts: opts, wake: wake,
		unlooked: make(chan struct{}, 1),
		streams:  make(map[watch.Key]*stream),
		waits:    make(map[types.NamespacedName]map[manifest.ID]await),
	}
	w.set = watch.NewStreams(open, w, watch.Options{Selector: opts.Selector})
	return w
}

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { w.lookAtUnwatched(ctx) })
	return w.set.Start(ctx)
}

// Await makes objects the ones that owner waits for, in the place of those before.
// Nil ends the waiting.
func (w *Watcher) Await(owner types.NamespacedName, objects []Awaited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := make(map[manifest.ID]Awaited, len(objects))
	for _, a := range objects {
		wanted[a.ID] = a
	}
	before, next := w.waits[owner], make(map[manifest.ID]await, len(wanted))
	for id, a := range wanted {
		st := before[id].stream
		if key := w.keyOf(a); st == nil || st.key != key {
			st = w.join(key, a, owner)
		}
		next[id] = await{version: a.Version, stream: st}
	}
	for id, old := range before {
		if next[id].stream != old.stream {
			w.leave(old.stream, id, owner)
		}
	}
	w.waits[owner] = next
	if len(next) == 0 {
		delete(w.waits, owner)
	}
}

// keyOf returns by which stream an object is followed.
func (w *Watcher) keyOf(a Awaited) watch.Key {
	key := watch.Key{Resource: a.Resource, Variant: a.Rule.Key()}
	if w.opts.Lone {
		key.Namespace, key.Name = a.ID.Namespace, a.ID.Name
	}
	return key
}

// join makes owner follow an object by a stream. The lock is held.
func (w *Watcher) join(key watch.Key, a Awaited, owner types.NamespacedName) *stream {
	st := w.streams[key]
	if st == nil {
		st = &stream{
			key: key, rule: a.Rule, states: make(map[manifest.ID]state),
			owners: make(map[manifest.ID]map[types.NamespacedName]bool),
		}
		w.streams[key] = st
	}
	if st.owners[a.ID] == nil {
		st.owners[a.ID] = make(map[types.NamespacedName]bool)
	}
	st.owners[a.ID][owner] = true
	w.set.Acquire(key)
	if st.refusal != nil {
		w.askForLook()
	}
	return st
}

// leave ends that owner follows an object. With the last use of a stream, all that is
// known by it goes: nobody will keep it current. The lock is held.
func (w *Watcher) leave(st *stream, id manifest.ID, owner types.NamespacedName) {
	if delete(st.owners[id], owner); len(st.owners[id]) == 0 {
		delete(st.owners, id)
	}
	if w.set.Release(st.key) {
		delete(w.streams, st.key)
	}
}

// Check returns the awaited objects of owner that are not Current, in the order of
// their identities; none means that all are.
func (w *Watcher) Check(owner types.NamespacedName) []Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Verdict
	for id, a := range w.waits[owner] {
		if v := a.judge(id); v.Status != Current {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Verdict) int { return a.ID.Compare(b.ID) })
	return out
}

// judge returns what is known of an object. The lock is held.
func (a await) judge(id manifest.ID) Verdict {
	v := Verdict{ID: id}
	s, seen := a.stream.states[id]
	switch {
	case !a.stream.listed && a.stream.refusal == nil:
	case !seen && a.stream.refusal != nil:
		v.Status, v.Message = unwatched(a.stream.refusal)
	case !seen:
		v.Status = NotFound
	case a.version != "" && older(s.version, a.version):
		v.Status, v.Message = InProgress, "the change is yet to be seen"
	default:
		v.Status, v.Message = s.status, s.message
	}
	return v
}

// older reports whether resource version a is earlier than b.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}
