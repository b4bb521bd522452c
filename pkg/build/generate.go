package build

import (
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// generate makes the kustomization of a directory that has none. Its resources are the YAML files
// in and below the directory, and the directories below that have a kustomization file: what those
// leave out is left out.
func generate(t *tree, dir string) (types.Kustomization, error) {
	k := types.Kustomization{TypeMeta: types.TypeMeta{
		APIVersion: types.KustomizationVersion,
		Kind:       types.KustomizationKind,
	}}
	var err error
	k.Resources, err = manifests(t, dir, ".")
	return k, err
}

// manifests lists what there is to build in a directory of which it is known that it has no
// kustomization file. sub is its path from the directory that is built.
func manifests(t *tree, dir, sub string) ([]string, error) {
	entries, err := t.readDir(path.Join(dir, sub))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		name := path.Join(sub, entry.Name())
		switch {
		case entry.IsDir():
			below, err := manifestsBelow(t, dir, name)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		case path.Ext(name) == ".yaml", path.Ext(name) == ".yml":
			found = append(found, "./"+name) // nothing that starts so is taken for an address
		}
	}
	return found, nil
}

func manifestsBelow(t *tree, dir, sub string) ([]string, error) {
	entries, err := t.readDir(path.Join(dir, sub))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() && isKustomizationFile(entry.Name()) {
			return []string{"./" + sub}, nil
		}
	}
	return manifests(t, dir, sub)
}

func isKustomizationFile(name string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), name)
}
