package dependency

import (
	"cmp"
	"context"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/health"
)

// Exprs are the expressions of a dependsOn, compiled; those of one without are nil.
type Exprs []*health.Ready

// Compile compiles the readyExpr of a dependsOn, which takes far longer than to evaluate
// them: who needs them again keeps them. An error means that only a new spec can help.
func Compile(refs []meta.DependencyReference) (Exprs, error) {
	out := make(Exprs, len(refs))
	for i, ref := range refs {
		if ref.ReadyExpr == "" {
			continue
		}
		var err error
		if out[i], err = health.CompileReady(ref.ReadyExpr); err != nil {
			return nil, fmt.Errorf("dependsOn[%d].readyExpr: %w", i, err)
		}
	}
	return out, nil
}

// of returns the expression about the dependency at i, nil if there is none.
func (e Exprs) of(i int) *health.Ready {
	if i >= len(e) {
		return nil
	}
	return e[i]
}

// keyOf returns the name of what a reference of an object is to.
func keyOf(obj client.Object, ref meta.DependencyReference) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(ref.Namespace, obj.GetNamespace()), Name: ref.Name}
}

// unready says why a dependency is not ready; "" if it is.
func (g *Gate[T]) unready(ctx context.Context, obj, dep T, expr *health.Ready, also func(T) string) (string, error) {
	name := client.ObjectKeyFromObject(dep)
	if expr == nil || g.opts.Additive {
		switch {
		case !saysReady(dep):
			return fmt.Sprintf("dependency '%s' is not ready", name), nil
		case also != nil && also(dep) != "":
			return also(dep), nil
		case expr == nil:
			return "", nil
		}
	}
	holds, err := evaluate(ctx, expr, obj, dep)
	if err != nil || holds {
		return "", err
	}
	return fmt.Sprintf("dependency '%s' is not ready according to readyExpr", name), nil
}

// saysReady reports whether an object is ready by its own account, of its present spec.
func saysReady(dep Object) bool {
	return dep.GetGeneration() == dep.GetObservedGeneration() && conditions.IsTrue(dep, meta.ReadyCondition)
}

// evaluate reports whether an expression holds of an object and its dependency.
func evaluate(ctx context.Context, expr *health.Ready, obj, dep client.Object) (bool, error) {
	self, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return false, err
	}
	other, err := runtime.DefaultUnstructuredConverter.ToUnstructured(dep)
	if err != nil {
		return false, err
	}
	return expr.Holds(ctx, self, other)
}
