package apply_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

// prune deletes objects, which must succeed, and forgets the requests before.
func (c *cluster) prune(objs ...*unstructured.Unstructured) []string {
	c.t.Helper()
	c.Traffic.Reset()
	pruned, err := c.engine.Prune(c.t.Context(), inventoryOf(objs), c.isOurs)
	if err != nil || len(pruned.Left) != 0 {
		c.t.Fatalf("Prune() leaves %v: %v", pruned.Left.IDs(), err)
	}
	return effects(pruned.Changes)
}

func inventoryOf(objs []*unstructured.Unstructured) inventory.Set {
	out := make(inventory.Set)
	for _, obj := range objs {
		out[manifest.IDOf(obj)] = obj.GroupVersionKind().Version
	}
	return out
}

func deletes(r testplane.Request) bool { return r.Method == http.MethodDelete }

func TestPruneInReverse(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.several("")
	c.apply(apply.Request{}, objs...)
	c.tracker.forgot = nil
	c.inOrder("ingresses", "services", "configmaps", "serviceaccounts")
	want := []string{"app deleted", "app deleted", "b deleted", "a deleted", "robot deleted"}
	if got := c.prune(objs...); !slices.Equal(got, want) {
		t.Errorf("effects are %q, want %q", got, want)
	}
	if got := len(c.Traffic.Requests()); got != 2*len(objs) {
		t.Errorf("%d requests, want a look and a deletion each: %q", got, c.requests())
	}
	var all []manifest.ID
	for _, obj := range objs {
		all = append(all, manifest.IDOf(obj))
	}
	if diff := cmp.Diff(sorted(all), sorted(c.tracker.forgot)); diff != "" {
		t.Errorf("the tracker has forgotten others (-want +got):\n%s", diff)
	}
	if there := c.present(objs); len(there) != 0 {
		t.Errorf("%v exist still", there.IDs())
	}
}

