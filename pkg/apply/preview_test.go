package apply_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/testplane"
)

// preview applies objects by a dry run, and fails the test if anything is written.
func (c *cluster) preview(req apply.Request, plan apply.Plan) ([]apply.Change, error) {
	c.t.Helper()
	req.DryRun = true
	c.Traffic.Reset()
	allow := c.Traffic.Forbid(testplane.Request.Write)
	defer allow()
	return c.engine.Apply(c.t.Context(), plan, req)
}

// explained is what somebody did to the objects that would be put back, a line each.
func explained(t *testing.T, changes []apply.Change) []string {
	t.Helper()
	var out []string
	for _, c := range changes {
		if c.Before == nil || c.Live == nil {
			continue
		}
		taken, err := drift.Explain(c.Before, c.Live, "engine")
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range taken {
			s, _, _ := strings.Cut(change.String(), " at ")
			out = append(out, s)
		}
	}
	return out
}

func TestDryRunTellsWhatWouldBePutBack(t *testing.T) {
	t.Parallel()
	secret := "{apiVersion: v1, kind: Secret, immutable: true, metadata: {name: a, namespace: NS}, stringData: {key: value}}"
	look, compare, again := []string{"GET a"}, []string{"GET a", "PATCH a (dry run)"}, []string{"GET a", "PATCH a (dry run)", "PATCH a (dry run)"}
	annotated := func(key, value string) string {
		return strings.Replace(wanted, "namespace: NS", "namespace: NS, annotations: {"+key+": "+value+"}", 1)
	}
	tests := map[string]struct {
		why      string
		git      string // "" is wanted
		adjust   apply.Options
		force    bool
		after    func(*cluster, *unstructured.Unstructured)
		effect   string
		told     []string
		requests []string
		intact   bool // afterwards
		fails    string
	}{
		"as it was left": {effect: "a unchanged", requests: compare, intact: true},
		"changed": {
			why: "a field was taken", after: func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "tool", "data: {key: other}") },
			effect: "a configured, restored", told: []string{`data.key "value" -> "other" by tool`}, requests: compare,
		},
		"removed": {
			why: "nobody owns what is not there", after: func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "tool", "data: {key: null}") },
			effect: "a configured, restored", told: []string{`data.key "value" -> nothing by somebody unknown`}, requests: compare,
		},
		"deleted": {
			why: "there is nothing to compare with", after: func(c *cluster, obj *unstructured.Unstructured) {
				if err := c.Client.Delete(c.t.Context(), obj.DeepCopy()); err != nil {
					c.t.Fatal(err)
				}
			},
			effect: "a created, restored", requests: look,
		},
		"gone by itself": {
			why: "that is nobody's deed", git: "{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: NS}, spec: {suspend: true, ttlSecondsAfterFinished: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}",
			after: func(c *cluster, obj *unstructured.Unstructured) {
				if err := c.Client.Delete(c.t.Context(), obj.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
					c.t.Fatal(err)
				}
				c.WaitGone(obj.DeepCopy())
			},
			effect: "a unchanged", requests: look, intact: true,
		},
		"added to by kubectl": {
			why: "it would be taken over, and go", after: func(c *cluster, obj *unstructured.Unstructured) {
				c.Patch(obj, "kubectl-edit", "{data: {more: theirs}, metadata: {labels: {x: z}}}")
			},
			effect: "a configured, restored", told: []string{`data.more nothing -> "theirs" by kubectl-edit`, `metadata.labels.x nothing -> "z" by kubectl-edit`}, requests: again,
		},
		"added to by another": {
			why: "it is theirs", after: func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "tool", "data: {more: theirs}") },
			effect: "a unchanged", requests: compare, intact: true,
		},
		"changed, and changed back": {
			why: "it is as it should be, whoever has it", after: func(c *cluster, obj *unstructured.Unstructured) {
				c.Patch(obj, "tool", "data: {key: other}")
				c.Patch(obj, "tool", "data: {key: value}")
			},
			effect: "a unchanged", requests: compare, intact: true,
		},
		"asking to be left alone": {
			why: "it is heard", after: func(c *cluster, obj *unstructured.Unstructured) {
				c.Patch(obj, "tool", "{metadata: {annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}}, data: {key: other}}")
			},
			effect: "a skipped", requests: look,
		},
		"created only": {
			why: "it exists", git: annotated("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
			after:  func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "tool", "data: {key: other}") },
			effect: "a skipped", requests: look,
		},
		"changed where nobody minds": {
			why: "the field is ignored", adjust: apply.Options{Ignore: []apply.IgnoreRule{{Paths: []string{"/data/key"}}}},
			after:  func(c *cluster, obj *unstructured.Unstructured) { c.Patch(obj, "tool", "data: {key: other}") },
			effect: "a unchanged", requests: compare, intact: true,
		},
		"replaced by what cannot be changed": {
			why: "an apply would fail", git: secret, after: replaceSecret,
			effect: "a unchanged", requests: compare, fails: "a dry-run failed (Invalid)",
		},
		"replaced by what cannot be changed, by force": {
			why: "an apply would make way for it", git: secret, force: true, after: replaceSecret,
			effect: "a recreated, restored", requests: compare,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			if tc.git == "" {
				tc.git = wanted
			}
			git := c.read(tc.git)[0]
			c.apply(apply.Request{}, git)
			if tc.after != nil {
				tc.after(c, c.live(git))
			}
			before := c.live(git)
			c.restart() // which remembers nothing
			changes, err := c.preview(apply.Request{Force: tc.force}, c.planWith(tc.adjust, git))
			if got := text(err); tc.fails == "" && got != "" || !strings.Contains(got, tc.fails) {
				t.Fatalf("%s; want %q (%s)", got, tc.fails, tc.why)
			}
			if diff := cmp.Diff([]string{tc.effect}, effects(changes)); diff != "" {
				t.Errorf("changes differ (-want +got), %s:\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.told, explained(t, changes)); !tc.force && diff != "" {
				t.Errorf("what is told differs (-want +got), %s:\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.requests, c.requests()); diff != "" {
				t.Errorf("requests differ (-want +got), %s:\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(before, c.live(git)); diff != "" {
				t.Errorf("the object was changed (-before +after):\n%s", diff)
			}
			if got := c.planWith(tc.adjust, git).Idle(); got != tc.intact {
				t.Errorf("the next plan has nothing to do: %t; want %t (%s)", got, tc.intact, tc.why)
			}
		})
	}
}

