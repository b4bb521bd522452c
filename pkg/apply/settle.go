package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/health"
)

const (
	// settleTimeout bounds the wait for definitions and classes to take effect.
	settleTimeout = 60 * time.Second
	// servedTimeout bounds the wait for discovery to tell a kind whose definition
	// is established: the API server publishes it a moment later.
	servedTimeout = 10 * time.Second
)

// settle waits until what was written in an early stage has taken effect, so that
// the next stage can build on it. It asks only about what was changed.
func (e *Engine) settle(ctx context.Context, changes []Change) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTimeout, errors.New("not ready after "+settleTimeout.String()))
	defer cancel()
	for _, c := range changes {
		if c.Effect == Unchanged || c.Effect == Skipped || health.Immediate(c.ID.GroupKind()) || c.ID.Kind == "Namespace" {
			continue
		}
		if err := e.current(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
	}
	return nil
}

// current waits until an object is Current. A definition is established within
// milliseconds, which is sooner than a watch for it would be open.
func (e *Engine) current(ctx context.Context, c Change) error {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		live, err := e.client.get(ctx, c.target, c.ID.Namespace, c.ID.Name)
		if err != nil {
			return err
		}
		switch s, why := health.Of(live); s {
		case health.Current:
			return nil
		case health.Failed:
			return errors.New(why)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}

// deadline is when the kinds of a stage must be served. It is set when the first of them
// is not, so that a stage waits once, however many of its objects are of no kind.
type deadline struct{ at time.Time }

func (d *deadline) over() bool {
	if d.at.IsZero() {
		d.at = time.Now().Add(servedTimeout)
	}
	return time.Now().After(d.at)
}

var errNoKind = errors.New("no such kind")

// find returns where an object lives. Its kind may have been defined a moment ago
// by this same plan, and not be told by discovery yet.
func (e *Engine) find(ctx context.Context, obj *unstructured.Unstructured, defined bool, served *deadline) (target, error) {
	gvk := obj.GroupVersionKind()
	for delay := 20 * time.Millisecond; ; delay *= 2 {
		t, err := e.client.locate(gvk)
		if !meta.IsNoMatchError(err) {
			return t, err
		}
		if !defined || served.over() {
			return target{}, fmt.Errorf("%w %q in %q: is its CustomResourceDefinition installed?", errNoKind, gvk.Kind, gvk.GroupVersion())
		}
		select {
		case <-ctx.Done():
			return target{}, context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}
