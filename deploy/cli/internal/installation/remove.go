package installation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/install"
)

// finalizer is what controllers keep their objects by.
const finalizer = "finalizers.fluxcd.io"

// Removal takes an installation out of a cluster, and leaves what it has brought there. What
// is gone already is no error, so that one which was interrupted can be finished.
type Removal struct {
	Client    client.WithWatch
	Namespace string
	// KeepNamespace leaves the namespace.
	KeepNamespace bool
	// DryRun only tells.
	DryRun bool
	// Tell hears of each thing that is done, or would be.
	Tell func(format string, args ...any)
	// Warn hears of what is left, and why.
	Warn func(format string, args ...any)
	done int
	// tended are kinds of which controllers of other namespaces go on to reconcile the objects
	// of this one.
	tended []schema.GroupVersionKind
}

// Run removes everything, and returns how much there was.
func (r *Removal) Run(ctx context.Context) (int, error) {
	all, err := Reader{Client: r.Client}.deployments(ctx)
	if err != nil {
		return 0, err
	}
	state := State{Namespace: r.Namespace, Deployments: all}
	if err := r.controllers(ctx, state.Here()); err != nil {
		return r.done, err
	}
	if other := state.Elsewhere(); len(other) > 0 {
		r.Warn("the definitions and their objects stay: there are controllers in %s as well", strings.Join(other, ", "))
		err = r.abandon(ctx, state)
	} else {
		err = r.definitions(ctx, state)
	}
	if err != nil {
		return r.done, err
	}
	for _, kind := range belongings {
		if err := r.all(ctx, kind); err != nil {
			return r.done, err
		}
	}
	return r.done, r.namespace(ctx)
}

// controllers removes the Deployments, and waits until none of their Pods runs: one that
// did would put finalizers back, or take the end of its objects for a wish to have
// everything deleted that they brought.
func (r *Removal) controllers(ctx context.Context, here []*unstructured.Unstructured) error {
	for _, d := range here {
		if err := r.delete(ctx, d, metav1.DeletePropagationForeground); err != nil {
			return err
		}
	}
	if r.DryRun {
		return nil
	}
	for _, d := range here {
		if _, err := await.For(ctx, r.Client, await.Of(d), await.Gone, nil); err != nil {
			return err
		}
	}
	return nil
}

// definitions takes the finalizers off all objects of the kinds, and then removes the
// kinds, which removes the objects.
func (r *Removal) definitions(ctx context.Context, state State) error {
	crds, err := r.kinds(ctx, state)
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if err := r.release(ctx, crd); err != nil {
			return err
		}
	}
	for _, crd := range crds {
		if err := r.delete(ctx, crd, metav1.DeletePropagationBackground); err != nil {
			return err
		}
	}
	if r.DryRun {
		return nil
	}
	for _, crd := range crds {
		if _, err := await.For(ctx, r.Client, await.Of(crd), await.Gone, nil); err != nil {
			return err
		}
	}
	return nil
}

