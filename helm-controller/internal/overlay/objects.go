package overlay

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	"sigs.k8s.io/kustomize/api/filters/annotations"
	"sigs.k8s.io/kustomize/api/filters/labels"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
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
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b document) int { return strings.Compare(a.source, b.source) })
	var all []*resource.Resource
	sources := make(map[string]string)
	f := factory()
	for _, d := range docs {
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
	n := yaml.NewRNode(&node)
	if err := n.DeAnchor(); err != nil {
		return nil, errors.New("its YAML aliases cannot be replaced by what they stand for")
	}
	if problem := problemOf(n); problem != "" {
		return nil, fmt.Errorf("not a Kubernetes object: %s", problem)
	}
	var objects []*resource.Resource
	var err error
	if strings.HasSuffix(n.GetKind(), "List") {
		objects, err = f.SliceFromBytes([]byte(text))
	} else {
		objects, err = f.ResourcesFromRNodes([]*yaml.RNode{n})
	}
	if err != nil {
		return nil, fmt.Errorf("not a Kubernetes object: %s", scrub(err.Error()))
	}
	return objects, nil
}

// write returns an object as YAML, as kustomize and then Helm write it.
func write(obj *resource.Resource) (string, error) {
	data, err := obj.AsYAML()
	if err != nil {
		return "", errors.New("it has what JSON has not: .nan, .inf, or a key that is not a string")
	}
	nodes, err := kio.FromBytes(data)
	if err != nil {
		return "", errors.New("it cannot be written as YAML")
	}
	var out bytes.Buffer
	if err := (kio.ByteWriter{Writer: &out}).Write(nodes); err != nil {
		return "", errors.New("it cannot be written as YAML")
	}
	if bytes.HasSuffix(out.Bytes(), []byte("\n\n")) {
		// The last value ends in empty lines, and more would become part of it.
		for _, n := range nodes {
			quoteLast(n.YNode())
		}
		out.Reset()
		if err := (kio.ByteWriter{Writer: &out}).Write(nodes); err != nil {
			return "", errors.New("it cannot be written as YAML")
		}
	}
	return out.String(), nil
}

// quoteLast has the last value within a node written in quotes.
func quoteLast(n *yaml.Node) {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	n.Style = yaml.DoubleQuotedStyle
}
