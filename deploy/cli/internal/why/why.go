// Package why says why an object of the API is as it is: what it depends on, how far it has
// got, how long that took, and what it waits for now. It decides on objects that the caller
// reads.
package why

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/fluxcd/pkg/apis/meta"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/kinds"
)

// deepest bounds how many dependencies are followed below each other.
const deepest = 32

// Dependency is an object that another waits for, and what that waits for in turn.
type Dependency struct {
	Kind  string               `json:"kind"`
	Name  types.NamespacedName `json:"-"`
	Text  string               `json:"name"`
	Ready bool                 `json:"ready"`
	// Message is what it says of itself, or that it does not exist.
	Message string `json:"message,omitempty"`
	// Expr is by which the other takes it for ready, instead of by its condition.
	Expr string       `json:"readyExpr,omitempty"`
	On   []Dependency `json:"dependsOn,omitempty"`
}

// Get reads an object of a kind; nil if it does not exist.
type Get func(ctx context.Context, kind string, key types.NamespacedName) (*unstructured.Unstructured, error)

// Dependencies returns what an object depends on, and so on up. What was met above is not
// followed again: that a cycle is one, is the message.
func Dependencies(ctx context.Context, obj *unstructured.Unstructured, get Get) ([]Dependency, error) {
	return dependencies(ctx, obj, get, []types.NamespacedName{keyOf(obj)})
}

func dependencies(ctx context.Context, obj *unstructured.Unstructured, get Get, above []types.NamespacedName) ([]Dependency, error) {
	refs, err := dependsOn(obj)
	if err != nil || len(above) > deepest {
		return nil, err
	}
	var out []Dependency
	for _, ref := range refs {
		key := types.NamespacedName{Namespace: cmp.Or(ref.Namespace, obj.GetNamespace()), Name: ref.Name}
		d := Dependency{Kind: obj.GetKind(), Name: key, Text: key.String(), Expr: ref.ReadyExpr}
		if slices.Contains(above, key) {
			d.Message = "it depends on itself, by others or at once"
			out = append(out, d)
			continue
		}
		dep, err := get(ctx, obj.GetKind(), key)
		switch {
		case apierrors.IsForbidden(err):
			d.Message = "it may not be read: " + err.Error()
		case err != nil:
			return nil, fmt.Errorf("reading dependency %s: %w", key, err)
		case dep == nil:
			d.Message = "it does not exist"
		default:
			if d.Ready, d.Message, err = state(dep); err != nil {
				return nil, err
			}
			if d.On, err = dependencies(ctx, dep, get, append(slices.Clip(above), key)); err != nil {
				return nil, err
			}
		}
		out = append(out, d)
	}
	return out, nil
}

func keyOf(obj *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// dependsOn returns the references of an object.
func dependsOn(obj *unstructured.Unstructured) ([]meta.DependencyReference, error) {
	var with struct {
		Spec struct {
			DependsOn []meta.DependencyReference `json:"dependsOn"`
		} `json:"spec"`
	}
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &with)
	return with.Spec.DependsOn, err
}

// state returns whether an object is ready in its present generation, and what it says.
func state(obj *unstructured.Unstructured) (bool, string, error) {
	o, err := kinds.Read(obj)
	if err != nil {
		return false, "", err
	}
	status, message := kinds.Ready(o)
	ready, _ := o.Condition(meta.ReadyCondition)
	switch {
	case o.Spec.Suspend:
		return status == "True", "it is suspended", nil
	case kinds.IsStatic(o), o.Kind == sourcev1.ExternalArtifactKind, o.Status.ObservedGeneration == o.Metadata.Generation:
		return status == "True", message, nil
	case ready.ObservedGeneration == o.Metadata.Generation && ready.Status != metav1.ConditionTrue:
		return false, message, nil // it was seen, and not finished
	}
	return false, "its controller has not finished with its present spec", nil
}

// Waits returns what an object waits for now, the causes before what comes of them; nothing
// if it is done.
func Waits(obj, source *unstructured.Unstructured, on []Dependency) ([]string, error) {
	o, err := kinds.Read(obj)
	if err != nil {
		return nil, err
	}
	if o.Spec.Suspend {
		return []string{"to be resumed"}, nil
	}
	out := unready(on)
	if source != nil {
		ready, message, err := state(source)
		if err != nil {
			return nil, err
		}
		if name := source.GetKind() + "/" + keyOf(source).String(); !ready {
			out = append(out, name+": "+message)
		} else if behind(o, source) && len(out) == 0 {
			out = append(out, "its controller, to take revision "+revisionOf(source)+" from "+name)
		}
	}
	ready, found := o.Condition(meta.ReadyCondition)
	switch {
	case o.Metadata.DeletionTimestamp != nil:
		out = append(out, "its controller, to finish the deletion")
	case !found || o.Status.ObservedGeneration != o.Metadata.Generation && ready.ObservedGeneration != o.Metadata.Generation:
		out = append(out, "its controller, to act on the present spec")
	case ready.Status == metav1.ConditionUnknown:
		out = append(out, "the run that is under way: "+ready.Message)
	case ready.Status == metav1.ConditionFalse && len(out) == 0:
		out = append(out, "the next try, after: "+ready.Message)
	}
	return out, nil
}

// unready returns those dependencies that nothing else keeps from being ready.
func unready(on []Dependency) []string {
	var out []string
	for _, d := range on {
		if d.Ready && d.Expr == "" {
			continue
		}
		if below := unready(d.On); len(below) > 0 {
			out = append(out, below...)
			continue
		}
		if d.Ready {
			continue // whether the expression holds, its owner says
		}
		if text := d.Kind + "/" + d.Text + ": " + d.Message; !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// behind reports whether a Kustomization has not applied what its source has now.
func behind(o kinds.Object, source *unstructured.Unstructured) bool {
	now := revisionOf(source)
	return o.Kind == kustomizev1.KustomizationKind && now != "" && o.Status.LastAppliedRevision != now && o.Status.LastAttemptedRevision != now
}

func revisionOf(source *unstructured.Unstructured) string {
	revision, _, _ := unstructured.NestedString(source.Object, "status", "artifact", "revision")
	return revision
}
