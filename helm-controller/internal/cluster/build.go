package cluster

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/manifest"
)

// readAhead is how much of a manifest is read to tell whether it is YAML.
const readAhead = 4096

// Build implements kube.Interface: it finds out where the objects of a manifest live. If
// validate, all of them must be such that they can be applied. Otherwise a kind that is
// served no more is passed over until somebody wants to write an object of it: the
// manifest may be that of an old release.
func (c *Client) Build(reader io.Reader, validate bool) (kube.ResourceList, error) {
	if err := c.alive(); err != nil {
		return nil, err
	}
	objs, err := decode(reader)
	if err != nil {
		return nil, err
	}
	var out kube.ResourceList
	var errs []error
	for _, obj := range objs {
		if validate {
			errs = append(errs, checkMetadata(obj))
		}
		info, err := c.info(obj, objs, validate)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, info)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

// decode reads the objects of a manifest as the SDK does: a key that stands twice in it
// is no error, and the last one counts.
func decode(reader io.Reader) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(reader, readAhead)
	for n := 1; ; n++ {
		var raw runtime.RawExtension
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d of the manifest: %w", n, err)
		}
		if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
			continue
		}
		objs, err := read(raw.Raw)
		if err != nil {
			return nil, fmt.Errorf("document %d of the manifest: %w", n, err)
		}
		out = append(out, objs...)
	}
}

var errNoObject = errors.New("is no Kubernetes object: apiVersion or kind is missing")

// read decodes an object, or the items of a list. What it says of what is none quotes
// nothing of it, which could be a Secret.
func read(data []byte) ([]*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); runtime.IsMissingKind(err) {
		return nil, errNoObject
	} else if err != nil {
		return nil, err
	}
	if obj.GetAPIVersion() == "" {
		return nil, errNoObject
	}
	if !obj.IsList() {
		return []*unstructured.Unstructured{obj}, nil
	}
	var out []*unstructured.Unstructured
	err := obj.EachListItem(func(item runtime.Object) error {
		u, ok := item.(*unstructured.Unstructured)
		if !ok || u.GetKind() == "" || u.GetAPIVersion() == "" {
			return fmt.Errorf("an item of the list %w", errNoObject)
		}
		out = append(out, u)
		return nil
	})
	return out, err
}

// checkMetadata refuses labels and annotations that are no text: they would all be lost
// when the SDK adds its own.
func checkMetadata(obj *unstructured.Unstructured) error {
	for _, field := range []string{"labels", "annotations"} {
		content, ok, err := unstructured.NestedMap(obj.Object, "metadata", field)
		if err != nil {
			return fmt.Errorf("%s: metadata.%s is no map", manifest.IDOf(obj), field)
		}
		if !ok {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(content)) {
			if _, text := content[key].(string); !text && content[key] != nil {
				return fmt.Errorf("%s: metadata.%s[%q] is no text: quote it", manifest.IDOf(obj), field, key)
			}
		}
	}
	return nil
}

// info finds out where an object of a manifest lives, and completes or removes its namespace
// accordingly.
func (c *Client) info(obj *unstructured.Unstructured, all []*unstructured.Unstructured, validate bool) (*resource.Info, error) {
	gvk := obj.GroupVersionKind()
	mapping, err := c.mapping(gvk, validate)
	if errors.Is(err, errUnserved) && !c.clientSide() {
		if to := definedBy(all, gvk); to != nil {
			mapping, err = to, nil // the engine waits for that
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifest.IDOf(obj), err)
	}
	place(obj, mapping.Scope, c.opts.Release.Namespace)
	client, err := c.clientOf(mapping)
	if err != nil {
		return nil, err
	}
	return &resource.Info{
		Client: client, Mapping: mapping, Namespace: obj.GetNamespace(), Name: obj.GetName(), Object: obj,
	}, nil
}

// place gives an object the namespace that it lives in: the one of the release where it
// names none, and none if its kind has none.
func place(obj *unstructured.Unstructured, scope meta.RESTScope, namespace string) {
	switch {
	case scope.Name() != meta.RESTScopeNameNamespace:
		unstructured.RemoveNestedField(obj.Object, "metadata", "namespace")
	case obj.GetNamespace() == "":
		obj.SetNamespace(namespace)
	}
}

// mapping returns the API resource of a kind. Unless it must be served, one that is not is
// taken for that of another version, or else has no name.
func (c *Client) mapping(gvk schema.GroupVersionKind, must bool) (*meta.RESTMapping, error) {
	mapper := c.at.Mapper()
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err == nil || !meta.IsNoMatchError(err) {
		return mapping, err
	}
	if must {
		return nil, unserved(gvk)
	}
	switch mapping, err = mapper.RESTMapping(gvk.GroupKind()); {
	case meta.IsNoMatchError(err):
		return &meta.RESTMapping{GroupVersionKind: gvk, Scope: meta.RESTScopeNamespace}, nil
	case err != nil:
		return nil, err
	}
	return mapping, nil
}

// errUnserved says that the cluster does not know a kind.
var errUnserved = errors.New("is not served by the cluster: install its definition first, or use a version of the API that is served")

func unserved(gvk schema.GroupVersionKind) error {
	return fmt.Errorf("kind %q of %q %w", gvk.Kind, gvk.GroupVersion(), errUnserved)
}

// definitionKind has the objects that define kinds.
var definitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// definedBy returns the API resource of a kind that one of the objects defines; nil if none
// does.
func definedBy(objs []*unstructured.Unstructured, gvk schema.GroupVersionKind) *meta.RESTMapping {
	for _, obj := range objs {
		if obj.GroupVersionKind().GroupKind() != definitionKind {
			continue
		}
		text := func(path ...string) string {
			value, _, _ := unstructured.NestedString(obj.Object, path...)
			return value
		}
		if text("spec", "group") != gvk.Group || text("spec", "names", "kind") != gvk.Kind || !hasVersion(obj, gvk.Version) {
			continue
		}
		mapping := &meta.RESTMapping{
			Resource: gvk.GroupVersion().WithResource(text("spec", "names", "plural")), GroupVersionKind: gvk, Scope: meta.RESTScopeRoot,
		}
		if text("spec", "scope") == "Namespaced" {
			mapping.Scope = meta.RESTScopeNamespace
		}
		return mapping
	}
	return nil
}

// hasVersion reports whether a definition has a version of its kind.
func hasVersion(definition *unstructured.Unstructured, version string) bool {
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	return slices.ContainsFunc(versions, func(v any) bool {
		of, ok := v.(map[string]any)
		return ok && of["name"] == version
	})
}

// served reports whether the kind of an object is served, in whatever version.
func served(info *resource.Info) bool { return info.Mapping.Resource.Resource != "" }

// servedAsWritten reports whether the kind of an object is served in the version that the
// object is written in.
func servedAsWritten(info *resource.Info) bool {
	return served(info) && info.Object.GetObjectKind().GroupVersionKind() == info.Mapping.GroupVersionKind
}

// clientOf returns the client by which the SDK itself makes requests about objects, of
// which it should make none to tell which exist.
func (c *Client) clientOf(mapping *meta.RESTMapping) (resource.RESTClient, error) {
	if c.opts.TakeOwnership && !c.clientSide() {
		return c.absent()
	}
	return c.conn.client(mapping.GroupVersionKind.GroupVersion())
}

// idOf returns the identity of an object.
func idOf(info *resource.Info) manifest.ID {
	gk := info.Mapping.GroupVersionKind.GroupKind()
	return manifest.ID{Group: gk.Group, Kind: gk.Kind, Namespace: info.Namespace, Name: info.Name}
}