// abandon leaves the definitions to the controllers of other namespaces, and the objects of the
// namespace to those that look at it. Of what none does, nobody else would take the finalizers
// off.
func (r *Removal) abandon(ctx context.Context, state State) error {
	all, err := r.toolkit(ctx)
	if err != nil {
		return err
	}
	for _, crd := range all {
		gvk, served := servedKind(crd)
		switch {
		case !served: // nobody can reach its objects
		case state.tended(componentOf(crd)):
			r.tended = append(r.tended, gvk)
		default:
			if err := r.release(ctx, crd, client.InNamespace(r.Namespace)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ofToolkit reports whether the kinds of an API group can be those of an installation.
func ofToolkit(group string) bool {
	return strings.HasSuffix(group, ".toolkit.fluxcd.io") || group == "source.extensions.fluxcd.io"
}

// toolkit returns the CRDs of the kinds of the toolkit.
func (r *Removal) toolkit(ctx context.Context) ([]*unstructured.Unstructured, error) {
	l := list("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
	if err := r.Client.List(ctx, l); err != nil {
		return nil, fmt.Errorf("listing definitions: %w", err)
	}
	return slices.DeleteFunc(pointers(l), func(crd *unstructured.Unstructured) bool { return !ofToolkit(groupOf(crd)) }), nil
}

func groupOf(crd *unstructured.Unstructured) string {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	return group
}

// componentOf returns the controller of a kind; "" if its labels do not tell, and it is none of
// weir's.
func componentOf(crd *unstructured.Unstructured) string {
	if name := crd.GetLabels()[install.LabelComponent]; name != "" {
		return name
	}
	component, _ := install.Serving(groupOf(crd))
	return component
}

// kinds returns the CRDs of an installation: those labelled as parts of one, and those of weir
// that lost the label. A controller of another namespace keeps its own.
func (r *Removal) kinds(ctx context.Context, state State) ([]*unstructured.Unstructured, error) {
	all, err := r.toolkit(ctx)
	if err != nil {
		return nil, err
	}
	needed := state.neededElsewhere()
	var out []*unstructured.Unstructured
	for _, crd := range all {
		_, ours := install.Serving(groupOf(crd))
		labels := crd.GetLabels()
		switch {
		case !ours && labels[install.LabelPartOf] != install.PartOf:
		case slices.Contains(needed, labels[install.LabelComponent]):
			r.Warn("%s stays: there is a %s in another namespace", crd.GetName(), labels[install.LabelComponent])
		default:
			out = append(out, crd)
		}
	}
	return out, nil
}

// release takes our finalizer off objects of a kind.
func (r *Removal) release(ctx context.Context, crd *unstructured.Unstructured, in ...client.ListOption) error {
	gvk, ok := servedKind(crd)
	if !ok {
		return nil // nobody can reach its objects
	}
	l := list(gvk.Group, gvk.Version, gvk.Kind)
	if err := unlessUnseen(r.Client.List(ctx, l, in...)); err != nil {
		return fmt.Errorf("listing %s: %w", crd.GetName(), err)
	}
	for i := range l.Items {
		obj := &l.Items[i]
		if !slices.Contains(obj.GetFinalizers(), finalizer) {
			continue
		}
		r.say("finalizer taken off", obj)
		if r.DryRun {
			continue
		}
		if err := r.unfinish(ctx, obj); err != nil {
			return fmt.Errorf("taking the finalizer off %s %s/%s: %w", obj.GetKind(), obj.GetNamespace(), obj.GetName(), err)
		}
	}
	return nil
}

// unfinish takes our finalizer off an object, and leaves those of others.
func (r *Removal) unfinish(ctx context.Context, obj *unstructured.Unstructured) error {
	for {
		before := obj.DeepCopy()
		obj.SetFinalizers(slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == finalizer }))
		err := r.Client.Patch(ctx, obj, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if !apierrors.IsConflict(err) {
			return client.IgnoreNotFound(err)
		}
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
}

// servedKind returns the kind of a CRD in a version that is served: the one that is stored,
// if it is.
func servedKind(crd *unstructured.Unstructured) (gvk schema.GroupVersionKind, ok bool) {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		v, _ := v.(map[string]any)
		if served, _ := v["served"].(bool); !served {
			continue
		}
		name, _ := v["name"].(string)
		if stored, _ := v["storage"].(bool); stored || !ok {
			gvk, ok = schema.GroupVersionKind{Group: group, Version: name, Kind: kind}, true
		}
	}
	return gvk, ok
}

// belonging is a kind of which an installation has objects, besides Deployments and CRDs.
type belonging struct {
	gvk        schema.GroupVersionKind
	namespaced bool
}

// belongings are in the order in which they go. Rights go last: controllers may still be
// needed elsewhere until then.
var belongings = []belonging{
	{schema.GroupVersionKind{Version: "v1", Kind: "Service"}, true},
	{schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}, true},
	{schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}, true},
	{schema.GroupVersionKind{Version: "v1", Kind: "ResourceQuota"}, true},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"}, true},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"}, true},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"}, false},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}, false},
	{schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, true},
}

