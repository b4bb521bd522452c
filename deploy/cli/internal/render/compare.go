package render

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/applier"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/buildspec"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// looks is how many objects are looked at at a time.
const looks = 8

// Change is what an apply would do to an object.
type Change struct {
	ID     manifest.ID
	Effect apply.Effect
	// Before and After are the object as it is and as it would be, where it is changed, without
	// what the API server keeps of it for itself, and with what nobody should see concealed.
	Before, After *unstructured.Unstructured
}

// Cluster is where objects would be applied.
type Cluster struct {
	Config *rest.Config
	Client client.Client
	Mapper meta.RESTMapper
}

// Compare finds out by dry runs what an apply of all objects of a Kustomization would
// change, as the user of the connection: what is as it would be is left out. The changes are
// returned also where others could not be found out.
func (c Cluster) Compare(ctx context.Context, ks *kustomizev1.Kustomization, objs []*unstructured.Unstructured) ([]Change, error) {
	engine, err := applier.New(c.Config, c.Mapper, applier.Unknowing{})
	if err != nil {
		return nil, err
	}
	opts := apply.Options{Owner: client.ObjectKeyFromObject(ks), Ignore: buildspec.IgnoreRules(ks)}
	prepared, err := apply.Prepare(objs, opts)
	if err != nil {
		return nil, err
	}
	plan := prepared.Plan(applier.Unknowing{}, opts)
	found, err := engine.Apply(ctx, plan, apply.Request{DryRun: true, Force: ks.Spec.Force})
	var out []Change
	for _, f := range found {
		if change, differs := changeOf(f); differs {
			out = append(out, change)
		}
	}
	if err != nil || !ks.Spec.Prune {
		return out, err
	}
	gone, err := c.stale(ctx, ks, plan.Inventory)
	return append(out, gone...), err
}

// changeOf returns what is to be told of a change, and whether there is anything.
func changeOf(c apply.Change) (Change, bool) {
	out := Change{ID: c.ID, Effect: c.Effect}
	switch {
	case c.Effect == apply.Unchanged || c.Effect == apply.Skipped:
		return out, false
	case c.Before == nil || c.Live == nil:
		return out, true
	}
	out.Before, out.After = plain(c.Before), plain(c.Live)
	concealBoth(out.Before, out.After)
	return out, !equal(out.Before, out.After)
}

// plain returns an object without what the API server keeps of it for itself.
func plain(obj *unstructured.Unstructured) *unstructured.Unstructured {
	obj = obj.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(obj.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(obj.Object, "metadata", "annotations", corev1.LastAppliedConfigAnnotation) // a copy of all, Secrets included
	unstructured.RemoveNestedField(obj.Object, "status")
	return obj
}

// stale returns the objects that were applied once, are wanted no more, and would be deleted.
func (c Cluster) stale(ctx context.Context, ks *kustomizev1.Kustomization, wanted inventory.Set) ([]Change, error) {
	if ks.Status.Inventory == nil {
		return nil, nil
	}
	applied, err := inventory.Decode(ks.Status.Inventory.Entries)
	if err != nil {
		return nil, fmt.Errorf("reading status.inventory: %w", err)
	}
	old := inventory.Difference(applied, wanted)
	ids := old.IDs()
	goes := make([]bool, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looks)
	for i, id := range ids {
		g.Go(func() (err error) {
			goes[i], err = c.goes(ctx, client.ObjectKeyFromObject(ks), id, old[id])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []Change
	for i, id := range slices.Backward(ids) {
		if goes[i] {
			out = append(out, Change{ID: id, Effect: apply.Deleted})
		}
	}
	return out, nil
}

// goes reports whether an object would be pruned: it is there, it is still that of the
// Kustomization, and does not ask to be kept.
func (c Cluster) goes(ctx context.Context, owner types.NamespacedName, id manifest.ID, version string) (bool, error) {
	var live metav1.PartialObjectMetadata
	live.SetGroupVersionKind(schema.GroupVersionKind{Group: id.Group, Version: version, Kind: id.Kind})
	err := c.Client.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Name}, &live)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking at %s: %w", id, err)
	}
	labels := live.GetLabels()
	ours := labels[kustomizev1.LabelName] == owner.Name && labels[kustomizev1.LabelNamespace] == owner.Namespace
	return ours && !apply.WishesOf(&live).Keep, nil
}
