package kustomization

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/loop"
)

const (
	// dependencyIndex finds the Kustomizations that depend on one.
	dependencyIndex = "dependency"
	// maxChain bounds how far dependencies are followed in search of a cycle.
	maxChain = 100
)

// indexDependencies returns what a Kustomization depends on: namespace/name.
func indexDependencies(obj client.Object) []string {
	ks, ok := obj.(*kustomizev1.Kustomization)
	if !ok {
		return nil
	}
	keys := make([]string, len(ks.Spec.DependsOn))
	for i, ref := range ks.Spec.DependsOn {
		keys[i] = dependencyKey(ks, ref).String()
	}
	return keys
}

func dependencyKey(ks *kustomizev1.Kustomization, ref meta.DependencyReference) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(ref.Namespace, ks.Namespace), Name: ref.Name}
}

// awaitDependencies ends the run while a dependency is not ready. Any change of one
// asks for another run.
func (r *Reconciler) awaitDependencies(ctx context.Context, s *scope) error {
	if len(s.ks.Spec.DependsOn) == 0 {
		return nil
	}
	s.memory.await(true) // before they are read, or a change might be missed
	for i, ref := range s.ks.Spec.DependsOn {
		key := dependencyKey(s.ks, ref)
		dep, err := r.dependency(ctx, key)
		switch {
		case apierrors.IsNotFound(err):
			return r.waitForDependency(fmt.Sprintf("dependency '%s' not found", key))
		case err != nil:
			return loop.Fail(kustomizev1.ReasonDependencyNotReady, fmt.Errorf("reading dependency '%s': %w", key, err))
		}
		why, err := r.unready(ctx, s, i, dep)
		if err != nil { // of readyExpr: the field that it misses may come yet
			why = fmt.Sprintf("dependency '%s': %v", key, err)
		}
		if why != "" {
			if cycle := r.cycle(ctx, s.ks); cycle != "" {
				why = "dependency cycle: " + cycle
			}
			return r.waitForDependency(why)
		}
	}
	s.memory.await(false)
	return nil
}

func (r *Reconciler) waitForDependency(why string) error {
	return loop.Wait(kustomizev1.ReasonDependencyNotReady, r.opts.RequeueDependency, "%s", why)
}

// dependency reads a Kustomization. The cache has only those that this controller
// reconciles; one of another shard is read from the API server.
func (r *Reconciler) dependency(ctx context.Context, key types.NamespacedName) (*kustomizev1.Kustomization, error) {
	dep := &kustomizev1.Kustomization{}
	err := r.client.Get(ctx, key, dep)
	if err != nil && r.partial {
		err = r.live.Get(ctx, key, dep)
	}
	return dep, err
}

// unready says why a dependency is not ready; "" if it is.
func (r *Reconciler) unready(ctx context.Context, s *scope, i int, dep *kustomizev1.Kustomization) (string, error) {
	expr := s.expressions.ready[i]
	if expr == nil || r.opts.AdditiveReadyExpr {
		if why := unready(s.ks, dep, s.revision()); why != "" || expr == nil {
			return why, nil
		}
	}
	self, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.ks)
	if err != nil {
		return "", err
	}
	other, err := runtime.DefaultUnstructuredConverter.ToUnstructured(dep)
	if err != nil {
		return "", err
	}
	holds, err := expr.Holds(ctx, self, other)
	if err != nil || holds {
		return "", err
	}
	return fmt.Sprintf("dependency '%s' is not ready according to readyExpr", client.ObjectKeyFromObject(dep)), nil
}

// unready says why a dependency does not count as ready for a Kustomization that is
// about to apply a revision; "" if it does.
func unready(ks, dep *kustomizev1.Kustomization, revision string) string {
	name := client.ObjectKeyFromObject(dep)
	switch {
	case len(dep.Status.Conditions) == 0 || dep.Generation != dep.Status.ObservedGeneration, !conditions.IsTrue(dep, meta.ReadyCondition):
		return fmt.Sprintf("dependency '%s' is not ready", name)
	case dep.Spec.SourceRef.Kind == ks.Spec.SourceRef.Kind && sourceKey(dep) == sourceKey(ks) && dep.Status.LastAppliedRevision != revision:
		return fmt.Sprintf("dependency '%s' revision is not up to date", name)
	default:
		return ""
	}
}

// cycle returns the dependencies that lead from a Kustomization back to it, if any do.
func (r *Reconciler) cycle(ctx context.Context, ks *kustomizev1.Kustomization) string {
	from := client.ObjectKeyFromObject(ks)
	chain := cycleFrom(from, func(key types.NamespacedName) []types.NamespacedName {
		at := ks
		if key != from {
			at = &kustomizev1.Kustomization{}
			if err := r.client.Get(ctx, key, at); err != nil {
				return nil // what cannot be seen leads nowhere
			}
		}
		next := make([]types.NamespacedName, len(at.Spec.DependsOn))
		for i, ref := range at.Spec.DependsOn {
			next[i] = dependencyKey(at, ref)
		}
		return next
	})
	names := make([]string, len(chain))
	for i, key := range chain {
		names[i] = key.String()
	}
	return strings.Join(names, " -> ")
}

// cycleFrom returns a chain that begins and ends with from, nil if there is none of
// reasonable length.
func cycleFrom(from types.NamespacedName, next func(types.NamespacedName) []types.NamespacedName) []types.NamespacedName {
	seen := make(map[types.NamespacedName]bool)
	var walk func(chain []types.NamespacedName) []types.NamespacedName
	walk = func(chain []types.NamespacedName) []types.NamespacedName {
		for _, key := range next(chain[len(chain)-1]) {
			if key == from {
				return append(chain, key)
			}
			if seen[key] || len(chain) > maxChain {
				continue
			}
			seen[key] = true
			if found := walk(append(chain, key)); found != nil {
				return found
			}
		}
		return nil
	}
	return walk([]types.NamespacedName{from})
}

// dependents asks for runs of the Kustomizations that wait for one that has changed.
func (r *Reconciler) dependents() handler.EventHandler {
	tell := func(ctx context.Context, dep client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		var list kustomizev1.KustomizationList
		key := client.ObjectKeyFromObject(dep).String()
		if err := r.client.List(ctx, &list, client.MatchingFields{dependencyIndex: key}); err != nil {
			log.FromContext(ctx).Error(err, "looking for the dependents of a Kustomization", "dependency", key)
			return
		}
		for i := range list.Items {
			if r.known.of(list.Items[i].UID).awaits() {
				q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			tell(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			tell(ctx, e.ObjectNew, q)
		},
	}
}
