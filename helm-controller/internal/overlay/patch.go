package overlay

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	kustomizeapi "github.com/fluxcd/pkg/apis/kustomize"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // there is no other place to get a single step from
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
)

// A JSON patch that copies a value into itself doubles it each time. The library has a limit for
// that, which only can be set for all that use it.
func init() { jsonpatch.AccumulatedCopySizeLimit = 8 << 20 }

// parseSchema parses the OpenAPI schema of kustomize, which has one in a process. Kustomize
// would parse it when it needs it, but while others read. Nothing here ever changes it.
var parseSchema = sync.OnceFunc(func() { openapi.Schema() })

// step is one post-renderer.
type step struct {
	at      string
	patches []patch
	images  []types.Image
}

// patch is one entry of a post-renderer's patches.
type patch struct {
	at string
	// selector says which objects to patch. Without one, the parts say it themselves.
	selector *types.Selector
	text     string
	parts    []part
}

// part is a strategic merge patch that names its object.
type part struct {
	target target
	text   string
}

// target is an object that a patch needs.
type target struct {
	at    string // where the patch is
	id    resid.ResId
	name  string // as users know it
	found bool
}

// newStep reads what a post-renderer consists of.
func newStep(at string, k *helmv2.Kustomize) (step, error) {
	s := step{at: at}
	for i, p := range k.Patches {
		read, err := newPatch(fmt.Sprintf("%s.patches[%d]", at, i), p)
		if err != nil {
			return step{}, err
		}
		s.patches = append(s.patches, read)
	}
	for _, image := range k.Images {
		s.images = append(s.images, types.Image{Name: image.Name, NewName: image.NewName, NewTag: image.NewTag, Digest: image.Digest})
	}
	return s, nil
}

// newPatch reads a patch: a list of operations, or objects.
func newPatch(at string, of kustomizeapi.Patch) (_ patch, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: the patch cannot be read: %s", at, scrub(fmt.Sprint(r)))
		}
	}()
	p := patch{at: at, selector: selectorOf(of.Target), text: strings.TrimSpace(of.Patch)}
	if p.text == "" {
		return patch{}, fmt.Errorf("%s: the patch is empty", at)
	}
	if p.selector != nil {
		if _, err := types.NewSelectorRegex(p.selector); err != nil {
			return patch{}, fmt.Errorf("%s.target: %w", at, err)
		}
	}
	if operations, ok, err := operationsOf(p.text); ok {
		switch {
		case err != nil:
			return patch{}, fmt.Errorf("%s: the patch cannot be read: %w", at, err)
		case p.selector == nil:
			return patch{}, fmt.Errorf("%s: a list of operations needs a target: set target", at)
		}
		p.text = operations
		return p, nil
	}
	parts, err := partsOf(at, p.text)
	if err != nil {
		return patch{}, err
	}
	if p.selector == nil {
		p.parts = parts
	} else if len(parts) > 1 {
		return patch{}, fmt.Errorf("%s: a patch with a target can be one object only: make %d patches of it", at, len(parts))
	}
	return p, nil
}

// partsOf returns the objects that a strategic merge patch consists of.
func partsOf(at, text string) ([]part, error) {
	parseSchema()
	var parts []part
	for _, doc := range documents(text) {
		objects, err := decode(factory(), doc)
		if err != nil {
			return nil, fmt.Errorf("%s: the patch cannot be read: it is no list of operations, and as an object: %w", at, err)
		}
		for _, obj := range objects {
			text, err := obj.AsYAML()
			if err != nil {
				return nil, fmt.Errorf("%s: the patch cannot be read: it cannot be written as JSON, which has no .nan, .inf, or keys that are not strings", at)
			}
			parts = append(parts, part{target: target{at: at, id: obj.OrgId(), name: nameOf(obj)}, text: string(text)})
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s: the patch is empty", at)
	}
	return parts, nil
}

// operationsOf returns a patch that is a list of operations as JSON, and reports whether it
// is a list. Kustomize would take a list that begins with a bracket for JSON.
func operationsOf(text string) (operations string, list bool, err error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil || data[0] != '[' {
		return "", false, nil
	}
	ops, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return "", true, errors.New("it is a list, but not of operations")
	}
	for i, op := range ops {
		switch op.Kind() {
		case "add", "remove", "replace", "move", "copy", "test":
		default:
			return "", true, fmt.Errorf("operation %d is %q: it can be add, remove, replace, move, copy or test", i, op.Kind())
		}
	}
	return string(data), true, nil
}

// documents splits a patch of several objects.
func documents(text string) []string {
	var docs []string
	for _, doc := range strings.Split("\n"+text, "\n---") {
		line, rest, _ := strings.Cut(doc, "\n") // a comment may follow the separator
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			line = ""
		}
		docs = append(docs, line+"\n"+rest)
	}
	return docs
}

func selectorOf(of *kustomizeapi.Selector) *types.Selector {
	if of == nil {
		return nil
	}
	return &types.Selector{
		ResId: resid.ResId{
			Gvk:  resid.Gvk{Group: of.Group, Version: of.Version, Kind: of.Kind},
			Name: of.Name, Namespace: of.Namespace,
		},
		LabelSelector: of.LabelSelector, AnnotationSelector: of.AnnotationSelector,
	}
}

