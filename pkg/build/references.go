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
	anyFile    target = iota
	manifest          // a file of objects, or another kustomization
	component         // a directory with a kustomization of that kind
	plugin            // a manifest of plugin configurations, or these themselves
	patchFile         // a file, or its content itself
	schemaFile        // an OpenAPI schema
	typesFile         // the schemas of custom types
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
	refs.list("resources", k.Resources, manifest)
	refs.list("bases", k.Bases, manifest)
	refs.list("components", k.Components, component)
	refs.list("generators", k.Generators, plugin)
	refs.list("transformers", k.Transformers, plugin)
	refs.list("validators", k.Validators, plugin)
	refs.list("configurations", k.Configurations, anyFile)
	refs.list("crds", k.Crds, typesFile)
	if name, ok := k.OpenAPI["path"]; ok {
		refs.add(schemaFile, name, "openapi", "path")
	}
	for i, p := range k.PatchesStrategicMerge {
		refs.add(patchFile, string(p), "patchesStrategicMerge", i)
	}
	refs.patches("patchesJson6902", k.PatchesJson6902)
	refs.patches("patches", k.Patches)
	for i, r := range k.Replacements {
		refs.unlessEmpty(anyFile, r.Path, "replacements", i, "path")
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
		c.unlessEmpty(anyFile, p.Path, name, i, "path")
	}
}

func (c *collector) sources(name string, i int, from types.KvPairSources) {
	for j, source := range from.FileSources {
		c.add(anyFile, fileOfSource(source), name, i, "files", j)
	}
	for j, source := range from.EnvSources {
		c.add(anyFile, source, name, i, "envs", j)
	}
	c.unlessEmpty(anyFile, from.EnvSource, name, i, "env")
}

// fileOfSource returns the path in a source of a generator, which may have a key in front.
func fileOfSource(source string) string {
	if _, name, ok := strings.Cut(source, "="); ok {
		return name
	}
	return source
}

// inline returns the YAML that is written into a kustomization as text.
func inline(k *types.Kustomization) map[string]string {
	texts := map[string]string{}
	for i, p := range k.Patches {
		texts[field{"patches", i, "patch"}.String()] = p.Patch
	}
	for i, p := range k.PatchesJson6902 {
		texts[field{"patchesJson6902", i, "patch"}.String()] = p.Patch
	}
	for i, p := range k.PatchesStrategicMerge {
		texts[field{"patchesStrategicMerge", i}.String()] = string(p)
	}
	for name, list := range map[string][]string{
		"generators": k.Generators, "transformers": k.Transformers, "validators": k.Validators,
	} {
		for i, text := range list {
			texts[field{name, i}.String()] = text
		}
	}
	return texts
}
