package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/yaml"
)

// output makes the result of what kustomize made.
func output(made resmap.ResMap, spec Spec, max limits) (Result, error) {
	if made.Size() > max.objects {
		return Result{}, fmt.Errorf("the build makes %d objects, more than the limit of %d: build smaller paths", made.Size(), max.objects)
	}
	var result Result
	hash := sha256.New()
	for i, res := range made.Resources() {
		content, err := res.MarshalJSON()
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", nameOf(res), err)
		}
		doc, err := yaml.JSONToYAML(content)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", nameOf(res), err)
		}
		if i > 0 {
			hash.Write([]byte("---\n"))
		}
		hash.Write(doc)
		if result.Objects, err = appendObject(result.Objects, content); err != nil {
			return Result{}, fmt.Errorf("%s: %w", nameOf(res), err)
		}
	}
	for _, obj := range result.Objects {
		setMetadata(obj, "labels", spec.CommonMetadata.Labels)
		setMetadata(obj, "annotations", spec.CommonMetadata.Annotations)
		setMetadata(obj, "labels", spec.OwnerLabels)
	}
	result.Digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	return result, nil
}

// nameOf names an object for an error.
func nameOf(res *resource.Resource) string {
	return res.GetKind() + " " + strings.TrimPrefix(res.GetNamespace()+"/"+res.GetName(), "/")
}

// appendObject appends the object in content, or the items if it is a list. It leaves out
// what no API server takes: kustomizations of kustomize, and what has no kind of object.
func appendObject(to []*unstructured.Unstructured, content []byte) ([]*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	err := obj.UnmarshalJSON(content)
	if runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) {
		return to, nil
	}
	if err != nil {
		return nil, err
	}
	if !obj.IsList() {
		if !isObject(obj) {
			return to, nil
		}
		return append(to, obj), nil
	}
	err = obj.EachListItem(func(item runtime.Object) error {
		if item, ok := item.(*unstructured.Unstructured); ok && isObject(item) {
			to = append(to, item)
		}
		return nil
	})
	return to, err
}

func isObject(obj *unstructured.Unstructured) bool {
	gvk := obj.GroupVersionKind()
	return gvk.Kind != "" && gvk.Version != "" && gvk.Group != "kustomize.config.k8s.io"
}

// setMetadata sets labels or annotations, and leaves the others as they are.
func setMetadata(obj *unstructured.Unstructured, field string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	metadata := mapIn(obj.Object, "metadata")
	for key, value := range values {
		mapIn(metadata, field)[key] = value
	}
}

// mapIn returns a map that is a field of another, and puts it there if there is none.
func mapIn(m map[string]any, field string) map[string]any {
	inner, ok := m[field].(map[string]any)
	if !ok {
		inner = map[string]any{}
		m[field] = inner
	}
	return inner
}
