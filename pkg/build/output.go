package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/manifest"
)

// output makes the result of what kustomize made.
func (g *graph) output(root *kustomization, made resmap.ResMap, spec Spec, decrypter Decrypter) (Result, error) {
	if made.Size() > g.tree.max.objects {
		return Result{}, fmt.Errorf("%s: the build makes %d objects, more than the limit of %d: build smaller paths", root.place(), made.Size(), g.tree.max.objects)
	}
	variables, err := newSubstituter(spec.Substitute, g.tree.max)
	if err != nil {
		return Result{}, err
	}
	var result Result
	hash := sha256.New()
	substituted := false
	for i, res := range made.Resources() {
		p, err := productOf(res)
		if err != nil {
			return Result{}, g.explain(root, spec, fmt.Errorf("%s: %w", nameOf(res), err))
		}
		if err := decryptObject(p, decrypter); err != nil {
			return Result{}, err
		}
		changed, err := variables.substitute(p)
		if err != nil {
			return Result{}, err
		}
		substituted = substituted || changed
		text, err := p.text()
		if err != nil {
			return Result{}, g.explain(root, spec, fmt.Errorf("%s: %w", nameOf(res), err))
		}
		if i > 0 {
			hash.Write([]byte("---\n"))
		}
		hash.Write(text)
		if result.Objects, err = p.appendTo(result.Objects); err != nil {
			return Result{}, g.explain(root, spec, fmt.Errorf("%s: %w", nameOf(res), err))
		}
	}
	result.Digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	if substituted {
		if err := checkTwice(result.Objects); err != nil {
			return Result{}, err
		}
	}
	return result, finish(result.Objects, spec)
}

// finish checks the objects, and sets what the spec wants in all of them.
func finish(objects []*unstructured.Unstructured, spec Spec) error {
	for _, obj := range objects {
		if isEncryptedSecret(obj) {
			return fmt.Errorf("%s %w", manifest.IDOf(obj), ErrEncrypted)
		}
		setMetadata(obj, "labels", spec.CommonMetadata.Labels)
		setMetadata(obj, "annotations", spec.CommonMetadata.Annotations)
		setMetadata(obj, "labels", spec.OwnerLabels)
	}
	return nil
}

// checkTwice refuses objects that have become the same by their variables. Kustomize looked before.
func checkTwice(objects []*unstructured.Unstructured) error {
	seen := make(map[string]bool, len(objects))
	for _, obj := range objects {
		id := manifest.IDOf(obj)
		key := obj.GetAPIVersion() + " " + id.String()
		if seen[key] {
			return fmt.Errorf("post build failed for '%s': with its variables replaced, %s is defined twice: rename one", id.Name, id)
		}
		seen[key] = true
	}
	return nil
}

// nameOf names an object for an error.
func nameOf(res *resource.Resource) string {
	return res.GetKind() + " " + strings.TrimPrefix(res.GetNamespace()+"/"+res.GetName(), "/")
}

// product is what kustomize made, on its way to an object.
type product struct {
	name   string
	json   []byte
	values map[string]any // in the JSON
	yaml   []byte         // nil until somebody asks
}

func productOf(res *resource.Resource) (*product, error) {
	content, err := res.MarshalJSON()
	if err != nil {
		return nil, err
	}
	p := &product{name: res.GetName()}
	return p, p.set(content)
}

// set replaces the content.
func (p *product) set(content []byte) error {
	values := map[string]any{}
	if err := json.Unmarshal(content, &values); err != nil {
		return err
	}
	p.json, p.values, p.yaml = content, values, nil
	return nil
}

// text returns the YAML of which Flux takes the digest: what yaml.JSONToYAML makes of the JSON. That
// parses it once more, to tell numbers apart that are the same to us but for very large ones.
func (p *product) text() (text []byte, err error) {
	if p.yaml != nil {
		return p.yaml, nil
	}
	if hasLargeNumber(p.json) {
		p.yaml, err = yaml.JSONToYAML(p.json)
	} else {
		p.yaml, err = goyaml.Marshal(p.values)
	}
	return p.yaml, err
}

// hasLargeNumber says whether there is a number, or anything that looks like one, of so many digits
// that it may not be an int64.
func hasLargeNumber(content []byte) bool {
	const digits = 19
	run := 0
	for _, c := range content {
		if run++; c < '0' || c > '9' {
			run = 0
		}
		if run == digits {
			return true
		}
	}
	return false
}

func (p *product) kind() string                 { return p.field("kind") }
func (p *product) label(key string) string      { return p.field("metadata", "labels", key) }
func (p *product) annotation(key string) string { return p.field("metadata", "annotations", key) }

// field returns a field that is a string, "" for all else.
func (p *product) field(path ...string) string {
	value, _, err := unstructured.NestedString(p.values, path...)
	if err != nil {
		return ""
	}
	return value
}

// appendTo appends the object, or the items if it is a list. It leaves out what no API server takes:
// kustomizations of kustomize, and what has no kind of object.
func (p *product) appendTo(to []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{Object: p.values}
	if obj.GroupVersionKind().Kind == "" {
		return to, nil
	}
	if !obj.IsList() {
		return appendObject(to, obj), nil
	}
	err := obj.EachListItem(func(item runtime.Object) error {
		if item, ok := item.(*unstructured.Unstructured); ok {
			to = appendObject(to, item)
		}
		return nil
	})
	return to, err
}

func appendObject(to []*unstructured.Unstructured, obj *unstructured.Unstructured) []*unstructured.Unstructured {
	if gvk := obj.GroupVersionKind(); gvk.Kind == "" || gvk.Version == "" || gvk.Group == "kustomize.config.k8s.io" {
		return to
	}
	return append(to, obj)
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
