package health

import (
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

// Saw implements watch.HandlerOf.
func (w *Watcher) Saw(of watch.Key, obj metav1.Object) { w.note(of, obj, false) }

// Lost implements watch.HandlerOf.
func (w *Watcher) Lost(of watch.Key, obj metav1.Object) { w.note(of, obj, true) }

// note takes in the state of an object.
func (w *Watcher) note(of watch.Key, obj metav1.Object, gone bool) {
	st := w.stream(of)
	u, ok := obj.(*unstructured.Unstructured)
	if st == nil || !ok {
		return
	}
	id := manifest.IDOf(u)
	s, remains := st.stateOf(u, gone)
	w.update(st, []manifest.ID{id}, func() {
		if remains {
			st.states[id] = s
		} else {
			delete(st.states, id)
		}
	})
	if remains {
		w.reviseInTime(st, u, s)
	}
}

// Listed implements watch.HandlerOf.
func (w *Watcher) Listed(of watch.Key, objs []metav1.Object, _ string) {
	st := w.stream(of)
	if st == nil {
		return
	}
	states := make(map[manifest.ID]state, len(objs))
	for _, obj := range objs {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			states[manifest.IDOf(u)], _ = st.stateOf(u, false)
		}
	}
	w.update(st, nil, func() { st.listed, st.refusal, st.states = true, nil, states })
	for _, obj := range objs {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			w.reviseInTime(st, u, states[manifest.IDOf(u)])
		}
	}
}

// reviseInTime judges an object again when its status changes by itself, unless it has
// changed until then.
func (w *Watcher) reviseInTime(st *stream, obj *unstructured.Unstructured, was state) {
	due, ok := matures(obj)
	if !ok || was.gone || st.rule != nil {
		return
	}
	time.AfterFunc(time.Until(due), func() {
		id := manifest.IDOf(obj)
		now, _ := st.stateOf(obj, false)
		w.update(st, []manifest.ID{id}, func() {
			if st.states[id] == was {
				st.states[id] = now
			}
		})
		w.reviseInTime(st, obj, now) // clocks may differ by a little
	})
}

// Refused implements watch.HandlerOf: what cannot be seen is never Current. The owner
// says so when its time is over, unless the objects may be looked at. Where the kind
// is not served, there are none.
func (w *Watcher) Refused(of watch.Key, err error) {
	st := w.stream(of)
	if st == nil {
		return
	}
	news, first := []manifest.ID{}, false
	if apierrors.IsNotFound(err) {
		news = nil // all
	}
	w.update(st, news, func() {
		first = st.refusal == nil || apierrors.IsNotFound(st.refusal)
		if first || apierrors.IsNotFound(err) {
			clear(st.states)
		}
		maps.DeleteFunc(st.states, func(_ manifest.ID, s state) bool { return s.barred }) // rights may have changed
		st.listed, st.refusal = false, err
	})
	if apierrors.IsNotFound(err) {
		return
	}
	if first && w.opts.Refused != nil {
		w.opts.Refused(of, err)
	}
	w.askForLook()
}

// unwatched is the verdict on an object of which nothing is known because of an error.
func unwatched(err error) (Status, string) {
	if apierrors.IsNotFound(err) {
		return NotFound, "its kind is not served"
	}
	return Unknown, "may not be watched: " + err.Error()
}

// stream returns what is known by a stream; nil if it was let go, and has not ended
// yet.
func (w *Watcher) stream(of watch.Key) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.streams[of]
}

// stateOf returns what is to be remembered of an object, if anything is. No lock is
// held: a rule may take its time.
func (st *stream) stateOf(obj *unstructured.Unstructured, gone bool) (state, bool) {
	if gone {
		if obj = expired(obj); obj == nil {
			return state{}, false
		}
	}
	s, message := st.rule.Of(obj)
	return state{status: s, message: message, version: obj.GetResourceVersion(), gone: gone}, true
}

// update changes what is known by a stream, unless that was let go, and wakes those
// for whom it is news. The objects are those that may be news; nil means all.
func (w *Watcher) update(st *stream, of []manifest.ID, change func()) {
	w.mu.Lock()
	var woken map[types.NamespacedName]bool
	if w.streams[st.key] == st {
		if of == nil {
			of = slices.Collect(maps.Keys(st.owners))
		}
		before := w.verdicts(st, of)
		change()
		woken = w.changed(before)
	}
	w.mu.Unlock()
	for owner := range woken {
		w.wake(owner)
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
func (w *Watcher) verdicts(st *stream, ids []manifest.ID) map[wait]verdict {
	out := make(map[wait]verdict, len(ids))
	for _, id := range ids {
		for owner := range st.owners[id] {
			of := wait{owner, id}
			out[of] = w.verdict(of)
		}
	}
	return out
}

func (w *Watcher) verdict(of wait) verdict {
	a := w.waits[of.owner][of.id]
	return verdict{status: a.judge(of.id).Status, gone: a.stream.states[of.id].gone}
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
