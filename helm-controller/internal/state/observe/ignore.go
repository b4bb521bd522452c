package observe

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/apply"
)

// selector tells objects that a rule is about.
type selector func(*unstructured.Unstructured) bool

// rulesOf returns the rules about fields of objects, and what selects the objects that are
// left out as a whole: those of rules with an empty path.
func rulesOf(ignore []helmv2.IgnoreRule) (fields []apply.IgnoreRule, whole []selector, err error) {
	for i, rule := range ignore {
		var paths []string
		all := false
		for _, path := range rule.Paths {
			if path == "" {
				all = true
				continue
			}
			paths = append(paths, path)
		}
		if len(paths) > 0 {
			fields = append(fields, apply.IgnoreRule{Paths: paths, Target: rule.Target, Field: fmt.Sprintf("spec.driftDetection.ignore[%d]", i)})
		}
		if !all {
			continue
		}
		selects, err := selectorOf(rule.Target)
		if err != nil {
			return nil, nil, fmt.Errorf("spec.driftDetection.ignore[%d].target: %w", i, err)
		}
		whole = append(whole, selects)
	}
	return fields, whole, nil
}

// selectorOf reads a target as kustomize does: patterns are anchored at both ends, and what
// is not set selects all.
func selectorOf(t *kustomize.Selector) (selector, error) {
	if t == nil {
		return func(*unstructured.Unstructured) bool { return true }, nil
	}
	patterns, err := types.NewSelectorRegex(&types.Selector{ResId: resid.ResId{
		Gvk:  resid.Gvk{Group: t.Group, Version: t.Version, Kind: t.Kind},
		Name: t.Name, Namespace: t.Namespace,
	}})
	if err != nil {
		return nil, err
	}
	byLabel, err := labels.Parse(t.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("labelSelector: %w", err)
	}
	byAnnotation, err := labels.Parse(t.AnnotationSelector)
	if err != nil {
		return nil, fmt.Errorf("annotationSelector: %w", err)
	}
	return func(obj *unstructured.Unstructured) bool {
		gvk := obj.GroupVersionKind()
		return patterns.MatchGvk(resid.Gvk{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}) &&
			patterns.MatchName(obj.GetName()) && patterns.MatchNamespace(obj.GetNamespace()) &&
			byLabel.Matches(labels.Set(obj.GetLabels())) && byAnnotation.Matches(labels.Set(obj.GetAnnotations()))
	}, nil
}
