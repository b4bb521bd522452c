package build

import (
	"io/fs"
	"path"

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
	entries, err := t.readDir(dir)
	if err != nil {
		return k, err
	}
	k.Resources, err = resourcesIn(t, dir, ".", entries)
	return k, err
}

// resourcesIn lists what there is to build in a directory without a kustomization file, of which the
// entries are known. sub is its path from the directory that is built.
func resourcesIn(t *tree, dir, sub string, entries []fs.DirEntry) ([]string, error) {
	var found []string
	for _, entry := range entries {
		name := path.Join(sub, entry.Name())
		switch {
		case entry.IsDir():
			below, err := resourcesBelow(t, dir, name)
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

func resourcesBelow(t *tree, dir, sub string) ([]string, error) {
	for _, base := range konfig.RecognizedKustomizationFileNames() {
		name := path.Join(dir, sub, base)
		if k, err := kindOf(t.src, name); err == nil && k == file {
			t.note(name, read{kind: file}) // what else is in the directory does not matter
			return []string{"./" + sub}, nil
		}
	}
	entries, err := t.readDir(path.Join(dir, sub))
	if err != nil {
		return nil, err
	}
	return resourcesIn(t, dir, sub, entries)
}
