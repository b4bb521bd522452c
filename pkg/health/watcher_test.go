package health_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

// watcher is a Watcher that is not started: the test tells it what is seen, one
// thing after the other, and takes who is woken.
type watcher struct {
	*health.Watcher
	woken []types.NamespacedName
}

func newWatcher() *watcher {
	w := &watcher{}
	silent := func(watch.Key) watch.Source { return nil } // opened by Start only
	w.Watcher = health.NewWatcher(silent, health.Options{Selector: "owner"}, func(owner types.NamespacedName) { w.woken = append(w.woken, owner) })
	return w
}

// wakes returns who was woken since the last call, sorted.
func (w *watcher) wakes() []string {
	out := make([]string, 0, len(w.woken))
	for _, owner := range w.woken {
		out = append(out, owner.Name)
	}
	w.woken = nil
	slices.Sort(out)
	return out
}

// verdicts returns the open verdicts of an owner in short.
func (w *watcher) verdicts(name string) []string {
	out := []string{}
	for _, v := range w.Check(owner(name)) {
		out = append(out, v.ID.Name+" "+v.Status.String())
	}
	return out
}

func owner(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "ns", Name: name}
}

func widgets(version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "example.com", Version: version, Resource: "widgets"}
}

// whole is a resource as it is followed without a rule.
func whole(r schema.GroupVersionResource) watch.Key { return watch.Key{Resource: r} }

// awaited is a widget that is awaited from a resource version on.
func awaited(name, from string) health.Awaited {
	return health.Awaited{ID: manifest.ID{Group: "example.com", Kind: "Widget", Namespace: "ns", Name: name}, Resource: widgets("v1"), Version: from}
}

// widget is an object with a resource version, of which Ready is said, if anything.
func widget(name string, version int, ready string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"namespace": "ns", "name": name, "resourceVersion": strconv.Itoa(version)},
	}}
	switch ready {
	case "":
	case "Stalled":
		obj.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Stalled", "status": "True", "message": "never"}}}
	default:
		obj.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready, "message": "so it is"}}}
	}
	return obj
}

func (w *watcher) listed(objs ...*unstructured.Unstructured) {
	list := make([]metav1.Object, 0, len(objs))
	for _, obj := range objs {
		list = append(list, obj)
	}
	w.Listed(whole(widgets("v1")), list, "100")
}

