package health

import (
	"context"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

const (
	// lookEvery is how often an object is looked at that may be read, but not watched.
	lookEvery = 5 * time.Second
	// lookTimeout bounds one look.
	lookTimeout = 10 * time.Second
)

// lookAtUnwatched looks at objects that may not be watched, until ctx ends.
func (w *Watcher) lookAtUnwatched(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-w.unlooked:
		case <-tick.C:
			all = true
		}
		for _, t := range w.targets(all) {
			w.look(ctx, t)
		}
	}
}

// askForLook makes sure that objects are looked at soon that have not been.
func (w *Watcher) askForLook() {
	select {
	case w.unlooked <- struct{}{}:
	default: // it has been asked for
	}
}

// target is an object to be looked at.
type target struct {
	stream *stream
	id     manifest.ID
}

// targets returns the awaited objects that may not be watched: all that may be read as
// far as is known, or only those of which nothing is known.
func (w *Watcher) targets(all bool) []target {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []target
	for _, st := range w.streams {
		if st.refusal == nil || apierrors.IsNotFound(st.refusal) {
			continue
		}
		for id := range st.owners {
			if s, seen := st.states[id]; !seen || all && !s.barred {
				out = append(out, target{st, id})
			}
		}
	}
	return out
}

// look reads one object, if its source can.
func (w *Watcher) look(ctx context.Context, t target) {
	source, ok := w.open(t.stream.key).(watch.Getter)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	obj, err := source.Get(ctx, t.id.Namespace, t.id.Name)
	s, ok := w.looked(t.stream, obj, err)
	if !ok {
		return
	}
	w.update(t.stream, []manifest.ID{t.id}, func() {
		if t.stream.refusal != nil { // else the object has been seen since
			t.stream.states[t.id] = s
		}
	})
}

// looked returns what a look tells of an object, if anything.
func (w *Watcher) looked(st *stream, obj metav1.Object, err error) (state, bool) {
	switch {
	case apierrors.IsNotFound(err):
		return state{status: NotFound}, true
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return state{message: "may neither be watched nor read: " + err.Error(), barred: true}, true
	case err != nil:
		return state{}, false // the next look may tell more
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return state{}, false
	}
	if selector, err := labels.Parse(w.opts.Selector); err != nil || !selector.Matches(labels.Set(u.GetLabels())) {
		return state{status: NotFound}, true // as to a watch
	}
	s, _ := st.stateOf(u, false)
	s.message = strings.TrimSpace(s.message + " (it may not be watched, so it is looked at every " + lookEvery.String() + ")")
	return s, true
}
