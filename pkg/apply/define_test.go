package apply_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

// definition is that of the kind Widget in a group of the test's own.
func definition(more string) string {
	return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.NS.example.com}
spec:
  group: NS.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: &schema
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              free: {type: string}
              fixed:
                type: string
                x-kubernetes-validations: [{rule: self == oldSelf, message: Value is immutable}]
` + more
}

// What a plan defines, it can use: kinds, namespaces and classes.
func TestDefinitionsAndWhatUsesThem(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.read(definition("") + `
---
apiVersion: NS.example.com/v1
kind: Widget
metadata: {name: w, namespace: NS-more}
spec: {free: a}
---
apiVersion: v1
kind: Namespace
metadata: {name: NS-more}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: NS-more}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: NS}
provisioner: example.com/none
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: NS-more}
spec: {storageClassName: NS, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`)
	p := c.plan(objs...)
	changes, err := c.engine.Apply(t.Context(), p, apply.Request{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"widgets.NS.example.com created", "NS-more created", "NS created", "a created", "claim created", "w created",
	}
	if got := strings.Split(strings.ReplaceAll(strings.Join(effects(changes), "\n"), c.Namespace, "NS"), "\n"); !slices.Equal(got, want) {
		t.Errorf("effects are %q, want %q", got, want)
	}
	for _, obj := range objs {
		if c.live(obj) == nil {
			t.Errorf("%s is missing", obj.GetName())
		}
	}
	if got := len(c.apply(apply.Request{}, objs...)); got != len(objs) || len(c.Traffic.Requests()) != 0 {
		t.Errorf("the same again costs %q", c.requests())
	}
}

// A version that a definition has from now on can be used in the same plan.
func TestNewVersionOfADefinition(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const widget = "---\n{apiVersion: NS.example.com/VERSION, kind: Widget, metadata: {name: w, namespace: NS}, spec: {free: a}}\n"
	c.apply(apply.Request{}, c.read(definition("")+strings.ReplaceAll(widget, "VERSION", "v1"))...)
	objs := c.read(definition("  - {name: v2, served: true, storage: false, schema: *schema}\n") + strings.ReplaceAll(widget, "VERSION", "v2"))
	changes := c.apply(apply.Request{Whole: true}, objs...)
	if got := changes[len(changes)-1].Live.GetAPIVersion(); got != c.Namespace+".example.com/v2" {
		t.Errorf("the widget was applied as %s", got)
	}
	if p := c.plan(objs...); !p.Idle() {
		t.Error("the plan is not carried out")
	}
}

// Two kinds of one name: the second definition is never established.
func TestDefinitionThatDoesNotSettle(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.apply(apply.Request{}, c.read(definition(""))...)
	second := strings.ReplaceAll(strings.ReplaceAll(definition(""), "widgets", "gadgets"), "singular: widget", "singular: gadget")
	objs := c.read(second + "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}}\n")
	got := c.refused(apply.Request{}, objs...)
	if !strings.HasPrefix(got, "CustomResourceDefinition/gadgets.NS.example.com: ") || !strings.Contains(got, "is already in use") {
		t.Errorf("Apply() fails by %s", got)
	}
	if c.live(objs[1]) != nil {
		t.Error("the next stage was begun")
	}
}

// Only what was written is waited for.
func TestSettledDefinitionIsNotAskedAbout(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.read(definition(""))
	c.apply(apply.Request{}, objs...)
	crd := c.live(objs[0])
	if status, why := health.Of(crd); status != health.Current {
		t.Errorf("Apply() is done, and the definition is %s: %s", status, why)
	}
	c.apply(apply.Request{}, append(objs, c.read("{apiVersion: v1, kind: Namespace, metadata: {name: NS-more}}")...)...)
	if diff := cmp.Diff([]string{"PATCH " + c.Namespace + "-more"}, c.requests()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	if got := c.Traffic.Count(testplane.Writes("customresourcedefinitions")); got != 0 {
		t.Errorf("the definition was written %d times", got)
	}
}

// What there is of the kinds that are written is looked at before, so that a write that
// changes nothing can be told from one that does, also after a restart.
func TestExpect(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := append(c.configMaps("a", "b"), c.read("{apiVersion: v1, kind: Namespace, metadata: {name: NS-more}}")...)
	want := map[string]map[schema.GroupVersionResource]schema.GroupKind{
		"namespaces": {{Version: "v1", Resource: "namespaces"}: {Kind: "Namespace"}},
		"configmaps": {{Version: "v1", Resource: "configmaps"}: {Kind: "ConfigMap"}},
	}
	c.apply(apply.Request{}, objs...)
	for _, proven := range []bool{false, true} {
		there := make(map[manifest.ID]apply.Live)
		for id, k := range c.tracker.known {
			there[id] = k.Live
		}
		c.restart()
		c.tracker.there = there
		c.before = func(req *http.Request) error {
			c.tracker.mu.Lock()
			defer c.tracker.mu.Unlock()
			for resource, kinds := range want {
				if strings.Contains(req.URL.Path, "/"+resource+"/"+c.Namespace+"-") || strings.Contains(req.URL.Path, "/"+c.Namespace+"/"+resource+"/") {
					if diff := cmp.Diff(kinds, c.tracker.expecting); diff != "" {
						t.Errorf("at %s, what is expected differs (-want +got):\n%s", req.URL.Path, diff)
					}
				}
			}
			return nil
		}
		changes, err := c.engine.Apply(t.Context(), c.planWith(apply.Options{Proven: proven}, objs...), apply.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if got := effects(changes); !slices.Equal(got, []string{c.Namespace + "-more unchanged", "a unchanged", "b unchanged"}) {
			t.Errorf("proven=%t: after a restart, effects are %q", proven, got)
		}
		if c.tracker.expecting != nil {
			t.Errorf("nobody was told that %v are done", c.tracker.expecting)
		}
	}
}

// The custom stage is written before anything of the rest is asked about, and not waited
// for: a StatefulSet that never runs does not keep the rest back.
func TestCustomStageComesFirst(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := append(c.configMaps("a", "b"), c.read("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, namespace: NS}, spec: {serviceName: s, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {no: where}, containers: [{name: a, image: a}]}}}}")...)
	kinds := manifest.Kinds{{Group: "apps", Kind: "StatefulSet"}: true}
	p := c.planWith(apply.Options{CustomStage: kinds.Has}, objs...)
	var got []string
	c.before = func(req *http.Request) error {
		got = append(got, req.Method+" "+req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:])
		return nil
	}
	if _, err := c.engine.Apply(t.Context(), p, apply.Request{}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"PATCH s", "PATCH b", "PATCH a", "PATCH b"}; !slices.Equal(got, want) {
		t.Errorf("requests are %q, want %q", got, want)
	}
}

// Kinds that a plan might define are waited for once a stage, not once an object.
func TestUnknownKindsAreWaitedForOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	mapper := &countingMapper{RESTMapper: c.mapper}
	c.mapper = mapper
	c.restart()
	gadgets := ""
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		gadgets += "---\n{apiVersion: NS.example.com/v1, kind: Gadget, metadata: {name: " + name + ", namespace: NS}}\n"
	}
	got := c.refused(apply.Request{}, c.read(definition("")+gadgets)...)
	if n := strings.Count(got, "no such kind \"Gadget\""); n != 6 {
		t.Errorf("%d of 6 objects are told: %s", n, got)
	}
	// Some ten for the first, in growing distance, and one for each other.
	if n := mapper.lookups.Load(); n > 20 {
		t.Errorf("%d lookups of the kind", n)
	}
}

// countingMapper counts how often a kind was looked for.
type countingMapper struct {
	meta.RESTMapper
	lookups atomic.Int64
}

// RESTMapping implements meta.RESTMapper.
func (m *countingMapper) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if gk.Kind == "Gadget" {
		m.lookups.Add(1)
	}
	return m.RESTMapper.RESTMapping(gk, versions...)
}
