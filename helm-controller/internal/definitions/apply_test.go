package definitions_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/definitions"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/testplane"
)

func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// cluster is a plane with a place to apply definitions in.
type cluster struct {
	*testplane.Plane
	t     *testing.T
	at    *tenant.Place
	owner types.NamespacedName
	group string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Plane: testplane.Start(t), t: t}
	c.owner = types.NamespacedName{Namespace: c.Namespace, Name: "demo"}
	c.group = c.Namespace + ".example.com"
	cfg := c.Config()
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, hc)
	if err != nil {
		t.Fatal(err)
	}
	all, err := tenant.New(cfg, hc, mapper, tenant.Options{
		Apply: apply.Config{Manager: "helm-controller"}, OwnerName: helmv2.LabelName, OwnerNamespace: helmv2.LabelNamespace,
		Wake:    func(types.NamespacedName) {},
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- all.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	if c.at, err = all.Enter(c.owner, ""); err != nil {
		t.Fatal(err)
	}
	return c
}

// apply applies definitions, which must succeed, and tells what it did.
func (c *cluster) apply(policy helmv2.CRDsPolicy, crds ...string) []string {
	c.t.Helper()
	got, err := c.try(policy, crds...)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

func (c *cluster) try(policy helmv2.CRDsPolicy, crds ...string) ([]string, error) {
	c.t.Helper()
	d, err := definitions.Of(newChart("demo", map[string]string{"crds/all.yaml": strings.Join(crds, "\n---\n")}), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for id := range d.Inventory {
		c.removeLater(id.Name)
	}
	c.Traffic.Reset()
	changes, err := d.Apply(c.t.Context(), c.at, c.owner, policy)
	out := []string{}
	for _, change := range changes {
		out = append(out, fmt.Sprintf("%s %s", strings.TrimSuffix(change.ID.Name, "."+c.group), change.Effect))
	}
	slices.Sort(out)
	return out, err
}

// removeLater deletes a definition when the test ends.
func (c *cluster) removeLater(name string) {
	doomed := definition(name)
	ctx := c.t.Context()
	c.t.Cleanup(func() {
		// The context of the test has ended by now.
		if err := c.Client.Delete(context.WithoutCancel(ctx), doomed); client.IgnoreNotFound(err) != nil {
			c.t.Logf("removing %s: %v", name, err)
		}
	})
}

func definition(name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetAPIVersion("apiextensions.k8s.io/v1")
	obj.SetKind("CustomResourceDefinition")
	obj.SetName(name)
	return obj
}

// live reads the definition of a kind, which must be there.
func (c *cluster) live(kind string) *unstructured.Unstructured {
	c.t.Helper()
	obj := definition(strings.ToLower(kind) + "s." + c.group)
	if !c.Get(obj) {
		c.t.Fatalf("there is no %s", obj.GetName())
	}
	return obj
}

// asked tells which definitions were asked about since the last apply, and how.
func (c *cluster) asked(methods ...string) []string {
	out := []string{}
	for _, r := range c.Traffic.Requests() {
		if strings.Contains(r.Path, "/customresourcedefinitions/") && slices.Contains(methods, r.Method) {
			s := r.Method + " " + strings.TrimSuffix(r.Path[strings.LastIndexByte(r.Path, '/')+1:], "."+c.group)
			if r.DryRun {
				s += " (dry run)"
			}
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// use creates an object of a kind at once.
func (c *cluster) use(kind, version string) {
	c.t.Helper()
	r, namespaced, err := c.at.Resource(schema.GroupVersionKind{Group: c.group, Version: version, Kind: kind})
	if err != nil || !namespaced || r.Resource != strings.ToLower(kind)+"s" {
		c.t.Errorf("the place does not know %s %s: %v, %v", kind, version, r, err)
	}
}

func TestMissingDefinitionsAreCreated(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := crd(c.group, "Apple", ""), crd(c.group, "Berry", "")
	if diff := cmp.Diff([]string{"apples created"}, c.apply(helmv2.Create, a)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	c.use("Apple", "v1")

	changed := crd(c.group, "Apple", "  - {name: v2, served: true, storage: false, schema: *schema}\n")
	if diff := cmp.Diff([]string{"berrys created"}, c.apply(helmv2.Create, changed, b)); diff != "" {
		t.Errorf("with one that exists: -want +got\n%s", diff)
	}
	c.use("Berry", "v1")
	if diff := cmp.Diff([]string{"PATCH berrys"}, c.asked("PATCH")); diff != "" {
		t.Errorf("requests: -want +got\n%s", diff)
	}
	labels := c.live("Berry").GetLabels()
	if labels[helmv2.LabelName] != "demo" || labels[helmv2.LabelNamespace] != c.Namespace {
		t.Errorf("labels are %v", labels)
	}

	if diff := cmp.Diff([]string{}, c.apply(helmv2.Create, changed, b)); diff != "" {
		t.Errorf("again: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET apples", "GET berrys"}, c.asked("GET", "PATCH", "DELETE", "PUT", "POST")); diff != "" {
		t.Errorf("requests for what exists: -want +got\n%s", diff)
	}
}

func TestDefinitionsAreReplaced(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := crd(c.group, "Apple", ""), crd(c.group, "Berry", "")
	c.apply(helmv2.CreateReplace, a, b)
	if diff := cmp.Diff([]string{"PATCH apples", "PATCH berrys", "PATCH berrys (dry run)"}, c.asked("PATCH")); diff != "" {
		t.Errorf("requests: -want +got\n%s", diff)
	}
	changed := crd(c.group, "Apple", "  - {name: v2, served: true, storage: false, schema: *schema}\n")
	if diff := cmp.Diff([]string{"apples configured", "berrys unchanged"}, c.apply(helmv2.CreateReplace, changed, b)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	c.use("Apple", "v1")
	c.use("Apple", "v2")
	// What leaves the chart stays in the cluster, with all objects of its kind.
	if diff := cmp.Diff([]string{"apples unchanged"}, c.apply(helmv2.CreateReplace, changed)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	c.live("Berry")
}

func TestDefinitionsAreSkipped(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if got := c.apply(helmv2.Skip, crd(c.group, "Apple", "")); len(got) != 0 || len(c.Traffic.Requests()) != 0 {
		t.Errorf("effects are %q, requests %v", got, c.Traffic.Requests())
	}
	if _, err := c.try("Some", crd(c.group, "Apple", "")); err == nil || !strings.Contains(err.Error(), `"Some"`) {
		t.Errorf("an unknown policy: %v", err)
	}
	if definition := definition("apples." + c.group); c.Get(definition) {
		t.Error("a definition was created")
	}
}

// Definitions are no part of the release, so that changes of them are no drift.
func TestDefinitionsAreNotWatched(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.apply(helmv2.CreateReplace, crd(c.group, "Apple", ""))
	obj := c.live("Apple")
	if known := c.at.Drift.Recall(manifest.IDOf(obj)); known.Last.Content != "" {
		t.Errorf("the definition is tracked: %+v", known)
	}
}

func TestDefinitionsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.apply(helmv2.Create, crd(c.group, "Apple", ""))
	tests := map[string]struct{ why, crd, says string }{
		"refused": {
			why: "the API server says what is wrong", says: "CustomResourceDefinition/cherrys." + c.group,
			crd: strings.Replace(crd(c.group, "Cherry", ""), "storage: true", "storage: false", 1),
		},
		"never established": {
			why: "another definition has the kind already, so there is nothing to wait for", says: "is already in use",
			crd: strings.Replace(crd(c.group, "Berry", ""), "kind: Berry", "kind: Apple", 1),
		},
	}
	for name, tc := range tests {
		_, err := c.try(helmv2.Create, tc.crd)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error = %v; want %q (%s)", name, err, tc.says, tc.why)
		}
	}
}

func TestApplyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d, err := definitions.Of(newChart("demo", map[string]string{"crds/a.yaml": crd(c.group, "Apple", "")}), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, policy := range []helmv2.CRDsPolicy{helmv2.Create, helmv2.CreateReplace} {
		if _, err := d.Apply(ctx, c.at, c.owner, policy); err == nil {
			t.Errorf("%s goes on", policy)
		}
	}
}
