// Package owner follows what belongs to what: from a Kustomization or HelmRelease down to the
// objects that it has applied, and from any object up to the source that it comes from.
//
// It reads what the user may read; objects that cannot be read are part of what it returns,
// with the reason.
package owner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/health"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// looks is how many requests are under way at a time.
const looks = 16

// Node is an object and what belongs to it.
type Node struct {
	ID       manifest.ID
	Status   health.Status
	Message  string // why it is not as it should be
	Children []*Node
}

// Cluster is where objects are.
type Cluster struct {
	Client client.Client
	Mapper meta.RESTMapper
}

// Tree returns an object with what it has applied, and so on down. What occurs again, as a
// Kustomization that manages itself does, is not followed again.
func (c Cluster) Tree(ctx context.Context, root *unstructured.Unstructured) (*Node, error) {
	node := nodeOf(root)
	return node, c.grow(ctx, node, root, map[manifest.ID]bool{node.ID: true})
}

// nodeOf returns an object that is there.
func nodeOf(obj *unstructured.Unstructured) *Node {
	n := &Node{ID: manifest.IDOf(obj)}
	if n.Status, n.Message = health.Of(obj); n.Status == health.Current {
		n.Message = ""
	}
	return n
}

// grow adds what belongs to an object.
func (c Cluster) grow(ctx context.Context, node *Node, obj *unstructured.Unstructured, followed map[manifest.ID]bool) error {
	applied, err := appliedBy(obj)
	if err != nil || len(applied) == 0 {
		return err
	}
	if Elsewhere(obj) { // where this cluster may have others of the same names
		for _, id := range applied.IDs() {
			node.Children = append(node.Children, &Node{ID: id, Status: health.Unknown, Message: "it is in another cluster"})
		}
		return nil
	}
	found, err := c.read(ctx, ownerOf(obj), applied)
	if err != nil {
		return err
	}
	for _, id := range applied.IDs() {
		r := found[id]
		if r.err != nil {
			node.Children = append(node.Children, absent(id, r.err))
			continue
		}
		child := nodeOf(r.object)
		node.Children = append(node.Children, child)
		if followed[id] {
			continue
		}
		followed[id] = true
		if err := c.grow(ctx, child, r.object, followed); err != nil {
			return err
		}
	}
	return nil
}

// absent returns an object that could not be read.
func absent(id manifest.ID, err error) *Node {
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return &Node{ID: id, Status: health.NotFound, Message: "it does not exist"}
	}
	return &Node{ID: id, Status: health.Unknown, Message: err.Error()}
}

// Elsewhere reports whether an object applies others to another cluster.
func Elsewhere(obj *unstructured.Unstructured) bool {
	to, _, _ := unstructured.NestedMap(obj.Object, "spec", "kubeConfig")
	return to != nil && Applies(obj.GroupVersionKind().GroupKind())
}

// Applies reports whether objects of a kind apply others.
func Applies(gk schema.GroupKind) bool {
	switch gk {
	case schema.GroupKind{Group: kustomizev1.GroupVersion.Group, Kind: kustomizev1.KustomizationKind},
		schema.GroupKind{Group: helmv2.GroupVersion.Group, Kind: helmv2.HelmReleaseKind}:
		return true
	}
	return false
}

// appliedBy returns what an object has applied, by its inventory.
func appliedBy(obj *unstructured.Unstructured) (inventory.Set, error) {
	switch obj.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: kustomizev1.GroupVersion.Group, Kind: kustomizev1.KustomizationKind}:
		var ks kustomizev1.Kustomization
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &ks); err != nil {
			return nil, err
		}
		if ks.Status.Inventory != nil {
			return decode(obj, ks.Status.Inventory.Entries)
		}
	case schema.GroupKind{Group: helmv2.GroupVersion.Group, Kind: helmv2.HelmReleaseKind}:
		var hr helmv2.HelmRelease
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &hr); err != nil {
			return nil, err
		}
		if hr.Status.Inventory != nil {
			return decode(obj, hr.Status.Inventory.Entries)
		}
	}
	return nil, nil
}

func decode[R inventory.Ref](obj *unstructured.Unstructured, entries []R) (inventory.Set, error) {
	set, err := inventory.Decode(entries)
	if err != nil {
		return nil, fmt.Errorf("reading status.inventory of %s: %w", manifest.IDOf(obj), err)
	}
	return set, nil
}

// ownerOf returns the labels of what an object has applied.
func ownerOf(obj *unstructured.Unstructured) labels.Set {
	if obj.GetKind() == helmv2.HelmReleaseKind {
		return labels.Set{helmv2.LabelName: obj.GetName(), helmv2.LabelNamespace: obj.GetNamespace()}
	}
	return labels.Set{kustomizev1.LabelName: obj.GetName(), kustomizev1.LabelNamespace: obj.GetNamespace()}
}

// result is an object, or why it could not be read.
type result struct {
	object *unstructured.Unstructured
	err    error
}

// read returns the objects of a set. Those of a kind are read by one list, where there are
// several in one namespace and the labels tell them from others.
func (c Cluster) read(ctx context.Context, by labels.Set, set inventory.Set) (map[manifest.ID]result, error) {
	type batch struct {
		gvk       schema.GroupVersionKind
		namespace string
	}
	batches := make(map[batch][]manifest.ID)
	for _, id := range set.IDs() {
		b := batch{schema.GroupVersionKind{Group: id.Group, Version: set[id], Kind: id.Kind}, id.Namespace}
		batches[b] = append(batches[b], id)
	}
	results := make(chan map[manifest.ID]result, len(batches))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looks)
	for b, ids := range batches {
		g.Go(func() error {
			found := c.list(ctx, b.gvk, b.namespace, by, ids)
			for _, id := range ids {
				if _, ok := found[id]; !ok {
					found[id] = c.get(ctx, b.gvk, id)
				}
			}
			results <- found
			return context.Cause(ctx)
		})
	}
	err := g.Wait()
	close(results)
	all := make(map[manifest.ID]result, len(set))
	for found := range results {
		for id, r := range found {
			all[id] = r
		}
	}
	return all, err
}

// list returns those of the objects that one list has.
func (c Cluster) list(ctx context.Context, gvk schema.GroupVersionKind, namespace string, by labels.Set, ids []manifest.ID) map[manifest.ID]result {
	found := make(map[manifest.ID]result, len(ids))
	if len(ids) == 1 {
		return found
	}
	var all unstructured.UnstructuredList
	all.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := c.Client.List(ctx, &all, client.InNamespace(namespace), client.MatchingLabels(by)); err != nil {
		return found // each is read by itself: the user may be allowed to do that
	}
	for i := range all.Items {
		if id := manifest.IDOf(&all.Items[i]); slices.Contains(ids, id) {
			found[id] = result{object: &all.Items[i]}
		}
	}
	return found
}

// get returns one object, in another version if its own is not served any more.
func (c Cluster) get(ctx context.Context, gvk schema.GroupVersionKind, id manifest.ID) result {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(gvk)
	key := types.NamespacedName{Namespace: id.Namespace, Name: id.Name}
	err := c.Client.Get(ctx, key, obj)
	if meta.IsNoMatchError(err) {
		mapping, lost := c.Mapper.RESTMapping(gvk.GroupKind())
		if lost != nil {
			return result{err: errors.Join(err, lost)}
		}
		obj.SetGroupVersionKind(mapping.GroupVersionKind)
		err = c.Client.Get(ctx, key, obj)
	}
	return result{object: obj, err: err}
}
