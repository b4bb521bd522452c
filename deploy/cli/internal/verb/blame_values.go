package verb

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/deploy/cli/internal/blame"
)

// setting is a field that has a value of a release, and the object that has it.
type setting struct {
	object *unstructured.Unstructured
	field  fieldpath.Path
}

// settingOf returns the value by which a template has most likely set a field: one of
// spec.values, which win, or of the ConfigMaps of spec.valuesFrom, of which the last wins. What
// is in Secrets is not looked at. nil if none is like it.
func (b *blaming) settingOf(ctx context.Context, obj *unstructured.Unstructured, hr *helmv2.HelmRelease, field fieldpath.Path, value any) (*setting, error) {
	values, _, err := unstructured.NestedMap(obj.Object, "spec", "values")
	if err != nil {
		return nil, err
	}
	if found, ok := blame.ValueOf(field, value, values); ok {
		return &setting{object: obj, field: blame.Below("spec.values", found)}, nil
	}
	for i := len(hr.Spec.ValuesFrom) - 1; i >= 0; i-- {
		ref := hr.Spec.ValuesFrom[i]
		if ref.Kind != "ConfigMap" || ref.TargetPath != "" {
			continue
		}
		config := &unstructured.Unstructured{}
		config.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"})
		err := b.cluster.Client.Get(ctx, types.NamespacedName{Namespace: hr.Namespace, Name: ref.Name}, config)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading ConfigMap %s/%s: %w", hr.Namespace, ref.Name, err)
		}
		key := ref.GetValuesKey()
		text, _, err := unstructured.NestedString(config.Object, "data", key)
		if err != nil {
			return nil, err
		}
		var inner map[string]any
		if err := yaml.Unmarshal([]byte(text), &inner); err != nil {
			continue // and the release fails, and says so
		}
		if _, ok := blame.ValueOf(field, value, inner); ok {
			return &setting{object: config, field: append(blame.Below("data", nil), fieldpath.PathElement{FieldName: &key})}, nil
		}
	}
	return nil, nil
}
