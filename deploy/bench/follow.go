package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// longest is how long anything is waited for that does not grow with the number of
// applications, and longestEach what each of them may take besides.
const (
	longest     = 5 * time.Minute
	longestEach = 2 * time.Second
)

// limit is how long anything is waited for.
func (o options) limit() time.Duration { return longest + time.Duration(o.apps)*longestEach }

// goal is what a watch has to show.
type goal interface {
	// reached takes in an event and reports whether that is all.
	reached(watch.Event) bool
	// open says what is missing, for people.
	open() string
}

// view shows what becomes of objects. It does not poll, so that looking on costs the
// API server as little as can be.
type view struct {
	open   func(version string) (watch.Interface, error)
	limit  time.Duration
	events chan seen
	done   chan struct{}
	ended  error // why events is closed
}

// seen is an event, and when it came.
type seen struct {
	watch.Event
	at time.Time
}

// ahead is how many events are taken in, with their times, before anybody asks.
const ahead = 100

// follow watches the objects of a list: those there are, then every change.
func (w *world) follow(ctx context.Context, list client.ObjectList, opts ...client.ListOption) (*view, error) {
	open := func(version string) (watch.Interface, error) {
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true}}
		return w.Client.Watch(ctx, list, slices.Concat(opts, []client.ListOption{from})...)
	}
	first, err := open("")
	if err != nil {
		return nil, err
	}
	v := &view{open: open, limit: w.opts.limit(), events: make(chan seen, ahead), done: make(chan struct{})}
	go v.take(first)
	return v, nil
}

// take notes when each event comes, until the view is stopped. The API server ends the
// watch of somebody who does not keep up with it; then it goes on where that was, or, if that
// is too long ago to be known, from what there is.
func (v *view) take(from watch.Interface) {
	defer close(v.events)
	version := ""
	for {
		more := v.takeAll(from, &version)
		from.Stop()
		if !more {
			return
		}
		if from, v.ended = v.open(version); v.ended != nil {
			return
		}
	}
}

// takeAll takes in the events of one watch, and reports whether it ended before the view.
func (v *view) takeAll(from watch.Interface, version *string) bool {
	for {
		select {
		case <-v.done:
			return false
		case e, ok := <-from.ResultChan():
			if !ok {
				return true
			}
			if e.Type == watch.Error && apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
				*version = ""
				return true
			}
			if obj, ok := e.Object.(client.Object); ok {
				*version = obj.GetResourceVersion()
			}
			if e.Type == watch.Bookmark {
				continue
			}
			select {
			case v.events <- seen{Event: e, at: time.Now()}:
			case <-v.done:
				return false
			}
		}
	}
}

func (v *view) stop() { close(v.done) }

// until takes in events until the goal is reached, and returns when the event came by
// which it was.
func (v *view) until(ctx context.Context, g goal) (time.Time, error) {
	timeout := time.NewTimer(v.limit)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-timeout.C:
			return time.Time{}, fmt.Errorf("it did not happen within %s: %s", v.limit, g.open())
		case e, ok := <-v.events:
			switch {
			case !ok:
				return time.Time{}, fmt.Errorf("looking on again: %w", v.ended)
			case e.Type == watch.Error:
				return time.Time{}, apierrors.FromObject(e.Object)
			case g.reached(e.Event):
				return e.at, nil
			}
		}
	}
}

// within does something and returns how long it takes from its beginning until a goal is
// reached. Events are taken in meanwhile: there may be more than the API server keeps for
// somebody who does not look.
func (v *view) within(ctx context.Context, do func(context.Context) error, g goal) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		err := do(ctx)
		if err != nil {
			cancel(err)
		}
		done <- err
	}()
	end, err := v.until(ctx, g)
	if err != nil {
		cancel(err)
	}
	if failed := <-done; err == nil {
		err = failed
	}
	return end.Sub(began), err
}

// between does something and returns how long it takes from the event by which one
// goal is reached to that by which another is.
func (v *view) between(ctx context.Context, do func(context.Context) error, from, to goal) (time.Duration, error) {
	if err := do(ctx); err != nil {
		return 0, err
	}
	began, err := v.until(ctx, from)
	if err != nil {
		return 0, err
	}
	end, err := v.until(ctx, to)
	return end.Sub(began), err
}

// once is the goal that an event is such that a function says so.
type once struct {
	what string
	is   func(watch.Event) bool
}

func (o once) reached(e watch.Event) bool { return o.is(e) }
func (o once) open() string               { return o.what }

// everyone is the goal that n objects are all such that a function says so, at the
// same time.
type everyone struct {
	n    int
	is   func(client.Object) bool
	met  map[string]bool
	says func(client.Object) string
	last map[string]string
}

func newEveryone(n int, is func(client.Object) bool, says func(client.Object) string) *everyone {
	return &everyone{n: n, is: is, says: says, met: map[string]bool{}, last: map[string]string{}}
}

func (g *everyone) reached(e watch.Event) bool {
	obj, ok := e.Object.(client.Object)
	if !ok {
		return false
	}
	name := obj.GetName()
	if e.Type != watch.Deleted && g.is(obj) {
		g.met[name] = true
		delete(g.last, name)
	} else {
		delete(g.met, name)
		g.last[name] = g.says(obj)
	}
	return len(g.met) == g.n
}

func (g *everyone) open() string {
	const most = 3
	var lines []string
	for name, text := range g.last {
		lines = append(lines, name+": "+text)
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d of %d are as they should be; %s", len(g.met), g.n, strings.Join(lines[:min(most, len(lines))], "; "))
}

// applied is the goal that n Kustomizations have applied a revision and are ready.
func applied(n int, revision string) *everyone {
	is := func(obj client.Object) bool {
		ks, ok := obj.(*kustomizev1.Kustomization)
		return ok && strings.HasSuffix(ks.Status.LastAppliedRevision, revision) &&
			ks.Status.ObservedGeneration == ks.Generation && conditions.IsTrue(ks, meta.ReadyCondition)
	}
	says := func(obj client.Object) string {
		ks, ok := obj.(*kustomizev1.Kustomization)
		if !ok {
			return ""
		}
		return fmt.Sprintf("at %q, %s", ks.Status.LastAppliedRevision, conditions.GetMessage(ks, meta.ReadyCondition))
	}
	return newEveryone(n, is, says)
}

// observed is the goal that the cluster's own controllers have seen n Deployments as
// they are, by which those that have no replicas are healthy.
func observed(n int, version string) *everyone {
	is := func(obj client.Object) bool {
		d, ok := obj.(*appsv1.Deployment)
		return ok && d.Labels["version"] == version && d.Status.ObservedGeneration == d.Generation
	}
	return newEveryone(n, is, func(client.Object) string { return "not observed" })
}

// image returns that of a Deployment.
func image(obj any) string {
	d, ok := obj.(*appsv1.Deployment)
	if !ok || len(d.Spec.Template.Spec.Containers) == 0 {
		return ""
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

// named selects one object.
func named(namespace, name string) []client.ListOption {
	return []client.ListOption{client.InNamespace(namespace), client.MatchingFields{"metadata.name": name}}
}
