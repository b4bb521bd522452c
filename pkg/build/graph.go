package build

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// graph is the kustomizations that a build consists of. All of them are read and checked before
// kustomize sees any: what it would fetch from elsewhere, or not survive, does not reach it.
type graph struct {
	tree      *tree
	known     map[string]*kustomization // by directory
	order     []*kustomization          // as they were found
	plugins   map[string]bool           // files and directories that were checked as plugins
	plain     map[string][]byte         // content of the files that were encrypted
	ownSchema bool
}

// kustomization is one kustomization file.
type kustomization struct {
	dir, file string // file is empty if there is none, and one was generated
	content   []byte
	types.Kustomization
}

func newGraph(t *tree) *graph {
	return &graph{tree: t, known: map[string]*kustomization{}, plugins: map[string]bool{}, plain: map[string][]byte{}}
}

// root reads and checks everything that is built with a directory.
func (g *graph) root(dir string) (*kustomization, error) {
	root, err := g.load(dir)
	if errors.Is(err, errNoKustomization) {
		root = &kustomization{dir: dir}
		root.Kustomization, err = generate(g.tree, dir)
	}
	if err != nil {
		return nil, err
	}
	return root, g.visit(root, nil)
}

// overlay returns the files that kustomize sees in the place of those in the tree: what was
// decrypted, all kustomization files, as they were checked, and what the spec makes of that of the
// root.
func (g *graph) overlay(root *kustomization, spec Spec) (map[string][]byte, error) {
	files := maps.Clone(g.plain)
	for _, k := range g.known {
		if k.file != "" {
			files[k.file] = k.content
		}
	}
	name := root.file
	if name == "" {
		name = path.Join(root.dir, konfig.DefaultKustomizationFileName())
	}
	content, err := override(root, spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	files[name] = content
	return files, nil
}

var errNoKustomization = errors.New("no kustomization file")

// load reads the kustomization file of a directory.
func (g *graph) load(dir string) (*kustomization, error) {
	k := &kustomization{dir: dir}
	for _, base := range konfig.RecognizedKustomizationFileNames() {
		name := path.Join(dir, base)
		if g.tree.kind(name) != file {
			continue
		}
		if k.file != "" {
			return nil, fmt.Errorf("%s: there are two kustomization files, %s and %s: keep one", dir, path.Base(k.file), base)
		}
		k.file = name
	}
	if k.file == "" {
		return nil, errNoKustomization
	}
	var err error
	if k.content, err = g.tree.readFile(k.file); err != nil {
		return nil, err
	}
	if err := k.Unmarshal(k.content); err != nil {
		return nil, explainKustomization(k, err)
	}
	return k, k.check()
}

const noHelm = "Helm charts are not rendered in a build: release them with a HelmRelease"

// check refuses what kustomize cannot build, or may not here.
func (k *kustomization) check() error {
	fixed := types.Kustomization{TypeMeta: k.TypeMeta}
	fixed.FixKustomization()
	switch {
	case fixed.Kind != types.KustomizationKind && fixed.Kind != types.ComponentKind:
		return k.errorAt(field{"kind"}, "the kind is %q: it must be %s or %s", k.Kind, types.KustomizationKind, types.ComponentKind)
	case len(fixed.EnforceFields()) > 0:
		return k.errorAt(field{"apiVersion"}, "the apiVersion is %q: for a %s of kustomize it must be %s", k.APIVersion, fixed.Kind,
			map[string]string{types.KustomizationKind: types.KustomizationVersion, types.ComponentKind: types.ComponentVersion}[fixed.Kind])
	case len(k.HelmCharts) > 0:
		return k.errorAt(field{"helmCharts"}, noHelm)
	case len(k.HelmChartInflationGenerator) > 0:
		return k.errorAt(field{"helmChartInflationGenerator"}, noHelm)
	}
	for _, text := range inline(&k.Kustomization) {
		if err := checkText(k.file+": "+text.at.String(), text.value); err != nil {
			return err
		}
	}
	return nil
}

// visit checks what a kustomization refers to. trail leads from the root to it.
func (g *graph) visit(k *kustomization, trail []*kustomization) error {
	if len(trail) >= g.tree.max.depth {
		return fmt.Errorf("%s: more than %d kustomizations refer to one another in a row: flatten them", k.file, g.tree.max.depth)
	}
	g.known[k.dir] = k
	g.order = append(g.order, k)
	if len(k.OpenAPI) > 0 {
		g.ownSchema = true
	}
	for _, ref := range references(&k.Kustomization) {
		if problem, err := g.follow(k, ref, append(trail, k)); err != nil {
			return err
		} else if problem != "" {
			return k.errorAt(ref.at, "%s %q %s", ref.at, ref.value, problem)
		}
	}
	return nil
}

// visitSpec checks what a spec refers to. It returns the components to build.
func (g *graph) visitSpec(root *kustomization, spec Spec) (components []string, err error) {
	for i, p := range spec.Patches {
		if err := checkText(field{"spec", "patches", i}.String(), p.Patch); err != nil {
			return nil, err
		}
	}
	for i, name := range spec.Components {
		if spec.IgnoreMissingComponents && misplaced(root.dir, name) == "" && g.tree.kind(path.Join(root.dir, name)) == missing {
			continue
		}
		ref := reference{at: field{"spec", "components", i}, value: name, want: toComponent}
		if problem, err := g.follow(root, ref, []*kustomization{root}); err != nil {
			return nil, err
		} else if problem != "" {
			return nil, fmt.Errorf("%s %q %s", ref.at, name, problem)
		}
		components = append(components, name)
	}
	return components, nil
}

// follow checks what a reference of the last kustomization of a trail leads to. It returns what is
// wrong with the reference, or an error of what it leads to.
func (g *graph) follow(from *kustomization, ref reference, trail []*kustomization) (problem string, err error) {
	if ref.want == toPlugin {
		return g.followPlugin(from, ref.value, trail)
	}
	if ref.want == toPatch && strings.Contains(ref.value, "\n") {
		return "", nil // the patch itself
	}
	if problem := misplaced(from.dir, ref.value); problem != "" {
		return problem, nil
	}
	name := path.Join(from.dir, ref.value)
	switch kind := g.tree.kind(name); {
	case kind == missing && ref.want == toPatch:
		return "", nil // if it is no patch either, kustomize says so
	case kind == missing:
		return "does not exist", nil
	case kind == directory && (ref.want == toResource || ref.want == toComponent):
		return g.enter(name, ref.want, trail)
	case kind == directory:
		return "is a directory: name a file", nil
	case ref.want == toComponent:
		return "is a file: name the directory of the component", nil
	}
	return "", g.checkFile(name, ref.want)
}

// checkFile refuses schemas that kustomize does not survive.
func (g *graph) checkFile(name string, want target) error {
	check := checkSchema
	switch want {
	case toTypes:
		check = checkDefinitions
	case toSchema:
	default:
		return nil
	}
	content, err := g.tree.readFile(name)
	if err != nil {
		return err
	}
	if err := check(content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// enter checks a directory that a kustomization builds upon.
func (g *graph) enter(dir string, want target, trail []*kustomization) (problem string, err error) {
	for i, k := range trail {
		if within(k.dir, dir) {
			return "makes a cycle: " + describe(trail[i:], dir), nil
		}
	}
	k := g.known[dir]
	if k == nil {
		k, err = g.load(dir)
		if errors.Is(err, errNoKustomization) {
			return "is a directory without a kustomization file: add one, or list its files", nil
		}
		if err == nil {
			err = g.visit(k, trail)
		}
		if err != nil {
			return "", err
		}
	}
	isComponent := k.Kind == types.ComponentKind
	switch {
	case k.isEmpty():
		return "is an empty kustomization: list its resources, or remove the entry", nil
	case isComponent && want != toComponent:
		return "is a Component: move it to components", nil
	case !isComponent && want == toComponent:
		return "is not a Component: move it to resources", nil
	}
	return "", nil
}

// copy returns a kustomization that can be changed.
func (k *kustomization) copy() types.Kustomization {
	if k.file == "" {
		return types.Kustomization{TypeMeta: k.TypeMeta, Resources: slices.Clone(k.Resources)}
	}
	var c types.Kustomization
	if err := c.Unmarshal(k.content); err != nil {
		return types.Kustomization{} // it was decoded before
	}
	return c
}

// isEmpty says whether kustomize refuses a kustomization because it does nothing.
func (k *kustomization) isEmpty() bool {
	fixed := k.copy()
	fixed.FixKustomization()
	return fixed.CheckEmpty() != nil
}

// within says whether a directory is another one, or below it.
func within(dir, other string) bool {
	return dir == other || other == "." || strings.HasPrefix(dir, other+"/")
}

// describe writes down a cycle.
func describe(trail []*kustomization, end string) string {
	var b strings.Builder
	for _, k := range trail {
		b.WriteString(k.dir + " -> ")
	}
	return b.String() + end
}
