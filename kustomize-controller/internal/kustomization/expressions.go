package kustomization

import (
	"context"
	"fmt"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/dependency"
	"weir.dev/pkg/health"
	"weir.dev/pkg/loop"
)

// terminal opens the message about an expression that only a new spec can mend.
const terminal = "Reconciliation failed terminally due to configuration error"

// expressions are those of a spec, compiled. That takes longer than to evaluate them, so
// it is done once for each generation.
type expressions struct {
	generation int64
	health     health.Rules
	ready      dependency.Exprs
	err        error
}

// compileExpressions stalls an object whose expressions mean nothing.
func (r *Reconciler) compileExpressions(_ context.Context, s *scope) error {
	if e := s.memory.expressions; e == nil || e.generation != s.ks.Generation {
		s.memory.expressions = compile(s.ks)
	}
	s.expressions = s.memory.expressions
	if err := s.expressions.err; err != nil {
		return loop.Stall(kustomizev1.ReasonInvalidCELExpression, fmt.Errorf("%s: %w", terminal, err))
	}
	return nil
}

// compile compiles the expressions of a spec.
func compile(ks *kustomizev1.Kustomization) *expressions {
	e := &expressions{generation: ks.Generation}
	if e.health, e.err = health.Compile(ks.Spec.HealthCheckExprs); e.err != nil {
		return e
	}
	e.ready, e.err = dependency.Compile(ks.Spec.DependsOn)
	return e
}
