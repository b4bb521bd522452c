package apply_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// An object that was applied and is not to be any more is no longer tracked. That is told
// once, at no request.
func TestSkippedIsNotTracked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, key, value string
		live            apply.Wishes
		spared, once    bool
	}{
		"left alone":         {why: "nobody would restore it", key: keyReconcile, value: "disabled", spared: true},
		"created once":       {why: "only its end matters", key: keySSA, value: "IfNotPresent", spared: true, once: true},
		"asks for it itself": {why: "it may take that back at any time", live: apply.Wishes{LeaveAlone: true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			obj := c.configMaps("a")[0]
			id := manifest.IDOf(obj)
			c.apply(apply.Request{}, obj)
			c.tracker.change(id, func(k *apply.Known) { k.Live.Wishes = tc.live })
			if tc.key != "" {
				obj = annotated(obj, tc.key, tc.value)
			}
			p := c.plan(obj)
			if p.Idle() == tc.spared {
				t.Errorf("the plan is idle: %t (%s)", p.Idle(), tc.why)
			}
			if got := effects(c.apply(apply.Request{}, obj)); !slices.Equal(got, []string{"a skipped"}) || len(c.requests()) > 0 {
				t.Errorf("effects are %q, after %q", got, c.requests())
			}
			if spared := slices.Contains(c.tracker.spared, id); spared != tc.spared || c.tracker.Recall(id).Last.Once != tc.once {
				t.Errorf("the tracker is told: %t, once: %t (%s)", spared, c.tracker.Recall(id).Last.Once, tc.why)
			}
			if !c.plan(obj).Idle() {
				t.Error("the plan is not carried out")
			}
		})
	}
}

// What is prepared once serves any number of plans, each by what is known then.
func TestPreparedPlansAgain(t *testing.T) {
	t.Parallel()
	objs := []*unstructured.Unstructured{configMap("ns", "b", "1"), configMap("ns", "a", "1")}
	set, err := apply.Prepare(objs, apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	actions := func(r *recorder, opts apply.Options) (out []apply.Action) {
		for _, item := range set.Plan(r, opts).Stages[0].Items {
			out = append(out, item.Action)
		}
		return out
	}
	known := newRecorder()
	known.known[manifest.IDOf(objs[1])] = apply.Known{Last: apply.Applied{Content: contentOf(t, objs[1])}, Intact: true}
	got := [][]apply.Action{actions(newRecorder(), apply.Options{}), actions(known, apply.Options{Proven: true}), actions(newRecorder(), apply.Options{})}
	want := [][]apply.Action{{apply.Write, apply.Write}, {apply.Keep, apply.Renew}, {apply.Write, apply.Write}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions differ (-want +got):\n%s", diff)
	}
}

// Where nothing can be watched, the object itself is asked whether it is to be left
// alone, at one look before a write, of which a restoration takes one anyway.
func TestLeftAloneWithoutAWatch(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.tracker.blind = map[schema.GroupVersionResource]bool{{Version: "v1", Resource: "configmaps"}: true}
	objs := c.configMaps("a", "b")
	c.apply(apply.Request{}, objs...)
	if diff := cmp.Diff([]string{"GET a", "GET b", "PATCH a", "PATCH b", "PATCH b (dry run)"}, c.requests()); diff != "" {
		t.Errorf("requests of the creation differ (-want +got):\n%s", diff)
	}
	c.Patch(c.live(objs[0]), "kubectl-annotate", "metadata: {annotations: {"+keyReconcile+": disabled}}")
	left := c.live(objs[0]).GetResourceVersion()
	for _, obj := range objs {
		c.tracker.change(manifest.IDOf(obj), touched)
	}
	changes := c.apply(apply.Request{}, objs...)
	if got := effects(changes); !slices.Equal(got, []string{"a skipped", "b unchanged"}) {
		t.Errorf("effects of a restoration are %q", got)
	}
	if diff := cmp.Diff([]string{"GET a", "GET b", "PATCH b"}, c.requests()); diff != "" {
		t.Errorf("requests of the restoration differ (-want +got):\n%s", diff)
	}
	c.restart()
	c.tracker.blind = map[schema.GroupVersionResource]bool{{Version: "v1", Resource: "configmaps"}: true}
	if got := effects(c.apply(apply.Request{}, objs...)); !slices.Equal(got, []string{"a skipped", "b configured"}) && !slices.Equal(got, []string{"a skipped", "b unchanged"}) {
		t.Errorf("effects after a restart are %q", got)
	}
	if got := c.live(objs[0]).GetResourceVersion(); got != left {
		t.Error("the object was written")
	}
}

// TestWishesThatNobodyHeeds: what objects may ask for is the business of a kind, on its way
// into the cluster and there.
func TestWishesThatNobodyHeeds(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"by Kustomizations": true, "by others": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			var opts apply.Options
			if !heeds {
				c.with.Wishes, opts.Wishes = apply.NoWishes, apply.NoWishes
			}
			c.restart()
			const disabled = "metadata: {annotations: {" + keyReconcile + ": disabled, " + keyPrune + ": disabled}}"
			objs := c.configMaps("live", "source")
			c.apply(apply.Request{}, objs[0])
			c.Patch(c.live(objs[0]), "tool", "{data: {key: other}, "+disabled+"}")
			objs[1].SetAnnotations(map[string]string{keyReconcile: "disabled"})
			c.tracker.change(c.id("ConfigMap", "live"), touched)
			changes, err := c.engine.Apply(c.t.Context(), c.planWith(opts, objs...), apply.Request{})
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"live configured, restored", "source created"}
			if heeds {
				want = []string{"live skipped", "source skipped"}
			}
			if diff := cmp.Diff(want, effects(changes)); diff != "" {
				t.Errorf("changes differ (-want +got):\n%s", diff)
			}
			pruned, err := c.engine.Prune(c.t.Context(), inventory.Set{c.id("ConfigMap", "live"): "v1"}, c.isOurs)
			if err != nil {
				t.Fatal(err)
			}
			if deleted := pruned.Changes[0].Effect == apply.Deleted; deleted == heeds {
				t.Errorf("the object that is to be kept was deleted: %t; want %t", deleted, !heeds)
			}
		})
	}
}
