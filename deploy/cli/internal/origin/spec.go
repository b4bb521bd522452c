package origin

import (
	"slices"

	"github.com/fluxcd/pkg/apis/kustomize"
	"go.yaml.in/yaml/v3"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/render"
	"weir.dev/pkg/manifest"
)

// SetBy returns the field of the Kustomization that has set a field of an object, after all
// that is in the source; false if none has.
func (b *Built) SetBy(id manifest.ID, field fieldpath.Path) (fieldpath.Path, bool) {
	obj := b.object(id)
	if obj == nil || len(field) == 0 {
		return nil, false
	}
	w := wanted(id, field)
	w.Value, w.Known = manifest.At(obj.Object, field)
	if !w.Known {
		return nil, false
	}
	if p, ok := setByMetadata(b.ks.Spec.CommonMetadata, w); ok {
		return p, true
	}
	if image, ok := w.Value.(string); ok && nameOf(field, len(field)-1) == "image" {
		for i, entry := range b.ks.Spec.Images {
			if key, ok := SetsImage(entry, image); ok {
				return pathTo("spec", "images", i, key), true
			}
		}
	}
	for i, p := range slices.Backward(b.ks.Spec.Patches) {
		inline := patch{content: []byte(p.Patch), target: targetOf(p.Target)}
		if _, ok := findPatch(w, []patch{inline}, func(n *yaml.Node) bool { return w.is(n) || variable(n) }); ok {
			return pathTo("spec", "patches", i, "patch"), true
		}
	}
	return nil, false
}

// setByMetadata returns which of the labels and annotations for all objects a field is.
func setByMetadata(common *kustomizev1.CommonMetadata, w Wanted) (fieldpath.Path, bool) {
	if common == nil || len(w.Path) != 3 || nameOf(w.Path, 0) != "metadata" {
		return nil, false
	}
	kind, key := nameOf(w.Path, 1), nameOf(w.Path, 2)
	all := map[string]map[string]string{"labels": common.Labels, "annotations": common.Annotations}[kind]
	if _, ok := all[key]; !ok {
		return nil, false
	}
	return pathTo("spec", "commonMetadata", kind, key), true
}

// targetOf returns the target of a patch as one of a file is read; nil if there is none.
func targetOf(s *kustomize.Selector) *yaml.Node {
	if s == nil {
		return nil
	}
	scalar := func(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		scalar("group"), scalar(s.Group), scalar("kind"), scalar(s.Kind), scalar("namespace"), scalar(s.Namespace), scalar("name"), scalar(s.Name),
	}}
}

// Variable returns the field of the Kustomization that has the value of a variable, or else
// those that name what may have it.
func (b *Built) Variable(name string) fieldpath.Path {
	if post := b.ks.Spec.PostBuild; post != nil {
		if _, ok := post.Substitute[name]; ok {
			return pathTo("spec", "postBuild", "substitute", name)
		}
	}
	return pathTo("spec", "postBuild", "substituteFrom")
}

// Encrypted reports whether SOPS has encrypted a field in the source, or something in it. What
// the source does not have as it is in the cluster counts as what it is part of.
func (b *Built) Encrypted(id manifest.ID, field fieldpath.Path) bool {
	obj := b.object(id)
	if obj == nil {
		return b.ks.Spec.Decryption != nil // and nobody knows what was made of it
	}
	for n := len(field); n >= 0; n-- {
		if value, ok := manifest.At(obj.Object, field[:n]); ok {
			return render.AnyMask(value)
		}
	}
	return false
}

// Makes reports whether the build makes a field just as it is.
func (b *Built) Makes(id manifest.ID, field fieldpath.Path, value any) bool {
	obj := b.object(id)
	if obj == nil {
		return false
	}
	made, ok := manifest.At(obj.Object, field)
	return ok && same(made, value)
}

// nameOf returns the name of a step of a path, "" if it is the item of a list.
func nameOf(p fieldpath.Path, i int) string { return ptr.Deref(p[i].FieldName, "") }

// pathTo returns a path of names and places in lists.
func pathTo(steps ...any) fieldpath.Path {
	var p fieldpath.Path
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			p = append(p, fieldpath.PathElement{FieldName: &step})
		case int:
			p = append(p, fieldpath.PathElement{Index: &step})
		}
	}
	return p
}
