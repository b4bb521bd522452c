package kustomization

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/loop"
)

// Kinds of what has variables.
const (
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"
)

// readVariables collects what postBuild puts into the objects.
func (r *Reconciler) readVariables(ctx context.Context, s *scope) error {
	post := s.ks.Spec.PostBuild
	if post == nil {
		return nil
	}
	s.variables = make(map[string]string)
	for _, ref := range post.SubstituteFrom {
		values, err := r.variablesOf(ctx, s.ks, ref)
		if apierrors.IsNotFound(err) && ref.Optional {
			continue
		}
		if err != nil {
			return loop.Fail(kustomizev1.ReasonBuildFailed, fmt.Errorf("substitute from '%s/%s' error: %w", ref.Kind, ref.Name, err))
		}
		maps.Copy(s.variables, values)
	}
	maps.Copy(s.variables, post.Substitute)
	return nil
}

// variablesOf reads one ConfigMap or Secret.
func (r *Reconciler) variablesOf(ctx context.Context, ks *kustomizev1.Kustomization, ref kustomizev1.SubstituteReference) (map[string]string, error) {
	key := client.ObjectKey{Namespace: ks.Namespace, Name: ref.Name}
	switch ref.Kind {
	case kindConfigMap:
		var from corev1.ConfigMap
		err := r.configs(ks).Get(ctx, key, &from)
		return from.Data, err
	case kindSecret:
		var from corev1.Secret
		if err := r.configs(ks).Get(ctx, key, &from); err != nil {
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
