package apply_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

// What an apply costs is a promise of the package.
func TestRequests(t *testing.T) {
	t.Parallel()
	value := func(obj *unstructured.Unstructured, v string) *unstructured.Unstructured {
		out := obj.DeepCopy()
		out.Object["data"] = map[string]any{"key": v}
		return out
	}
	tests := map[string]struct {
		why  string
		do   func(*cluster)
		want []string
	}{
		"one new object": {
			why:  "its write is refused or done as a whole",
			do:   func(c *cluster) { c.apply(apply.Request{}, c.configMaps("a")...) },
			want: []string{"PATCH a"},
		},
		"new objects": {
			why:  "all but the first are validated first",
			do:   func(c *cluster) { c.apply(apply.Request{}, c.configMaps("a", "b", "c")...) },
			want: []string{"PATCH a", "PATCH b", "PATCH b (dry run)", "PATCH c", "PATCH c (dry run)"},
		},
		"new objects that may be recreated": {
			why:  "the first may be deleted then, so it is not refused as a whole",
			do:   func(c *cluster) { c.apply(apply.Request{Force: true}, c.configMaps("a", "b")...) },
			want: []string{"PATCH a", "PATCH a (dry run)", "PATCH b", "PATCH b (dry run)"},
		},
		"unchanged objects": {
			why: "they are as they should be",
			do: func(c *cluster) {
				c.apply(apply.Request{}, c.configMaps("a", "b")...)
				c.apply(apply.Request{}, c.configMaps("a", "b")...)
			},
			want: []string{},
		},
		"one changed object of three": {
			why: "nobody asks about the others",
			do: func(c *cluster) {
				objs := c.configMaps("a", "b", "c")
				c.apply(apply.Request{}, objs...)
				c.apply(apply.Request{}, objs[0], value(objs[1], "new"), objs[2])
			},
			want: []string{"PATCH b"},
		},
		"two changed objects of three": {
			why: "the second must not be written if it is refused",
			do: func(c *cluster) {
				objs := c.configMaps("a", "b", "c")
				c.apply(apply.Request{}, objs...)
				c.apply(apply.Request{}, objs[0], value(objs[1], "new"), value(objs[2], "new"))
			},
			want: []string{"PATCH b", "PATCH c", "PATCH c (dry run)"},
		},
		"touched objects": {
			why: "they are looked at, to tell what was done to them; their content is known to be valid",
			do: func(c *cluster) {
				c.apply(apply.Request{}, c.configMaps("a", "b", "c")...)
				c.tracker.change(c.id("ConfigMap", "a"), touched)
				c.tracker.change(c.id("ConfigMap", "c"), touched)
				c.apply(apply.Request{}, c.configMaps("a", "b", "c")...)
			},
			want: []string{"GET a", "GET c", "PATCH a", "PATCH c"},
		},
		"touched and new objects": {
			why: "the first that is written is not new, so all that are new are validated",
			do: func(c *cluster) {
				c.apply(apply.Request{}, c.configMaps("a")...)
				c.tracker.change(c.id("ConfigMap", "a"), touched)
				c.apply(apply.Request{}, c.configMaps("a", "b", "c")...)
			},
			want: []string{"GET a", "PATCH a", "PATCH b", "PATCH b (dry run)", "PATCH c", "PATCH c (dry run)"},
		},
		"objects of an earlier process": {
			why: "their content is known to be valid",
			do: func(c *cluster) {
				objs := c.configMaps("a", "b")
				c.apply(apply.Request{}, objs...)
				c.restart()
				c.Traffic.Reset()
				if _, err := c.engine.Apply(c.t.Context(), c.planWith(apply.Options{Proven: true}, objs...), apply.Request{}); err != nil {
					c.t.Fatal(err)
				}
			},
			want: []string{"PATCH a", "PATCH b"},
		},
		"objects to be left alone": {
			why: "the user has said so",
			do: func(c *cluster) {
				objs := c.configMaps("a", "b")
				c.apply(apply.Request{}, annotated(objs[0], keyReconcile, "disabled"), annotated(objs[1], keySSA, "Ignore"))
			},
			want: []string{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			tc.do(c)
			if diff := cmp.Diff(tc.want, c.requests()); diff != "" {
				t.Errorf("requests differ (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
}

// Of n new objects of one stage, each costs two requests, but for the first.
func TestRequestsOfNewObjects(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, n := range []int{1, 2, 7, 20} {
		var objs []*unstructured.Unstructured
		for i := range n {
			objs = append(objs, c.configMaps(fmt.Sprintf("of-%d-%d", n, i))...)
		}
		c.apply(apply.Request{}, objs...)
		if got := len(c.Traffic.Requests()); got != 2*n-1 {
			t.Errorf("%d new objects cost %d requests, want %d", n, got, 2*n-1)
		}
	}
}

func TestEffects(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b, left := c.configMaps("a")[0], c.configMaps("b")[0], annotated(c.configMaps("left")[0], keyReconcile, "disabled")
	check := func(what string, want []string, got []apply.Change) {
		t.Helper()
		if diff := cmp.Diff(want, effects(got)); diff != "" {
			t.Errorf("%s: effects differ (-want +got):\n%s", what, diff)
		}
	}
	check("from nothing", []string{"a created", "b created", "left skipped"}, c.apply(apply.Request{}, a, b, left))
	check("the same again", []string{"a unchanged", "b unchanged", "left skipped"}, c.apply(apply.Request{}, a, b, left))

	changed := b.DeepCopy()
	changed.Object["data"] = map[string]any{"key": "new"}
	check("one changed", []string{"a unchanged", "b configured", "left skipped"}, c.apply(apply.Request{}, a, changed, left))

	// The tracker has forgotten all, but the objects are as they should be.
	live := c.tracker.known
	c.tracker.known = make(map[manifest.ID]apply.Known)
	for id, k := range live {
		c.tracker.known[id] = apply.Known{Live: k.Live}
	}
	check("asked, but unchanged", []string{"a unchanged", "b unchanged", "left skipped"}, c.apply(apply.Request{}, a, changed, left))
	if want := []string{"PATCH a", "PATCH b", "PATCH b (dry run)"}; !slices.Equal(c.requests(), want) {
		t.Errorf("requests are %q, want %q", c.requests(), want)
	}
	if left := c.live(left); left != nil {
		t.Error("what is to be left alone was created")
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.configMaps("gone", "intact", "same", "touched")
	c.apply(apply.Request{}, objs...)
	id := func(name string) manifest.ID { return c.id("ConfigMap", name) }

	c.Patch(c.live(objs[3]), "somebody", "data: {key: theirs, more: theirs}")
	if err := c.Client.Delete(t.Context(), objs[0].DeepCopy()); err != nil {
		t.Fatal(err)
	}
	c.tracker.change(id("gone"), gone)
	c.tracker.change(id("same"), touched)
	c.tracker.change(id("touched"), touched)

	changes := c.apply(apply.Request{}, objs...)
	want := []string{"gone created, restored", "intact unchanged", "same unchanged", "touched configured, restored"}
	if diff := cmp.Diff(want, effects(changes)); diff != "" {
		t.Errorf("effects differ (-want +got):\n%s", diff)
	}
	if changes[0].Before != nil {
		t.Errorf("there was nothing before, but Before is %v", changes[0].Before)
	}
	if changes[1].Before != nil || changes[1].Live != nil {
		t.Error("what is intact was looked at")
	}
	before, live := changes[3].Before, changes[3].Live
	if diff := cmp.Diff(map[string]any{"key": "theirs", "more": "theirs"}, before.Object["data"]); diff != "" {
		t.Errorf("Before is not as it was found (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"key": "value", "more": "theirs"}, live.Object["data"]); diff != "" {
		t.Errorf("Live is not as it is now (-want +got):\n%s", diff)
	}
	if live.GetUID() != before.GetUID() || len(live.GetManagedFields()) == 0 {
		t.Error("Live is not the whole object")
	}
}

// A field that is left to somebody else is not taken back with the others.
func TestRestoreButForYielded(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	obj := c.configMaps("a")[0]
	obj.Object["data"] = map[string]any{"key": "value", "other": "value"}
	c.apply(apply.Request{}, obj)
	c.Patch(c.live(obj), "somebody", "data: {key: theirs, other: theirs}")
	c.tracker.change(c.id("ConfigMap", "a"), func(k *apply.Known) {
		k.Intact = false
		k.Yielded = fieldpath.NewSet(fieldpath.MakePathOrDie("data", "key"))
	})
	before := obj.DeepCopy()
	c.apply(apply.Request{}, obj)
	if diff := cmp.Diff(map[string]any{"key": "theirs", "other": "value"}, c.live(obj).Object["data"]); diff != "" {
		t.Errorf("data differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before.Object, obj.Object); diff != "" {
		t.Errorf("the object of the plan was changed:\n%s", diff)
	}
	if k := c.tracker.Recall(c.id("ConfigMap", "a")); k.Last.Content != contentOf(t, obj) {
		t.Error("the content that counts is that of the manifest, not that of the request")
	}
}

func TestLiveIsWhatTheRequestAsksFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.configMaps("a", "b")
	if live := c.apply(apply.Request{}, objs[0])[0].Live; live.GetUID() == "" || live.Object["data"] != nil {
		t.Errorf("Live is %v, want metadata alone", live)
	}
	if live := c.apply(apply.Request{Whole: true}, objs[1])[0].Live; live.GetUID() == "" || live.Object["data"] == nil {
		t.Errorf("Live is %v, want the whole object", live)
	}
	if diff := cmp.Diff([]manifest.ID{c.id("ConfigMap", "a"), c.id("ConfigMap", "b")}, c.tracker.applied); diff != "" {
		t.Errorf("the tracker was told of other objects (-want +got):\n%s", diff)
	}
}

// A stage with an object that is refused is as it was before, wherever the object
// stands, and all objects that are refused are told at once.
func TestStageIsRefusedWhole(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprintf("force=%t", force), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			names := []string{"a", "b", "c"}
			for refused := 1; refused < 1<<len(names); refused++ {
				var bad []string
				for i, name := range names {
					if refused>>i&1 == 1 {
						bad = append(bad, name)
					}
				}
				c.checkRefusedWhole(apply.Request{Force: force}, names, bad)
			}
		})
	}
}

// checkRefusedWhole applies ConfigMaps of which some are bad.
func (c *cluster) checkRefusedWhole(req apply.Request, names, bad []string) {
	c.t.Helper()
	objs := c.configMaps(names...)
	for _, obj := range objs {
		if slices.Contains(bad, obj.GetName()) {
			obj.Object["data"] = map[string]any{"no/key": "value"}
		}
	}
	first := c.refused(req, objs...)
	if got := c.existing("v1", "ConfigMap"); len(got) != 0 {
		c.t.Fatalf("with %q bad, %q exist, want none", bad, got)
	}
	if len(c.tracker.applied) != 0 {
		c.t.Errorf("with %q bad, the tracker was told that %v are applied", bad, c.tracker.applied)
	}
	for _, name := range names {
		told := strings.Contains(first, fmt.Sprintf(`ConfigMap "%s" is invalid: data[no/key]`, name))
		if told != slices.Contains(bad, name) {
			c.t.Errorf("with %q bad, is %q told: %t; the error is %s", bad, name, told, first)
		}
	}
	for range 3 {
		if again := c.refused(req, objs...); again != first {
			c.t.Errorf("the error is\n%s\nanother time, and was\n%s", again, first)
		}
	}
}

// A stage that fails keeps the later ones from being touched; the earlier are done.
func TestStagesAfterAFailure(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.read(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: NS}
provisioner: example.com/none
volumeBindingMode: Nonsense
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: NS}
`)
	p := c.plan(objs...)
	changes, err := c.engine.Apply(t.Context(), p, apply.Request{})
	if err == nil || !strings.HasPrefix(err.Error(), "StorageClass/"+c.Namespace+" apply failed (Invalid): ") {
		t.Errorf("Apply() fails by %v", err)
	}
	if diff := cmp.Diff([]string{c.Namespace + " created", c.Namespace + " unchanged"}, effects(changes)); diff != "" {
		t.Errorf("effects differ (-want +got):\n%s", diff)
	}
	if c.live(objs[0]) == nil || c.live(objs[1]) != nil || c.live(objs[2]) != nil {
		t.Error("want the first stage done, and the others not begun")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		in   string
		want string
	}{
		"no namespace": {
			why:  "the user forgot it",
			in:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}",
			want: "ConfigMap/a namespace not specified: set metadata.namespace, or spec.targetNamespace for all objects",
		},
		"namespace of a cluster object": {
			why:  "it would be ignored without a word",
			in:   "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: NS, namespace: NS}, provisioner: example.com/none}",
			want: "StorageClass/NS/NS has a namespace, but objects of its kind have none: remove metadata.namespace",
		},
		"unknown group": {
			why:  "its definition is missing",
			in:   "{apiVersion: none.example.com/v1, kind: Widget, metadata: {name: a, namespace: NS}}",
			want: `Widget/NS/a not applied: no such kind "Widget" in "none.example.com/v1": is its CustomResourceDefinition installed?`,
		},
		"unknown version": {
			why:  "the kind has others",
			in:   "{apiVersion: apps/v1beta1, kind: Deployment, metadata: {name: a, namespace: NS}}",
			want: `Deployment/NS/a not applied: no such kind "Deployment" in "apps/v1beta1": is its CustomResourceDefinition installed?`,
		},
		"unknown kind": {
			why:  "a mistake in writing",
			in:   "{apiVersion: v1, kind: ConfigMaps, metadata: {name: a, namespace: NS}}",
			want: `ConfigMaps/NS/a not applied: no such kind "ConfigMaps" in "v1": is its CustomResourceDefinition installed?`,
		},
		"namespace that is not there": {
			why:  "the API server says so",
			in:   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS-none}}",
			want: `ConfigMap/NS-none/a apply failed (NotFound): namespaces "NS-none" not found`,
		},
		"two mistakes": {
			why: "all are told at once",
			in:  "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: none.example.com/v1, kind: Widget, metadata: {name: b, namespace: NS}}",
			want: `ConfigMap/a namespace not specified: set metadata.namespace, or spec.targetNamespace for all objects
Widget/NS/b not applied: no such kind "Widget" in "none.example.com/v1": is its CustomResourceDefinition installed?`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			objs := append(c.read(tc.in), c.read("{apiVersion: v1, kind: LimitRange, metadata: {name: innocent, namespace: NS}}")...)
			objs = append(objs, c.read("{apiVersion: batch/v1, kind: Job, metadata: {name: innocent, namespace: NS}, spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}")...)
			if got := c.refused(apply.Request{}, objs...); got != tc.want {
				t.Errorf("Apply() fails by\n%s\nwant\n%s\n(%s)", got, tc.want, tc.why)
			}
			if len(c.tracker.applied) != 0 {
				t.Errorf("%v are applied, want nothing", c.tracker.applied)
			}
		})
	}
}
