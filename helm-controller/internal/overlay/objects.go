package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	"sigs.k8s.io/kustomize/api/filters/annotations"
	"sigs.k8s.io/kustomize/api/filters/labels"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	helmv2 "weir.dev/api/helm/v2"
)

// sourceKey is the annotation that tells, while post-renderers run, which template an object
// comes from. Helm 4 does it like this, so that patches may see it.
const sourceKey = "postrenderer.helm.sh/postrender-filename"

// factory makes objects of YAML. It keeps those that kustomize takes for its own.
func factory() *resource.Factory {
	f := provider.NewDefaultDepProvider().GetResourceFactory()
	f.IncludeLocalConfigs = true
	return f
}

// layOver does all there is to do to objects.
func (o *Overlay) layOver(docs []document) (_ []document, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize cannot work on these objects: %s", scrub(fmt.Sprint(r)))
		}
	}()
	objects, err := read(docs)
	if err != nil {
		return nil, err
	}
	for _, s := range o.steps {
		if objects, err = o.apply(s, objects); err != nil {
			return nil, err
		}
	}
	out := make([]document, 0, len(objects))
	for i, obj := range objects {
		source := cmp.Or(obj.GetAnnotations()[sourceKey], fmt.Sprintf("generated-by-postrender-%d.yaml", i))
		d := document{source: source, kind: obj.GetKind(), name: obj.GetName()}
		if err := o.setMetadata(obj); err != nil {
			return nil, fmt.Errorf("%s %s in %s: setting its metadata: %s", d.kind, d.name, source, scrub(err.Error()))
		}
		_, d.hook = obj.GetAnnotations()[release.HookAnnotation]
		if d.text, err = write(obj); err != nil {
			return nil, fmt.Errorf("%s %s in %s: %w", d.kind, d.name, source, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// setMetadata sets what all objects have, and takes off what they have only in between.
func (o *Overlay) setMetadata(obj *resource.Resource) error {
	owner := map[string]string{helmv2.LabelName: o.spec.Owner.Name, helmv2.LabelNamespace: o.spec.Owner.Namespace}
	if m := o.spec.CommonMetadata; m != nil {
		if err := setLabels(obj, m.Labels); err != nil {
			return err
		}
		if err := annotate(obj, m.Annotations); err != nil {
			return err
		}
	}
	if err := setLabels(obj, owner); err != nil {
		return err
	}
	if err := obj.PipeE(yaml.ClearAnnotation(sourceKey)); err != nil {
		return err
	}
	return yaml.ClearEmptyAnnotations(&obj.RNode)
}

func setLabels(obj *resource.Resource, values map[string]string) error {
	_, err := labels.Filter{
		Labels: values, FsSlice: types.FsSlice{{Path: "metadata/labels", CreateIfNotPresent: true}},
	}.Filter([]*yaml.RNode{&obj.RNode})
	return err
}

func annotate(obj *resource.Resource, values map[string]string) error {
	_, err := annotations.Filter{
		Annotations: values, FsSlice: types.FsSlice{{Path: "metadata/annotations", CreateIfNotPresent: true}},
	}.Filter([]*yaml.RNode{&obj.RNode})
	return err
}

// read returns the objects of documents in the order of their templates, each annotated with
// its own.
func read(docs []document) ([]*resource.Resource, error) {
	var all []*resource.Resource
	sources := make(map[string]string)
	f := factory()
	for _, d := range inFiles(docs) {
		objects, err := decode(f, d.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.source, err)
		}
		for _, obj := range objects {
			id := strings.Join([]string{obj.GetApiVersion(), obj.GetKind(), cmp.Or(obj.GetNamespace(), "default"), obj.GetName()}, "/")
			if first, twice := sources[id]; twice {
				return nil, fmt.Errorf("%s: %s %s is already defined in %s: keep one, or rename one", d.source, obj.GetKind(), obj.GetName(), first)
			}
			sources[id] = d.source
			if err := annotate(obj, map[string]string{sourceKey: d.source}); err != nil {
				return nil, fmt.Errorf("%s: %s %s: its annotations cannot be set: %s", d.source, obj.GetKind(), obj.GetName(), scrub(err.Error()))
			}
		}
		all = append(all, objects...)
	}
	return all, nil
}

// decode returns the objects of a document. What kustomize would say of a document that has
// none may repeat it, so that is found out before.
func decode(f *resource.Factory, text string) ([]*resource.Resource, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var node yaml.Node
	if err := yaml.NewDecoder(strings.NewReader(text)).Decode(&node); err != nil {
		if strings.TrimSpace(text) == "" || err.Error() == "EOF" {
			return nil, nil
		}
		return nil, fmt.Errorf("not valid YAML: %s", scrub(err.Error()))
	}
	if yaml.IsYNodeEmptyDoc(&node) || len(node.Content) == 0 {
		return nil, nil
	}
	if err := checkSize(&node); err != nil {
		return nil, err
	}
	keepLast(&node)
	n := yaml.NewRNode(&node)
	if err := n.DeAnchor(); err != nil {
		return nil, errors.New("its YAML aliases cannot be replaced by what they stand for")
	}
	if problem := problemOf(n); problem != "" {
		return nil, fmt.Errorf("not a Kubernetes object: %s", problem)
	}
	objects, err := f.ResourcesFromRNodes([]*yaml.RNode{n})
	if strings.HasSuffix(n.GetKind(), "List") {
		if text, err = n.String(); err == nil {
			objects, err = f.SliceFromBytes([]byte(text))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("not a Kubernetes object: %s", scrub(err.Error()))
	}
	return objects, nil
}

// keepLast removes all but the last of the fields of one name, which is what Helm does. Many
// charts have such, in labels most of all, and kustomize refuses them.
func keepLast(n *yaml.Node) {
	for _, part := range n.Content {
		keepLast(part)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	last := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		last[n.Content[i].Value] = i
	}
	if 2*len(last) == len(n.Content) {
		return
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Kind != yaml.ScalarNode || key.Value == mergeKey || last[key.Value] == i {
			kept = append(kept, key, n.Content[i+1])
		}
	}
	n.Content = kept
}