// all removes the objects of a kind that belong to the installation.
func (r *Removal) all(ctx context.Context, kind belonging) error {
	opts := []client.ListOption{client.MatchingLabels{install.LabelPartOf: install.PartOf, install.LabelInstance: r.Namespace}}
	if kind.namespaced {
		opts = append(opts, client.InNamespace(r.Namespace))
	}
	l := list(kind.gvk.Group, kind.gvk.Version, kind.gvk.Kind)
	if err := r.Client.List(ctx, l, opts...); err != nil {
		return fmt.Errorf("listing %s objects: %w", kind.gvk.Kind, err)
	}
	for _, obj := range pointers(l) {
		if err := r.delete(ctx, obj, metav1.DeletePropagationBackground); err != nil {
			return err
		}
	}
	return nil
}

// reserved are namespaces that no installation takes with it.
var reserved = []string{"default", "kube-system", "kube-public", "kube-node-lease"}

// namespace removes the namespace, unless somebody else lives in it.
func (r *Removal) namespace(ctx context.Context) error {
	if r.KeepNamespace || slices.Contains(reserved, r.Namespace) {
		return nil
	}
	ns := &unstructured.Unstructured{}
	ns.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	if err := r.Client.Get(ctx, types.NamespacedName{Name: r.Namespace}, ns); err != nil {
		return client.IgnoreNotFound(err)
	}
	if ns.GetLabels()[install.LabelPartOf] != install.PartOf {
		r.Warn("namespace %q stays: it has no label %s=%s, by which it would be one of an installation", r.Namespace, install.LabelPartOf, install.PartOf)
		return nil
	}
	others, err := r.others(ctx)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		r.Warn("namespace %q stays: it has %s", r.Namespace, strings.Join(others, ", "))
		return nil
	}
	if err := r.delete(ctx, ns, metav1.DeletePropagationBackground); err != nil || r.DryRun {
		return err
	}
	_, err = await.For(ctx, r.Client, await.Of(ns), await.Gone, nil)
	return err
}

// workloads are kinds by which a namespace is known to be used by others.
var workloads = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "batch", Version: "v1", Kind: "CronJob"},
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Version: "v1", Kind: "PersistentVolumeClaim"},
}

// others returns the workloads of the namespace that are no part of the installation, and
// what controllers of other namespaces look after there: they would take the end of that for
// a wish to prune.
func (r *Removal) others(ctx context.Context) ([]string, error) {
	var out []string
	for i, gvk := range slices.Concat(workloads, r.tended) {
		l := list(gvk.Group, gvk.Version, gvk.Kind)
		if err := r.Client.List(ctx, l, client.InNamespace(r.Namespace)); err != nil {
			return nil, fmt.Errorf("listing %s objects: %w", gvk.Kind, err)
		}
		for _, obj := range l.Items {
			if i >= len(workloads) || obj.GetLabels()[install.LabelPartOf] != install.PartOf {
				out = append(out, obj.GetKind()+"/"+obj.GetName())
			}
		}
	}
	return out, nil
}

// delete deletes an object that is still there, and tells.
func (r *Removal) delete(ctx context.Context, obj *unstructured.Unstructured, how metav1.DeletionPropagation) error {
	r.say("deleted", obj)
	if r.DryRun {
		return nil
	}
	if err := r.Client.Delete(ctx, obj, client.PropagationPolicy(how)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s %s: %w", obj.GetKind(), obj.GetName(), err)
	}
	return nil
}

func (r *Removal) say(what string, obj *unstructured.Unstructured) {
	r.done++
	name := obj.GetName()
	if ns := obj.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	if r.DryRun {
		what += " (dry run)"
	}
	r.Tell("%s/%s %s", obj.GetKind(), name, what)
}
