package drift_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// world is a plane with an engine whose objects are watched.
type world struct {
	*testplane.Plane
	t       *testing.T
	engine  *apply.Engine
	watcher *drift.Watcher
	wakes   atomic.Int64
	stop    func() // of watcher
	objects []*unstructured.Unstructured
}

// newWorld starts an engine that has applied nothing yet.
func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t}
	for _, name := range names {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"key": "value", "more": "value"}}}
		obj.SetNamespace(w.Namespace)
		obj.SetName(name)
		obj.SetLabels(map[string]string{"owner.example.com/name": "app", "owner.example.com/namespace": w.Namespace})
		w.objects = append(w.objects, obj)
	}
	w.restart()
	return w
}

// restart makes a new engine that remembers nothing.
func (w *world) restart() {
	w.t.Helper()
	if w.stop != nil {
		w.stop()
	}
	cfg := w.Config()
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, hc)
	if err != nil {
		w.t.Fatal(err)
	}
	meta, err := metadata.NewForConfigAndClient(cfg, hc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.watcher = drift.New(watch.Metadata(meta), drift.Options{
		Manager: "engine", OwnerName: "owner.example.com/name", OwnerNamespace: "owner.example.com/namespace",
		Wake: func(types.NamespacedName) { w.wakes.Add(1) },
	})
	if w.engine, err = apply.New(cfg, hc, mapper, w.watcher, apply.Config{Manager: "engine"}); err != nil {
		w.t.Fatal(err)
	}
	watcher := w.watcher
	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = watcher.Start(ctx)
	}()
	w.stop = func() {
		stop()
		<-ended
	}
	w.t.Cleanup(w.stop)
}

// run applies the objects, and tells what became of those that were not as they should be.
func (w *world) run(dryRun bool) []string {
	w.t.Helper()
	set, err := apply.Prepare(w.objects, apply.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	plan := set.Plan(w.watcher, apply.Options{Owner: types.NamespacedName{Namespace: w.Namespace, Name: "app"}})
	changes, err := w.engine.Apply(w.t.Context(), plan, apply.Request{DryRun: dryRun})
	if err != nil {
		w.t.Fatal(err)
	}
	told := []string{}
	for _, c := range changes {
		if c.Effect == apply.Unchanged {
			continue
		}
		s := c.ID.Name + " " + c.Effect.String()
		if c.Before != nil {
			taken, err := drift.Explain(c.Before, c.Live, "engine")
			if err != nil {
				w.t.Fatal(err)
			}
			for _, field := range taken {
				s += ", " + field.Path + " by " + field.Manager
			}
		}
		told = append(told, s)
	}
	return told
}

// look is a dry run that must find what is wanted.
func (w *world) look(what string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.run(true)); diff != "" {
		w.t.Errorf("%s: what is found differs (-want +got):\n%s", what, diff)
	}
}

// free has what runs ask nothing of the API server.
func (w *world) free(what string, run func()) {
	w.t.Helper()
	allow := w.Traffic.Forbid(func(r testplane.Request) bool { return !r.Watch })
	defer allow()
	w.Traffic.Reset()
	if run(); w.Traffic.Count(testplane.Any) > 0 {
		w.t.Errorf("%s costs %q", what, w.Traffic.Requests())
	}
}

// woken waits until the owner is, and forgets it.
func (w *world) woken(what string) {
	w.t.Helper()
	w.Eventually("the owner is woken: "+what, func() bool { return w.wakes.Swap(0) > 0 })
}

// seen waits until the watch has told the present state of an object.
func (w *world) seen(obj *unstructured.Unstructured) {
	w.t.Helper()
	live := obj.DeepCopy()
	w.Get(live)
	w.Eventually("the watch tells of "+obj.GetName(), func() bool {
		return w.watcher.Recall(manifest.IDOf(obj)).Live.ResourceVersion == live.GetResourceVersion()
	})
}

