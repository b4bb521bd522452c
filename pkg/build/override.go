package build

import (
	"slices"

	"github.com/fluxcd/pkg/apis/kustomize"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// override returns the content of a kustomization file with what a spec says put in. What the spec
// does not mention stays.
func override(root *kustomization, spec Spec) ([]byte, error) {
	k := root.copy()
	k.FixKustomization()
	if spec.TargetNamespace != "" {
		k.Namespace = spec.TargetNamespace
	}
	if spec.NamePrefix != "" {
		k.NamePrefix = spec.NamePrefix
	}
	if spec.NameSuffix != "" {
		k.NameSuffix = spec.NameSuffix
	}
	for _, p := range spec.Patches {
		k.Patches = append(k.Patches, types.Patch{Patch: p.Patch, Target: selector(p.Target)})
	}
	for _, image := range spec.Images {
		k.Images = mergeImage(k.Images, image)
	}
	k.Components = append(k.Components, spec.Components...)
	if len(spec.BuildMetadata) > 0 {
		k.BuildMetadata = spec.BuildMetadata
	}
	content, err := yaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	var left types.Kustomization
	if err := left.Unmarshal(content); err != nil {
		return nil, err
	}
	if left.CheckEmpty() != nil { // which kustomize refuses, and which has no object to be in a namespace
		k.Namespace = "default"
		return yaml.Marshal(k)
	}
	return content, nil
}

// mergeImage replaces what change sets of the entry with its name. A tag and a digest exclude each
// other, so setting either replaces both.
func mergeImage(images []types.Image, change kustomize.Image) []types.Image {
	at := slices.IndexFunc(images, func(i types.Image) bool { return i.Name == change.Name })
	if at < 0 {
		at = len(images)
		images = append(images, types.Image{Name: change.Name})
	}
	if change.NewName != "" {
		images[at].NewName = change.NewName
	}
	if change.NewTag != "" || change.Digest != "" {
		images[at].NewTag, images[at].Digest = change.NewTag, change.Digest
	}
	return images
}

func selector(s *kustomize.Selector) *types.Selector {
	if s == nil {
		return nil
	}
	return &types.Selector{
		ResId: resid.ResId{
			Gvk:       resid.Gvk{Group: s.Group, Version: s.Version, Kind: s.Kind},
			Name:      s.Name,
			Namespace: s.Namespace,
		},
		AnnotationSelector: s.AnnotationSelector,
		LabelSelector:      s.LabelSelector,
	}
}
