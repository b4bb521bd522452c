// Package buildspec says what a Kustomization asks a build and an apply for, so that the
// controller and the command line do the same.
package buildspec

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/build"
)

// Kinds of what has variables.
const (
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"
)

// Of returns what of a Kustomization decides its build, but for the values of variables.
func Of(ks *kustomizev1.Kustomization) build.Spec {
	spec := build.Spec{
		Path:            ks.Spec.Path,
		TargetNamespace: ks.Spec.TargetNamespace,
		NamePrefix:      ks.Spec.NamePrefix,
		NameSuffix:      ks.Spec.NameSuffix,
		Patches:         ks.Spec.Patches,
		Images:          ks.Spec.Images,
		Components:      ks.Spec.Components,

		IgnoreMissingComponents: ks.Spec.IgnoreMissingComponents,
		OwnerLabels: map[string]string{
			kustomizev1.LabelName:      ks.Name,
			kustomizev1.LabelNamespace: ks.Namespace,
		},
	}
	for _, m := range ks.Spec.BuildMetadata {
		spec.BuildMetadata = append(spec.BuildMetadata, string(m))
	}
	if m := ks.Spec.CommonMetadata; m != nil {
		spec.CommonMetadata = build.Metadata{Labels: m.Labels, Annotations: m.Annotations}
	}
	return spec
}

// IgnoreRules are those of spec.ignore, for an apply.
func IgnoreRules(ks *kustomizev1.Kustomization) []apply.IgnoreRule {
	var out []apply.IgnoreRule
	for _, rule := range ks.Spec.Ignore {
		out = append(out, apply.IgnoreRule{Paths: rule.Paths, Target: rule.Target})
	}
	return out
}

// Substitution is what postBuild puts into the objects; nil if it asks for nothing. Without
// strict, a variable that is not set is empty.
func Substitution(ks *kustomizev1.Kustomization, variables map[string]string, strict bool) *build.Substitution {
	post := ks.Spec.PostBuild
	if post == nil {
		return nil
	}
	return &build.Substitution{Vars: variables, Always: post.SubstituteStrategy == kustomizev1.SubstituteAlways, Lenient: !strict}
}

// Variables collects the values that postBuild names: those of ConfigMaps and Secrets in their
// order, then its own. Errors name what was read, and hold no value.
func Variables(ctx context.Context, read client.Reader, ks *kustomizev1.Kustomization) (map[string]string, error) {
	post := ks.Spec.PostBuild
	if post == nil {
		return nil, nil
	}
	all := make(map[string]string)
	for _, ref := range post.SubstituteFrom {
		values, err := variablesOf(ctx, read, ks.Namespace, ref)
		if apierrors.IsNotFound(err) && ref.Optional {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("substitute from '%s/%s' error: %w", ref.Kind, ref.Name, err)
		}
		maps.Copy(all, values)
	}
	maps.Copy(all, post.Substitute)
	return all, nil
}

// Sensitive returns the values of the Secrets that postBuild names, which must not be shown. What
// cannot be read has none.
func Sensitive(ctx context.Context, read client.Reader, ks *kustomizev1.Kustomization) []string {
	post := ks.Spec.PostBuild
	if post == nil {
		return nil
	}
	var out []string
	for _, ref := range post.SubstituteFrom {
		if ref.Kind != kindSecret {
			continue
		}
		values, err := variablesOf(ctx, read, ks.Namespace, ref)
		if err == nil {
			out = append(out, slices.Sorted(maps.Values(values))...)
		}
	}
	return out
}

// variablesOf reads one ConfigMap or Secret.
func variablesOf(ctx context.Context, read client.Reader, namespace string, ref kustomizev1.SubstituteReference) (map[string]string, error) {
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	switch ref.Kind {
	case kindConfigMap:
		var from corev1.ConfigMap
		err := read.Get(ctx, key, &from)
		return from.Data, err
	case kindSecret:
		var from corev1.Secret
		if err := read.Get(ctx, key, &from); err != nil {
			return nil, err
		}
		values := make(map[string]string, len(from.Data))
		for name, value := range from.Data {
			values[name] = string(value)
		}
		return values, nil
	default:
		return nil, fmt.Errorf("%q has no variables: use %s or %s", ref.Kind, kindConfigMap, kindSecret)
	}
}