func TestWatcher(t *testing.T) {
	t.Parallel()
	v1 := whole(widgets("v1"))
	await := func(names ...string) func(*watcher) {
		return func(w *watcher) {
			var all []health.Awaited
			for _, name := range names {
				all = append(all, awaited(name, "10"))
			}
			w.Await(owner("o"), all)
		}
	}
	saw := func(name string, version int, ready string) func(*watcher) {
		return func(w *watcher) { w.Saw(v1, widget(name, version, ready)) }
	}
	type step struct {
		do       func(*watcher)
		verdicts []string // open ones of owner o
		wakes    []string
	}
	none, wakes := []string{}, []string{"o"}
	notServed := apierrors.NewNotFound(widgets("v1").GroupResource(), "")
	tests := map[string]struct {
		why   string
		steps []step
	}{
		"not listed": {why: "what was not looked at is neither there nor missing", steps: []step{
			{do: await("b", "a"), verdicts: []string{"a Unknown", "b Unknown"}, wakes: none},
			{do: saw("a", 11, "True"), verdicts: []string{"a Unknown", "b Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "True")) }, verdicts: []string{"b NotFound"}, wakes: wakes},
		}},
		"on its way": {why: "only another verdict is news", steps: []step{
			{do: await("a"), verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "False")) }, verdicts: []string{"a InProgress"}, wakes: wakes},
			{do: saw("a", 12, "Unknown"), verdicts: []string{"a InProgress"}, wakes: none},
			{do: saw("other", 13, "True"), verdicts: []string{"a InProgress"}, wakes: none},
			{do: saw("a", 14, "Stalled"), verdicts: []string{"a Failed"}, wakes: wakes},
			{do: saw("a", 15, "True"), verdicts: none, wakes: wakes},
			{do: saw("a", 16, ""), verdicts: none, wakes: none},
			{do: func(w *watcher) { w.Lost(v1, widget("a", 17, "")) }, verdicts: []string{"a NotFound"}, wakes: wakes},
			{do: func(w *watcher) { w.Lost(v1, widget("other", 18, "")) }, verdicts: []string{"a NotFound"}, wakes: none},
			{do: saw("a", 19, "True"), verdicts: none, wakes: wakes},
		}},
		"state from before the apply": {why: "the old object was healthy, the new may not be", steps: []step{
			{do: await("a"), verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 9, "True")) }, verdicts: []string{"a InProgress"}, wakes: wakes},
			{do: saw("a", 10, "True"), verdicts: none, wakes: wakes},
			{do: func(w *watcher) { w.Await(owner("o"), []health.Awaited{awaited("a", "20")}) }, verdicts: []string{"a InProgress"}, wakes: none},
			{do: saw("a", 20, "False"), verdicts: []string{"a InProgress"}, wakes: none},
			{do: saw("a", 21, "True"), verdicts: none, wakes: wakes},
		}},
		"long resource versions": {why: "they are numbers, not words", steps: []step{
			{do: func(w *watcher) { w.Await(owner("o"), []health.Awaited{awaited("a", "100000000000000000001")}) }, verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 99, "True")) }, verdicts: []string{"a InProgress"}, wakes: wakes},
		}},
		"no version": {why: "any state will do", steps: []step{
			{do: func(w *watcher) { w.Await(owner("o"), []health.Awaited{awaited("a", "")}) }, verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 1, "True")) }, verdicts: none, wakes: wakes},
		}},
		"listed again": {why: "what is not among the objects is gone, and what is the same is no news", steps: []step{
			{do: await("a", "b"), verdicts: []string{"a Unknown", "b Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "True"), widget("b", 11, "False")) }, verdicts: []string{"b InProgress"}, wakes: wakes},
			{do: func(w *watcher) { w.listed(widget("a", 11, "True"), widget("b", 11, "False")) }, verdicts: []string{"b InProgress"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("b", 12, "True")) }, verdicts: []string{"a NotFound"}, wakes: wakes},
		}},
		"refused": {why: "what cannot be seen is not known to be healthy", steps: []step{
			{do: await("a"), verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "True")) }, verdicts: none, wakes: wakes},
			{do: func(w *watcher) { w.Refused(v1, errors.New("no")) }, verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "True")) }, verdicts: none, wakes: wakes},
		}},
		"not served": {why: "with the definition all objects go, and may come back with it", steps: []step{
			{do: await("a", "b"), verdicts: []string{"a Unknown", "b Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "True"), widget("b", 11, "False")) }, verdicts: []string{"b InProgress"}, wakes: wakes},
			{do: func(w *watcher) { w.Refused(v1, notServed) }, verdicts: []string{"a NotFound", "b NotFound"}, wakes: wakes},
			{do: func(w *watcher) { w.Refused(v1, notServed) }, verdicts: []string{"a NotFound", "b NotFound"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 12, "True")) }, verdicts: []string{"b NotFound"}, wakes: wakes},
		}},
		"other objects": {why: "the new list is in the place of the old", steps: []step{
			{do: await("a", "b"), verdicts: []string{"a Unknown", "b Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed() }, verdicts: []string{"a NotFound", "b NotFound"}, wakes: wakes},
			{do: await("b"), verdicts: []string{"b NotFound"}, wakes: none},
			{do: saw("a", 11, "True"), verdicts: []string{"b NotFound"}, wakes: none},
			{do: await("a"), verdicts: none, wakes: none},
			{do: saw("b", 12, "True"), verdicts: none, wakes: none},
		}},
		"no more": {why: "nobody follows the kind then, so nothing is known of it", steps: []step{
			{do: await("a"), verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 11, "False")) }, verdicts: []string{"a InProgress"}, wakes: wakes},
			{do: func(w *watcher) { w.Await(owner("o"), nil) }, verdicts: none, wakes: none},
			{do: saw("a", 12, "True"), verdicts: none, wakes: none},
			{do: func(w *watcher) { w.listed(widget("a", 12, "True")) }, verdicts: none, wakes: none},
			{do: await("a"), verdicts: []string{"a Unknown"}, wakes: none},
		}},
		"not an object": {why: "there is nothing to judge", steps: []step{
			{do: await("a"), verdicts: []string{"a Unknown"}, wakes: none},
			{do: func(w *watcher) { w.listed() }, verdicts: []string{"a NotFound"}, wakes: wakes},
			{do: func(w *watcher) {
				m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}
				w.Saw(v1, m)
				w.Lost(v1, m)
			}, verdicts: []string{"a NotFound"}, wakes: none},
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatcher()
			for i, s := range tc.steps {
				s.do(w)
				if diff := cmp.Diff(s.verdicts, w.verdicts("o")); diff != "" {
					t.Errorf("step %d: Check() differs (-want +got), %s:\n%s", i, tc.why, diff)
				}
				if diff := cmp.Diff(s.wakes, w.wakes()); diff != "" {
					t.Errorf("step %d: woken owners differ (-want +got), %s:\n%s", i, tc.why, diff)
				}
			}
		})
	}
}

