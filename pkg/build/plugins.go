package build

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// followPlugin checks an entry of generators, transformers or validators. It is the configuration
// of a plugin that comes with kustomize, or leads to such configurations, and those name files in
// their turn.
func (g *graph) followPlugin(from *kustomization, entry string, trail []*kustomization) (problem string, err error) {
	if configs, err := objects([]byte(entry)); err == nil {
		return "", checkPlugins(from.file, configs)
	}
	if problem := misplaced(from.dir, entry); problem != "" {
		return problem, nil
	}
	name := path.Join(from.dir, entry)
	kind := g.tree.kind(name)
	if kind == missing {
		return "does not exist", nil
	}
	if g.plugins[name] {
		return "", nil
	}
	g.plugins[name] = true
	if kind == directory {
		return g.enterPlugins(name, trail)
	}
	content, err := g.tree.readFile(name)
	if err != nil {
		return "", err
	}
	if err := checkYAML(name, content); err != nil {
		return "", err
	}
	configs, err := objects(content)
	if err != nil { // which explainFile finds as well
		return "", explainFile(name, content)
	}
	return "", checkPlugins(name, configs)
}

// enterPlugins checks a directory of plugin configurations. A kustomization that alters them could
// put any path into them, so there it may do no more than list them.
func (g *graph) enterPlugins(dir string, trail []*kustomization) (problem string, err error) {
	if problem, err := g.enter(dir, toResource, trail); problem != "" || err != nil {
		return problem, err
	}
	k := g.known[dir]
	lists := types.Kustomization{TypeMeta: k.TypeMeta, MetaData: k.MetaData, Resources: k.Resources, Bases: k.Bases}
	if !equal(lists, k.Kustomization) {
		return "changes configurations of plugins: its kustomization file may only have resources", nil
	}
	for _, entry := range slices.Concat(k.Resources, k.Bases) {
		if problem, err := g.followPlugin(k, entry, append(trail, k)); err != nil {
			return "", err
		} else if problem != "" {
			return "", fmt.Errorf("%s: %q %s", k.file, entry, problem)
		}
	}
	return "", nil
}

func equal(a, b types.Kustomization) bool {
	x, errX := yaml.Marshal(a)
	y, errY := yaml.Marshal(b)
	return errors.Join(errX, errY) == nil && string(x) == string(y)
}

// objects reads documents as kustomize does.
func objects(content []byte) ([]*resource.Resource, error) {
	if err := checkYAML("", content); err != nil {
		return nil, err
	}
	return provider.NewDefaultDepProvider().GetResourceFactory().SliceFromBytes(content)
}

// pathFields are the fields of kustomize's plugins that name files. Their case does not matter.
var pathFields = []string{"path", "paths", "file", "files", "env", "envs", "targetfilepath", "valuesfile", "additionalvaluesfiles"}

// checkPlugins refuses configurations that name files elsewhere.
func checkPlugins(name string, configs []*resource.Resource) error {
	for _, config := range configs {
		content, err := config.AsYAML()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(content, &values); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		where := fmt.Sprintf("%s: %s %q", name, config.GetKind(), config.GetName())
		switch {
		case config.GetApiVersion() != konfig.BuiltinPluginApiVersion:
			return fmt.Errorf("%s is not a plugin that comes with kustomize: no others run in a build", where)
		case config.GetKind() == "HelmChartInflationGenerator":
			return fmt.Errorf("%s: %s", where, noHelm)
		}
		if err := checkValues(where, values, false); err != nil {
			return err
		}
	}
	return nil
}

// checkValues refuses remote paths, and patches that kustomize does not survive.
func checkValues(where string, value any, isPath bool) error {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if err := checkValues(where, value[name], slices.Contains(pathFields, strings.ToLower(name))); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range value {
			if err := checkValues(where, value, isPath); err != nil {
				return err
			}
		}
	case string:
		if isPath && isRemote(fileOfSource(value)) {
			return fmt.Errorf("%s names %q, which is remote: put a copy into the source", where, value)
		}
		return checkText(where, value)
	}
	return nil
}