func TestPruneKeeps(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why        string
		key, value string
		want       string
	}{
		"not to be pruned":          {why: "the user has said so", key: keyPrune, value: "disabled", want: "a skipped"},
		"not to be pruned, Case":    {why: "people write both", key: keyPrune, value: "Disabled", want: "a skipped"},
		"not to be reconciled":      {why: "the user has said so", key: keyReconcile, value: "disabled", want: "a skipped"},
		"to be ignored":             {why: "the user has said so", key: keySSA, value: "Ignore", want: "a skipped"},
		"to be merged":              {why: "it is applied as others are", key: keySSA, value: "Merge", want: "a deleted"},
		"to be pruned":              {why: "that is the rule anyway", key: keyPrune, value: "enabled", want: "a deleted"},
		"owned by somebody else":    {why: "they want it", key: keyOwner, value: "somebody", want: "a skipped"},
		"owned by nobody":           {why: "somebody has taken it out of our hands", key: keyOwner, value: "", want: "a skipped"},
		"something of no influence": {why: "no business of ours", key: "example.com/prune", value: "disabled", want: "a deleted"},
	}
	for name, tc := range tests {
		for _, place := range []string{"labels", "annotations"} {
			if tc.key == keyOwner && place != "labels" {
				continue // owners are named by labels alone
			}
			t.Run(name+" by "+place, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				obj := c.configMaps("a")[0]
				c.apply(apply.Request{}, obj)
				c.tracker.forgot = nil
				// What the live object says counts, whatever the manifest said.
				c.Patch(c.live(obj), "somebody", "metadata: {"+place+": {"+tc.key+": '"+tc.value+"'}}")
				if got := c.prune(obj); !slices.Equal(got, []string{tc.want}) {
					t.Errorf("effects are %q, want %q (%s)", got, tc.want, tc.why)
				}
				kept := strings.HasSuffix(tc.want, "skipped")
				if exists := c.live(obj) != nil; exists != kept {
					t.Errorf("it exists: %t (%s)", exists, tc.why)
				}
				if n := c.Traffic.Count(deletes); (n == 0) != kept {
					t.Errorf("%d deletions were asked for (%s)", n, tc.why)
				}
				if diff := cmp.Diff([]manifest.ID{manifest.IDOf(obj)}, c.tracker.forgot); diff != "" {
					t.Errorf("the tracker has forgotten others (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestPruneOfWhatIsNot(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	real := c.several("")[4]
	c.apply(apply.Request{}, real)
	stale := inventory.Set{
		{Kind: "ConfigMap", Namespace: c.Namespace, Name: "never"}:                              "v1",
		{Kind: "ConfigMap", Namespace: c.Namespace + "-none", Name: "never"}:                    "v1",
		{Group: "none.example.com", Kind: "Widget", Namespace: c.Namespace, Name: "never"}:      "v1",
		{Group: "apps", Kind: "Widget", Namespace: c.Namespace, Name: "never"}:                  "v1",
		{Group: "networking.k8s.io", Kind: "Ingress", Namespace: c.Namespace, Name: "app"}:      "v1beta1",
		{Group: "batch", Kind: "CronJob", Namespace: c.Namespace, Name: "never"}:                "",
		{Group: "storage.k8s.io", Kind: "StorageClass", Name: "never-" + c.Namespace}:           "v1",
		{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "a.never.test"}: "v1beta1",
	}
	pruned, err := c.engine.Prune(t.Context(), stale, c.isOurs)
	if err != nil || len(pruned.Left) != 0 {
		t.Fatalf("Prune() leaves %v: %v", pruned.Left.IDs(), err)
	}
	for _, ch := range pruned.Changes {
		if ch.Effect != apply.Deleted {
			t.Errorf("%s is %s, want deleted: it does not exist", ch.ID, ch.Effect)
		}
	}
	if len(pruned.Changes) != len(stale) {
		t.Errorf("%d changes, want %d", len(pruned.Changes), len(stale))
	}
	if c.live(real) != nil {
		t.Error("an object exists still that was applied by a version which is no longer served")
	}
	if n := c.Traffic.Count(deletes); n != 1 {
		t.Errorf("%d deletions were asked for, want that of the Ingress: %q", n, c.requests())
	}
}

// What is deleted is what was looked at: if it has become another in between, it is
// looked at again.
func TestPruneDeletesWhatItSaw(t *testing.T) {
	t.Parallel()
	remove := func(c *cluster, obj *unstructured.Unstructured) error {
		return c.Client.Delete(c.t.Context(), obj.DeepCopy())
	}
	replace := func(c *cluster, obj *unstructured.Unstructured, labels map[string]string) error {
		if err := remove(c, obj); err != nil {
			return err
		}
		other := obj.DeepCopy()
		other.SetLabels(labels)
		return c.Client.Create(c.t.Context(), other)
	}
	patch := func(c *cluster, obj *unstructured.Unstructured, patch string) error {
		return c.Client.Patch(c.t.Context(), obj.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	tests := map[string]struct {
		why     string
		between func(*cluster, *unstructured.Unstructured) error
		want    string
	}{
		"replaced by another's": {
			why: "the object that was ours is gone, this one is not ours", want: "a skipped",
			between: func(c *cluster, obj *unstructured.Unstructured) error { return replace(c, obj, nil) },
		},
		"replaced by ours": {
			why: "somebody has made it for us, and we do not want it", want: "a deleted",
			between: func(c *cluster, obj *unstructured.Unstructured) error {
				return replace(c, obj, map[string]string{keyOwner: c.Namespace})
			},
		},
		"protected": {
			why: "the user was just in time", want: "a skipped",
			between: func(c *cluster, obj *unstructured.Unstructured) error {
				return patch(c, obj, `{"metadata": {"annotations": {"`+keyPrune+`": "disabled"}}}`)
			},
		},
		"changed": {
			why: "that makes no difference", want: "a deleted",
			between: func(c *cluster, obj *unstructured.Unstructured) error { return patch(c, obj, `{"data": {"x": "new"}}`) },
		},
		"deleted": {why: "that is what we want", want: "a deleted", between: remove},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			obj := c.configMaps("a")[0]
			c.apply(apply.Request{}, obj)
			done := false
			c.before = func(req *http.Request) error {
				if req.Method == http.MethodDelete && !done {
					done = true
					return tc.between(c, obj)
				}
				return nil
			}
			if got := c.prune(obj); !done || !slices.Equal(got, []string{tc.want}) {
				t.Errorf("effects are %q, want %q (%s)", got, tc.want, tc.why)
			}
			if exists := c.live(obj) != nil; exists != strings.HasSuffix(tc.want, "skipped") {
				t.Errorf("it exists: %t (%s)", exists, tc.why)
			}
		})
	}
}

// An object that may not be deleted is told and left; the others go.
func TestPruneRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.configMaps("a", "b", "c", "d")
	c.apply(apply.Request{}, objs...)
	c.denyDeletion("oldObject.metadata.name in ['b', 'c']")

	pruned, err := c.engine.Prune(t.Context(), inventoryOf(objs), c.isOurs)
	want := `delete failed, errors: ConfigMap/NS/b delete failed (Invalid): configmaps "b" is forbidden: ` +
		`ValidatingAdmissionPolicy 'NS' with binding 'NS' denied request: it stays
ConfigMap/NS/c delete failed (Invalid): configmaps "c" is forbidden: ` +
		`ValidatingAdmissionPolicy 'NS' with binding 'NS' denied request: it stays`
	if got := strings.ReplaceAll(text(err), c.Namespace, "NS"); got != want {
		t.Errorf("Prune() fails by\n%s\nwant\n%s", got, want)
	}
	if diff := cmp.Diff(inventoryOf(objs[1:3]), pruned.Left); diff != "" {
		t.Errorf("what is left differs (-want +got):\n%s", diff)
	}
	if got := effects(pruned.Changes); !slices.Equal(got, []string{"d deleted", "a deleted"}) {
		t.Errorf("effects are %q", got)
	}
	if got := c.existing("v1", "ConfigMap"); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("%q exist, want those that were refused", got)
	}
}

// denyDeletion keeps objects of the test's namespace from being deleted, until the
// test ends.
func (c *cluster) denyDeletion(selected string) {
	c.t.Helper()
	for _, obj := range c.read(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [DELETE], resources: [configmaps]}]
  validations: [{expression: "!(` + selected + `) && oldObject.metadata.name != 'probe'", message: it stays}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS}
spec: {policyName: NS, validationActions: [Deny]}
`) {
		if err := c.Client.Create(c.t.Context(), obj); err != nil {
			c.t.Fatal(err)
		}
	}
	c.Eventually("the policy is in force", func() bool {
		probe := configMap(c.Namespace, "probe", "x")
		_ = c.Client.Create(c.t.Context(), probe) // it was deleted before, if at all
		return c.Client.Delete(c.t.Context(), probe) != nil
	})
}

// With its time over, a prune tells that all is left that it did not get to.
func TestPruneInterrupted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.several("")
	c.apply(apply.Request{}, objs...)
	ctx, cancel := context.WithCancelCause(t.Context())
	c.after = func(req *http.Request) error {
		if req.Method == http.MethodDelete {
			cancel(errCut)
		}
		return nil
	}
	pruned, err := c.engine.Prune(ctx, inventoryOf(objs), c.isOurs)
	if err == nil || !strings.Contains(err.Error(), errCut.Error()) {
		t.Errorf("Prune() fails by %v, want the cause of the interruption", err)
	}
	if there := c.present(objs); !pruned.Left.Contains(there) || len(there) != len(objs)-1 {
		t.Errorf("%v exist, and %v are said to be left", there.IDs(), pruned.Left.IDs())
	}
}

// Left tells what is not gone yet in a form that can be awaited.
func TestLeft(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.configMaps("held", "free")
	c.apply(apply.Request{}, objs...)
	c.Patch(c.live(objs[0]), "somebody", "metadata: {finalizers: [example.com/hold]}")
	c.prune(objs...)

	set := inventoryOf(objs)
	set[manifest.ID{Group: "none.example.com", Kind: "Widget", Namespace: c.Namespace, Name: "w"}] = "v1"
	left, err := c.engine.Left(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	want := []health.Awaited{{ID: c.id("ConfigMap", "held"), Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}}}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("Left() differs (-want +got):\n%s", diff)
	}
	c.Patch(c.live(objs[0]), "somebody", "metadata: {finalizers: null}")
	if left, err = c.engine.Left(t.Context(), set); err != nil || len(left) != 0 {
		t.Errorf("Left() = %v, %v; want nothing", left, err)
	}
	c.Traffic.Break(func(testplane.Request) error { return errCut })
	if left, err = c.engine.Left(t.Context(), set); err == nil || left != nil {
		t.Errorf("Left() = %v, %v; want an error: nobody knows", left, err)
	}
}

// A definition and its objects go together, whoever is faster.
func TestPruneOfADefinition(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.read(definition("") + "---\n{apiVersion: NS.example.com/v1, kind: Widget, metadata: {name: w, namespace: NS}}\n")
	c.apply(apply.Request{}, objs...)
	if got := c.prune(objs...); !slices.Equal(got, []string{"w deleted", "widgets." + c.Namespace + ".example.com deleted"}) {
		t.Errorf("effects are %q", got)
	}
	c.WaitGone(object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", objs[0].GetName()))
	if got := c.prune(objs...); len(got) != 2 {
		t.Errorf("effects are %q, want all deleted: the kind is gone", got)
	}
}