// TestDryRunThenNothing: a process that has just started looks at each object once, and
// knows from then on what others do to it.
func TestDryRunThenNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	w.run(false)
	w.restart()
	w.look("nobody has touched them")
	w.free("the next look", func() { w.look("nothing has happened") })
	w.Patch(w.objects[0].DeepCopy(), "tool", "data: {extra: theirs}")
	w.seen(w.objects[0])
	w.free("what is of others", func() { w.look("a field of others") })
	if n := w.wakes.Load(); n > 0 {
		t.Errorf("the owner was woken %d times, and nothing has drifted", n)
	}
	w.Patch(w.objects[0].DeepCopy(), "tool", "data: {key: other}")
	w.woken("a field was taken")
	w.look("a field was taken", "a configured, data.key by tool")
}

// TestDryRunLeavesDriftAndTellsOfMore: who was told of a drift that is left as it is, is
// told again when there is more of it, and not of what else happens to the object.
func TestDryRunLeavesDriftAndTellsOfMore(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]bool{"by whoever applied it": false, "by a process that has just started": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "a", "b")
			w.run(false)
			obj := w.objects[0]
			if fresh {
				w.restart()
				w.Patch(obj.DeepCopy(), "tool", "data: {key: other}")
			} else {
				w.Patch(obj.DeepCopy(), "tool", "data: {key: other}")
				w.woken("a field was taken")
			}
			w.look("a field was taken", "a configured, data.key by tool")
			w.look("it still is", "a configured, data.key by tool")
			w.wakes.Store(0)

			w.Patch(obj.DeepCopy(), "tool", "data: {extra: theirs}")
			w.seen(obj)
			if n := w.wakes.Load(); n > 0 {
				t.Errorf("the owner was woken %d times for a field of others", n)
			}
			w.look("it still is", "a configured, data.key by tool")

			w.Patch(obj.DeepCopy(), "tool", "data: {more: other}")
			w.woken("another field was taken")
			w.look("another field was taken", "a configured, data.key by tool, data.more by tool")

			if err := w.Client.Delete(t.Context(), obj.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			w.woken("it was deleted")
			w.look("it was deleted", "a created")
			w.wakes.Store(0)
			w.look("it still is", "a created")
			if n := w.wakes.Load(); n > 0 {
				t.Errorf("the owner was woken %d times for what it knows", n)
			}
			w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: obj.GetName(), Labels: obj.GetLabels()}})
			w.woken("it was created by another")
			w.look("it was created by another", "a configured, data.key by , data.more by ")
			if err := w.Client.Delete(t.Context(), obj.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			w.woken("it was deleted again")
			w.look("it was deleted again", "a created")

			if diff := cmp.Diff([]string{"a created"}, w.run(false)); diff != "" {
				t.Errorf("putting it back differs (-want +got):\n%s", diff)
			}
			w.seen(obj)
			w.free("the look after it was put back", func() { w.look("it was put back") })
		})
	}
}

// TestDryRunOfWhatLostItsLabels: the watch, which is of labels, does not tell of it, and it is
// put back all the same.
func TestDryRunOfWhatLostItsLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	w.run(false)
	w.restart()
	w.Patch(w.objects[0].DeepCopy(), "tool", "metadata: {labels: {owner.example.com/name: null}}")
	taken := "a configured, metadata.labels.owner.example.com/name by "
	w.look("the label was taken", taken)
	w.look("it still is", taken)
	if diff := cmp.Diff([]string{taken}, w.run(false)); diff != "" {
		t.Errorf("putting it back differs (-want +got):\n%s", diff)
	}
	w.seen(w.objects[0])
	w.free("the look after it was put back", func() { w.look("it was put back") })
}

// TestDryRunOfWhatOthersOwn: a change of a field that is not ours is not seen in who owns
// what, so an object counts as intact no longer than it stays the same version.
func TestDryRunOfWhatOthersOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	obj := w.objects[0]
	if err := w.Client.Create(t.Context(), obj.DeepCopy(), client.FieldOwner("tool")); err != nil {
		t.Fatal(err)
	}
	w.look("all values are right")
	w.free("the next look", func() { w.look("nothing has happened") })
	w.Patch(obj.DeepCopy(), "tool", "data: {key: other}")
	w.seen(obj)
	w.look("a field was changed by whoever has it", "a configured, data.key by tool")
}