func replaceSecret(c *cluster, obj *unstructured.Unstructured) {
	if err := c.Client.Delete(c.t.Context(), obj); err != nil {
		c.t.Fatal(err)
	}
	c.created("tool", "{apiVersion: v1, kind: Secret, immutable: true, metadata: {name: a, namespace: NS}, stringData: {key: other}}")
}

// TestDryRunKnowsDefaults: who creates an object owns its defaults, and these are no drift.
func TestDryRunKnowsDefaults(t *testing.T) {
	t.Parallel()
	const git = "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: NS}, spec: {selector: {app: a}, ports: [{port: 80}]}}"
	tests := map[string]struct {
		manager string
		edit    string // by the same
		effect  string
	}{
		"made by ours, without apply": {manager: "engine", effect: "a unchanged"},
		"made by kubectl":             {manager: "kubectl-create", effect: "a unchanged"},
		"and changed": {
			manager: "kubectl-create", edit: "spec: {publishNotReadyAddresses: true, sessionAffinity: ClientIP}", effect: "a configured, restored",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			obj := c.created(tc.manager, git)
			if tc.edit != "" {
				c.Patch(obj, tc.manager, tc.edit)
			}
			changes, err := c.preview(apply.Request{}, c.plan(c.read(git)[0]))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.effect}, effects(changes)); diff != "" {
				t.Errorf("changes differ (-want +got):\n%s", diff)
			}
			for _, change := range changes {
				if change.Live == nil {
					continue
				}
				if live := change.Live.Object["spec"].(map[string]any); live["type"] != "ClusterIP" || live["sessionAffinity"] != "None" {
					t.Errorf("it would be left as %v, without defaults", live)
				}
			}
		})
	}
}