func TestCheckTellsWhy(t *testing.T) {
	t.Parallel()
	w := newWatcher()
	w.Await(owner("o"), []health.Awaited{awaited("b", "10"), awaited("a", "10"), awaited("c", "10"), awaited("d", "10")})
	w.listed(widget("a", 11, "False"), widget("b", 9, "True"), widget("c", 11, "True"))
	want := []health.Verdict{
		{ID: awaited("a", "").ID, Status: health.InProgress, Message: "so it is"},
		{ID: awaited("b", "").ID, Status: health.InProgress, Message: "the change is yet to be seen"},
		{ID: awaited("d", "").ID, Status: health.NotFound},
	}
	if diff := cmp.Diff(want, w.Check(owner("o"))); diff != "" {
		t.Errorf("Check() differs (-want +got):\n%s", diff)
	}
	forbidden := apierrors.NewForbidden(widgets("v1").GroupResource(), "", errors.New("no right to list"))
	w.Refused(whole(widgets("v1")), forbidden)
	for _, v := range w.Check(owner("o")) {
		if want := "may not be watched: " + forbidden.Error(); v.Status != health.Unknown || v.Message != want {
			t.Errorf("of what is refused, Check() says %s, %q; want Unknown, %q", v.Status, v.Message, want)
		}
	}
}

func TestTwoOwnersOfOneObject(t *testing.T) {
	t.Parallel()
	w := newWatcher()
	w.Await(owner("early"), []health.Awaited{awaited("a", "10")})
	w.Await(owner("late"), []health.Awaited{awaited("a", "20")})
	w.listed(widget("a", 15, "True"))
	if diff := cmp.Diff([]string{"early", "late"}, w.wakes()); diff != "" {
		t.Errorf("the first list wakes others (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(w.verdicts("early"), w.verdicts("late")); got != "[] [a InProgress]" {
		t.Errorf("each owner has its own version to wait for; verdicts are %s", got)
	}
	w.Saw(whole(widgets("v1")), widget("a", 21, "True"))
	if diff := cmp.Diff([]string{"late"}, w.wakes()); diff != "" {
		t.Errorf("only one verdict has changed (-want +got):\n%s", diff)
	}
	w.Await(owner("early"), nil)
	w.Saw(whole(widgets("v1")), widget("a", 22, "False"))
	if diff := cmp.Diff([]string{"late"}, w.wakes()); diff != "" {
		t.Errorf("one owner waits no more, the other does (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(w.verdicts("early"), w.verdicts("late")); got != "[] [a InProgress]" {
		t.Errorf("verdicts are %s", got)
	}
}

// A Job with a time to live is gone after its end without having failed anybody.
func TestJobThatExpires(t *testing.T) {
	t.Parallel()
	jobs := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	job := func(more string) *unstructured.Unstructured {
		return object(t, "{apiVersion: batch/v1, kind: Job, metadata: {namespace: ns, name: a, resourceVersion: '11'}, "+more+"}")
	}
	const (
		running = "startTime: '2026-01-01T00:00:00Z', active: 1"
		done    = "startTime: '2026-01-01T00:00:00Z', succeeded: 1, conditions: [{type: Complete, status: 'True'}]"
		failed  = "startTime: '2026-01-01T00:00:00Z', failed: 1, conditions: [{type: Failed, status: 'True'}]"
	)
	tests := map[string]struct {
		why  string
		last string
		want string
	}{
		"done":                    {why: "it has done what is waited for", last: "spec: {ttlSecondsAfterFinished: 0}, status: {" + done + "}", want: "[]"},
		"failed":                  {why: "that it is gone heals nothing", last: "spec: {ttlSecondsAfterFinished: 0}, status: {" + failed + "}", want: "[a Failed]"},
		"running":                 {why: "somebody has deleted it", last: "spec: {ttlSecondsAfterFinished: 0}, status: {" + running + "}", want: "[a NotFound]"},
		"done, without an expiry": {why: "somebody has deleted it", last: "spec: {}, status: {" + done + "}", want: "[a NotFound]"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatcher()
			w.Await(owner("o"), []health.Awaited{{ID: manifest.IDOf(job(tc.last)), Resource: jobs, Version: "10"}})
			w.Listed(whole(jobs), []metav1.Object{job("status: {}")}, "11")
			last := job(tc.last)
			now := metav1.Now()
			last.SetDeletionTimestamp(&now) // it goes after its Pods
			last.SetResourceVersion("12")
			w.Saw(whole(jobs), last)
			w.wakes()
			w.Lost(whole(jobs), last)
			if got := w.wakes(); len(got) != 1 {
				t.Errorf("woke %q, want the owner, who may wait for the end (%s)", got, tc.why)
			}
			if got := fmt.Sprint(w.verdicts("o")); got != tc.want {
				t.Errorf("verdicts are %s, want %s (%s)", got, tc.want, tc.why)
			}
		})
	}
}

// Two owners may apply the same kind by different versions of its API.
func TestOneOfTwoResourcesOfAKindIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWatcher()
	other := awaited("b", "")
	other.Resource = widgets("v1beta1")
	w.Await(owner("o"), []health.Awaited{awaited("a", "")})
	w.Await(owner("p"), []health.Awaited{other})
	w.listed(widget("a", 11, "True"), widget("b", 11, "True"))
	w.Listed(whole(other.Resource), []metav1.Object{widget("a", 11, "True"), widget("b", 11, "True")}, "11")
	w.Await(owner("p"), nil)
	if got := w.verdicts("o"); len(got) != 0 {
		t.Errorf("what o waits for is still followed and was healthy; verdicts are %q", got)
	}
}
