package owner

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/pkg/manifest"
)

// longest is how many owners an object may have above each other.
const longest = 32

// Link is one step up from an object.
type Link struct {
	ID manifest.ID
	// Object is nil if it is named, and does not exist, or may not be read.
	Object *unstructured.Unstructured
	// Err says that it may not be read; nil if it does not exist.
	Err error
}

// Missing says why there is no object: for people, behind the name.
func (l Link) Missing() string {
	switch {
	case l.Object != nil:
		return ""
	case l.Err != nil:
		return "it may not be read: " + l.Err.Error()
	}
	return "it does not exist"
}

// Chain returns what an object comes from: its sources, the objects that own it, the Kustomization or
// HelmRelease that applied it, the sources of these, and who applied those in turn. It is
// empty if nothing in the cluster says where the object comes from.
func (c Cluster) Chain(ctx context.Context, obj *unstructured.Unstructured) ([]Link, error) {
	seen := map[manifest.ID]bool{manifest.IDOf(obj): true}
	chain, err := c.withSources(ctx, nil, obj, seen)
	if err != nil {
		return chain, err
	}
	for range longest {
		above, err := c.above(ctx, obj)
		if err != nil {
			return chain, err
		}
		if above == nil || seen[above.ID] {
			return chain, nil
		}
		seen[above.ID] = true
		chain = append(chain, *above)
		if above.Object == nil {
			return chain, nil
		}
		if chain, err = c.withSources(ctx, chain, above.Object, seen); err != nil {
			return chain, err
		}
		obj = above.Object
	}
	return chain, nil
}

// above returns what has applied or made an object; nil if nobody says. Some controllers copy the
// labels of what they make an object for, as that of EndpointSlices does: what has an owner, and
// is not in the inventory of the one that the labels name, is from its owner.
func (c Cluster) above(ctx context.Context, obj *unstructured.Unstructured) (*Link, error) {
	owner := metav1.GetControllerOfNoCopy(obj)
	gvk, key, labelled := applierOf(obj)
	if labelled {
		by, err := c.link(ctx, gvk, key.Namespace, key.Name)
		if err != nil || owner == nil || by.Object != nil && mayApply(by.Object, manifest.IDOf(obj)) {
			return by, err
		}
	}
	if owner == nil {
		return nil, nil
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the owner of %s: %w", manifest.IDOf(obj), err)
	}
	return c.link(ctx, gv.WithKind(owner.Kind), obj.GetNamespace(), owner.Name)
}

// applierOf returns what has applied an object, by its labels.
func applierOf(obj *unstructured.Unstructured) (gvk schema.GroupVersionKind, key types.NamespacedName, ok bool) {
	has := obj.GetLabels()
	switch {
	case has[helmv2.LabelName] != "":
		return helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind), types.NamespacedName{Namespace: has[helmv2.LabelNamespace], Name: has[helmv2.LabelName]}, true
	case has[kustomizev1.LabelName] != "":
		return kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind), types.NamespacedName{Namespace: has[kustomizev1.LabelNamespace], Name: has[kustomizev1.LabelName]}, true
	}
	return gvk, key, false
}

// mayApply reports whether one that applies objects has an object in its inventory. Without an
// inventory nobody knows, and the labels count.
func mayApply(by *unstructured.Unstructured, id manifest.ID) bool {
	set, err := appliedBy(by)
	if err != nil || set == nil {
		return true
	}
	_, ok := set[id]
	return ok
}

// link reads what is named.
func (c Cluster) link(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string) (*Link, error) {
	id := manifest.ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: namespace, Name: name}
	r := c.get(ctx, gvk, id)
	switch {
	case apierrors.IsNotFound(r.err):
		return &Link{ID: id}, nil
	case apierrors.IsForbidden(r.err):
		return &Link{ID: id, Err: r.err}, nil
	case r.err != nil:
		return nil, fmt.Errorf("reading %s: %w", id, r.err)
	}
	return &Link{ID: manifest.IDOf(r.object), Object: r.object}, nil
}

// withSources adds the sources of an object, from the nearest on.
func (c Cluster) withSources(ctx context.Context, chain []Link, obj *unstructured.Unstructured, seen map[manifest.ID]bool) ([]Link, error) {
	for range longest {
		gvk, key, ok, err := sourceOf(obj)
		if err != nil || !ok {
			return chain, err
		}
		source, err := c.link(ctx, gvk, key.Namespace, key.Name)
		if err != nil {
			return chain, err
		}
		if seen[source.ID] {
			return chain, nil
		}
		seen[source.ID] = true
		chain = append(chain, *source)
		if source.Object == nil {
			return chain, nil
		}
		obj = source.Object
	}
	return chain, nil
}

// sourceOf returns what an object reads from: a HelmRelease with a template has made a
// HelmChart for that.
func sourceOf(obj *unstructured.Unstructured) (gvk schema.GroupVersionKind, key types.NamespacedName, ok bool, err error) {
	if _, ours := kinds.Of(obj.GroupVersionKind().GroupKind()); !ours {
		return gvk, key, false, nil
	}
	o, err := kinds.Read(obj)
	if err != nil {
		return gvk, key, false, err
	}
	if o.Kind == helmv2.HelmReleaseKind && o.Spec.ChartRef == nil {
		namespace, name, found := strings.Cut(o.Status.HelmChart, "/")
		return sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind), types.NamespacedName{Namespace: namespace, Name: name}, found, nil
	}
	ref, ok := o.Source()
	if !ok {
		return gvk, key, false, nil
	}
	k, known := kinds.Find(ref.Kind)
	if !known {
		return gvk, key, false, nil
	}
	return k.GVK, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, true, nil
}