// TestDryRunAsksForEachOnce: what is ahead of an object in the order holds up nothing, and
// an object that would be refused keeps nothing from being told of the others.
func TestDryRunAsksForEachOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := append(c.read("{apiVersion: v1, kind: Namespace, metadata: {name: NS-more}}"), c.configMaps("a", "b", "c")...)
	c.apply(apply.Request{}, objs...)
	c.Patch(c.live(objs[2]), "tool", "data: {key: other}")
	c.restart()
	bad := c.read("{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {key: [value]}}")[0]
	changes, err := c.preview(apply.Request{}, c.plan(append(objs[:3:3], bad)...))
	if got := text(err); !strings.Contains(got, "/c dry-run failed") || strings.Count(got, "dry-run failed") != 1 {
		t.Errorf("the error is %v; want one about c", err)
	}
	want := []string{c.Namespace + "-more unchanged", "a unchanged", "b configured, restored", "c unchanged"}
	if diff := cmp.Diff(want, effects(changes)); diff != "" {
		t.Errorf("changes differ (-want +got):\n%s", diff)
	}
	if got := c.Traffic.Count(func(r testplane.Request) bool { return r.DryRun }); got != len(objs) {
		t.Errorf("%d dry runs for %d objects: %q", got, len(objs), c.requests())
	}
	// What is known by now costs nothing more.
	if _, err := c.preview(apply.Request{}, c.plan(objs[:2]...)); err != nil || len(c.requests()) > 0 {
		t.Errorf("the same again costs %q, %v", c.requests(), err)
	}
}

// TestDryRunOfAKindThatIsGone: its objects went with its definition.
func TestDryRunOfAKindThatIsGone(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.read(definition("") + "---\n{apiVersion: NS.example.com/v1, kind: Widget, metadata: {name: w, namespace: NS}, spec: {free: a}}")
	changes, err := c.preview(apply.Request{}, c.plan(objs...))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"widgets." + c.Namespace + ".example.com created, restored", "w created, restored"}
	if diff := cmp.Diff(want, effects(changes)); diff != "" {
		t.Errorf("changes differ (-want +got):\n%s", diff)
	}
	if _, err := c.preview(apply.Request{}, c.plan(objs[1])); err == nil || !strings.Contains(err.Error(), "no such kind") {
		t.Errorf("a kind that nobody defines: %v", err)
	}
}

// TestDryRunTellsWhoseFieldsAreWhose: that all values are right does not mean that a
// change of them would be seen.
func TestDryRunTellsWhoseFieldsAreWhose(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		given   func(*cluster)
		unowned bool
	}{
		"ours":       {why: "whoever changes them takes them from us", given: func(c *cluster) { c.applied("engine", wanted) }},
		"shared":     {why: "they are ours, too", given: func(c *cluster) { c.applied("engine", wanted); c.applied("tool", wanted) }},
		"of another": {why: "whoever changes them takes nothing from us", given: func(c *cluster) { c.created("tool", wanted) }, unowned: true},
		"to be ours": {why: "what is claimed is watched, too", given: func(c *cluster) { c.created("engine", wanted) }},
		"of kubectl": {why: "what is claimed is watched, too", given: func(c *cluster) { c.created("kubectl-create", wanted) }},
		"in part ours": {why: "not all are watched", given: func(c *cluster) {
			c.applied("tool", wanted)
			c.applied("engine", strings.Replace(wanted, ", data: {key: value}", "", 1))
		}, unowned: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			tc.given(c)
			git := c.read(wanted)[0]
			changes, err := c.preview(apply.Request{}, c.plan(git))
			if err != nil {
				t.Fatal(err)
			}
			if known := c.tracker.Recall(c.id("ConfigMap", "a")); known.Last.Unowned != tc.unowned || known.Last.Content == "" {
				t.Errorf("of %q, fields are not ours: %t; want %t (%s)", effects(changes), known.Last.Unowned, tc.unowned, tc.why)
			}
		})
	}
}
