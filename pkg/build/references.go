package build

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// reference is a place in a kustomization that names something else in the tree.
type reference struct {
	at    field
	value string
	want  target
}

// target is what a reference may lead to.
type target int

const (
	toFile      target = iota
	toResource         // a file of objects, or another kustomization
	toComponent        // a directory with a kustomization of that kind
	toPlugin           // a manifest of plugin configurations, or these themselves
	toPatch            // a file, or its content itself
	toSchema           // an OpenAPI schema
	toTypes            // the schemas of custom types
)

// field is the place of a value in a YAML document: names of fields and numbers of items.
type field []any

// String returns the form that users know, as in patches[0].path.
func (f field) String() string {
	var b strings.Builder
	for i, step := range f {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, step)
		}
	}
	return b.String()
}

// references returns all places in which a kustomization names something that kustomize then reads.
func references(k *types.Kustomization) []reference {
	refs := &collector{}
	refs.list("resources", k.Resources, toResource)
	refs.list("bases", k.Bases, toResource)
	refs.list("components", k.Components, toComponent)
	refs.list("generators", k.Generators, toPlugin)
	refs.list("transformers", k.Transformers, toPlugin)
	refs.list("validators", k.Validators, toPlugin)
	refs.list("configurations", k.Configurations, toFile)
	refs.list("crds", k.Crds, toTypes)
	if name, ok := k.OpenAPI["path"]; ok {
		refs.add(toSchema, name, "openapi", "path")
	}
	for i, p := range k.PatchesStrategicMerge {
		refs.add(toPatch, string(p), "patchesStrategicMerge", i)
	}
	refs.patches("patchesJson6902", k.PatchesJson6902)
	refs.patches("patches", k.Patches)
	for i, r := range k.Replacements {
		refs.unlessEmpty(toFile, r.Path, "replacements", i, "path")
	}
	for i := range k.ConfigMapGenerator {
		refs.sources("configMapGenerator", i, k.ConfigMapGenerator[i].KvPairSources)
	}
	for i := range k.SecretGenerator {
		refs.sources("secretGenerator", i, k.SecretGenerator[i].KvPairSources)
	}
	return refs.found
}

type collector struct{ found []reference }

func (c *collector) add(want target, value string, at ...any) {
	c.found = append(c.found, reference{at: at, value: value, want: want})
}

func (c *collector) unlessEmpty(want target, value string, at ...any) {
	if value != "" {
		c.add(want, value, at...)
	}
}

func (c *collector) list(name string, values []string, want target) {
	for i, value := range values {
		c.add(want, value, name, i)
	}
}

func (c *collector) patches(name string, patches []types.Patch) {
	for i, p := range patches {
		c.unlessEmpty(toFile, p.Path, name, i, "path")
	}
}

func (c *collector) sources(name string, i int, from types.KvPairSources) {
	for j, source := range from.FileSources {
		c.add(toFile, fileOfSource(source), name, i, "files", j)
	}
	for j, source := range from.EnvSources {
		c.add(toFile, source, name, i, "envs", j)
	}
	c.unlessEmpty(toFile, from.EnvSource, name, i, "env")
}

// fileOfSource returns the path in a source of a generator, which may have a key in front.
func fileOfSource(source string) string {
	if _, name, ok := strings.Cut(source, "="); ok && !isRemote(source) {
		return name
	}
	return source
}

// inline returns the YAML that is, or may be, written into a kustomization as text.
func inline(k *types.Kustomization) []reference {
	texts := &collector{}
	for i, p := range k.Patches {
		texts.unlessEmpty(toPatch, p.Patch, "patches", i, "patch")
	}
	for i, p := range k.PatchesJson6902 {
		texts.unlessEmpty(toPatch, p.Patch, "patchesJson6902", i, "patch")
	}
	for i, p := range k.PatchesStrategicMerge {
		texts.unlessEmpty(toPatch, string(p), "patchesStrategicMerge", i)
	}
	texts.list("generators", k.Generators, toPlugin)
	texts.list("transformers", k.Transformers, toPlugin)
	texts.list("validators", k.Validators, toPlugin)
	return texts.found
}
