package health

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/apis/kustomize"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rules judge objects of kinds whose health users describe by expressions of CEL.
type Rules map[schema.GroupKind]*Rule

// Rule judges objects by expressions. It is safe for concurrent use.
type Rule struct {
	key     string
	clauses []clause
}

// clause is the status of objects for which an expression holds.
type clause struct {
	field  string // of the spec
	status Status
	*expression
}

// Compile makes Rules of what users have written, or says which field is wrong. That
// takes in the order of a millisecond, and many times as long as to judge an object:
// who needs Rules again keeps them.
func Compile(checks []kustomize.CustomHealthCheck) (Rules, error) {
	rules := make(Rules, len(checks))
	origin := make(map[schema.GroupKind]int, len(checks))
	for i, check := range checks {
		of, err := kindOf(check)
		if err != nil {
			return nil, fmt.Errorf("healthCheckExprs[%d].apiVersion: %w", i, err)
		}
		if before, ok := origin[of]; ok {
			return nil, fmt.Errorf("healthCheckExprs[%d]: %s has a check already, in healthCheckExprs[%d]", i, nameOf(of), before)
		}
		rule, err := newRule(check.HealthCheckExpressions)
		if err != nil {
			return nil, fmt.Errorf("healthCheckExprs[%d].%w", i, err)
		}
		rules[of], origin[of] = rule, i
	}
	return rules, nil
}

// kindOf returns the objects that a check is about: those of a kind, or with an
// empty one all of a group. Versions do not matter: an object is the same in all.
func kindOf(check kustomize.CustomHealthCheck) (schema.GroupKind, error) {
	if check.APIVersion == "" {
		return schema.GroupKind{}, errors.New("is required")
	}
	gv, err := schema.ParseGroupVersion(check.APIVersion)
	return schema.GroupKind{Group: gv.Group, Kind: check.Kind}, err
}

func nameOf(of schema.GroupKind) string {
	switch {
	case of.Kind != "":
		return of.String()
	case of.Group != "":
		return "group " + of.Group
	default:
		return "the core group"
	}
}

func newRule(exprs kustomize.HealthCheckExpressions) (*Rule, error) {
	if exprs.Current == "" {
		return nil, errors.New("current: is required")
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", exprs.InProgress, exprs.Failed, exprs.Current))
	rule := &Rule{key: hex.EncodeToString(digest[:])}
	for _, c := range []struct {
		field, text string
		status      Status
	}{
		{field: "inProgress", text: exprs.InProgress, status: InProgress},
		{field: "failed", text: exprs.Failed, status: Failed},
		{field: "current", text: exprs.Current, status: Current},
	} {
		if c.text == "" {
			continue
		}
		e, err := parse(c.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.field, err)
		}
		rule.clauses = append(rule.clauses, clause{field: c.field, status: c.status, expression: e})
	}
	return rule, nil
}

// For returns the Rule for objects of a kind: its own, or that of its whole group.
// Nil means that kstatus decides.
func (r Rules) For(gvk schema.GroupVersionKind) *Rule {
	if rule, ok := r[gvk.GroupKind()]; ok {
		return rule
	}
	return r[schema.GroupKind{Group: gvk.Group}]
}

// Key identifies the expressions of a Rule: two with the same Key judge alike. That
// of nil is empty.
func (r *Rule) Key() string {
	if r == nil {
		return ""
	}
	return r.key
}

// Of returns the status of an object as the API server has it by the Rule, and what
// there is to say about why. A nil Rule is that of kstatus. What cannot be evaluated
// is Unknown.
func (r *Rule) Of(obj *unstructured.Unstructured) (Status, string) {
	if r == nil {
		return Of(obj)
	}
	if why := unobserved(obj); why != "" {
		return InProgress, why
	}
	for _, c := range r.clauses {
		// The cost limit bounds it: there is nothing to interrupt.
		holds, err := c.holds(context.Background(), obj.Object)
		switch {
		case err != nil && isSecret(obj):
			return Unknown, "cannot evaluate " + c.field // the error may quote data
		case err != nil:
			return Unknown, fmt.Sprintf("cannot evaluate %s: %v", c.field, err)
		case holds && c.status == Current:
			return Current, ""
		case holds:
			return c.status, explain(obj, "expression "+c.field+" is true")
		}
	}
	return InProgress, explain(obj, "none of the expressions is true")
}

// unobserved tells that the status of an object is about a spec before, if so.
func unobserved(obj *unstructured.Unstructured) string {
	observed, ok, err := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	if !ok || err != nil {
		return "" // some kinds have words there: their expressions decide
	}
	generation, ok, err := unstructured.NestedInt64(obj.Object, "metadata", "generation")
	if !ok || err != nil || generation == observed {
		return ""
	}
	return fmt.Sprintf("%s generation is %d, but latest observed generation is %d", obj.GetKind(), generation, observed)
}

func isSecret(obj *unstructured.Unstructured) bool {
	return obj.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Secret"}
}

// explain adds to a verdict what the object says about why it is not ready, if it
// does.
func explain(obj *unstructured.Unstructured, verdict string) string {
	for _, c := range conditionsOf(obj) {
		if c.Type == "Ready" && c.Status != corev1.ConditionTrue && c.Message != "" {
			return verdict + ": " + c.Message
		}
	}
	return verdict
}