// nameOf is how users know an object.
func nameOf(obj *resource.Resource) string {
	if ns := obj.GetNamespace(); ns != "" {
		return obj.GetKind() + "/" + ns + "/" + obj.GetName()
	}
	return obj.GetKind() + "/" + obj.GetName()
}

// apply has kustomize do one step. The parts of patches whose object is not there are left
// out: it may be a hook, or none.
func (o *Overlay) apply(s step, objects []*resource.Resource) ([]*resource.Resource, error) {
	parseSchema()
	all := resmap.New()
	var input strings.Builder
	for _, obj := range objects {
		if err := all.Append(obj); err != nil {
			return nil, fmt.Errorf("%s: %s %s is there twice: keep one, or rename one", s.at, obj.GetKind(), obj.GetName())
		}
		text, err := obj.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("%s: %s cannot be written as JSON, which has no .nan, .inf, or keys that are not strings", s.at, nameOf(obj))
		}
		input.WriteString("---\n")
		input.Write(text)
	}
	work := types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{"objects.yaml"}, Patches: o.present(s, all), Images: s.images,
	}
	if len(objects) == 0 || len(work.Patches) == 0 && len(work.Images) == 0 {
		return objects, nil
	}
	made, err := kustomize(work, input.String())
	if err != nil {
		return nil, explain(s, objects, err)
	}
	return made.Resources(), nil
}

// present returns the patches of a step that have what to patch among objects, and notes
// which targets were found.
func (o *Overlay) present(s step, objects resmap.ResMap) []types.Patch {
	var out []types.Patch
	for _, p := range s.patches {
		if p.parts == nil {
			out = append(out, types.Patch{Patch: p.text, Target: p.selector})
		}
		for i, part := range p.parts {
			key := fmt.Sprintf("%s/%d", p.at, i)
			if o.missing[key] == nil {
				t := part.target
				o.missing[key] = &t
			}
			if len(objects.GetMatchingResourcesByAnyId(part.target.id.Equals)) > 0 {
				o.missing[key].found = true
				out = append(out, types.Patch{Patch: part.text})
			}
		}
	}
	return out
}

// kustomize makes a kustomization of objects, in memory.
func kustomize(k types.Kustomization, objects string) (resmap.ResMap, error) {
	files := filesys.MakeFsInMemory()
	config, err := yaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := files.WriteFile("kustomization.yaml", config); err != nil {
		return nil, err
	}
	if err := files.WriteFile("objects.yaml", []byte(objects)); err != nil {
		return nil, err
	}
	return krusty.MakeKustomizer(&krusty.Options{
		LoadRestrictions: types.LoadRestrictionsRootOnly, PluginConfig: types.DisabledPluginConfig(),
	}).Run(files, ".")
}

// explain finds out which patch fails for which object. It patches again one by one, which
// only what has failed pays for.
func explain(s step, objects []*resource.Resource, failed error) error {
	helpers := resmap.NewPluginHelpers(nil, nil, resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory()), nil)
	for _, p := range s.patches {
		texts := []string{p.text}
		if p.parts != nil {
			texts = nil
			for _, part := range p.parts {
				texts = append(texts, part.text)
			}
		}
		for _, text := range texts {
			var err error
			if objects, err = try(helpers, text, p.selector, objects); err != nil {
				return fmt.Errorf("%s: %w", p.at, err)
			}
		}
	}
	return fmt.Errorf("%s: %s", s.at, scrub(failed.Error()))
}

// try patches objects one by one, and says what fails.
func try(helpers *resmap.PluginHelpers, text string, selector *types.Selector, objects []*resource.Resource) ([]*resource.Resource, error) {
	config, err := yaml.Marshal(types.Patch{Patch: text, Target: selector})
	if err != nil {
		return nil, errors.New("the patch cannot be read")
	}
	var out []*resource.Resource
	for _, obj := range objects {
		plugin := &builtins.PatchTransformerPlugin{}
		if err := plugin.Config(helpers, config); err != nil {
			return nil, errors.New("the patch cannot be read: it is neither an object with kind and metadata.name, nor a list of operations")
		}
		one := resmap.New()
		if err := one.Append(obj.DeepCopy()); err != nil {
			return nil, err
		}
		if selector == nil {
			patches, err := helpers.ResmapFactory().RF().SliceFromBytes([]byte(text))
			if err != nil || len(patches) != 1 || len(one.GetMatchingResourcesByAnyId(patches[0].OrgId().Equals)) == 0 {
				out = append(out, obj)
				continue
			}
		}
		if err := plugin.Transform(one); err != nil {
			if obj.GetKind() == "Secret" {
				return nil, fmt.Errorf("%s: the patch does not apply", nameOf(obj)) // why may hold its values
			}
			return nil, fmt.Errorf("%s: the patch does not apply: %s", nameOf(obj), scrub(err.Error()))
		}
		out = append(out, one.Resources()...)
	}
	return out, nil
}
