package install

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/crds"
	"weir.dev/pkg/manifest"
)

// bases are kustomize bases: one for each controller, and those of what they share. Each
// lists its files in kustomization.yaml.
//
//go:embed bases
var bases embed.FS

// Bases of what controllers share.
const (
	commonBase   = "common"
	policiesBase = "network-policies"
	lockdownBase = "lockdown"
	identityBase = "workload-identity"
	besideBase   = "beside-" // begins those of what goes on to run beside
)

// base returns the objects of a base as they are written, but for the label of the component.
func base(name string) ([]*unstructured.Unstructured, error) {
	dir := path.Join("bases", name)
	files, err := bases.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading base %s: %w", name, err)
	}
	var objs []*unstructured.Unstructured
	for _, f := range files {
		if f.Name() == "kustomization.yaml" {
			continue
		}
		data, err := bases.ReadFile(path.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		read, err := manifest.Read(data)
		if err != nil {
			return nil, fmt.Errorf("base %s: %s: %w", name, f.Name(), err)
		}
		objs = append(objs, read...)
	}
	for _, obj := range objs {
		label(obj, LabelComponent, strings.TrimPrefix(name, besideBase))
	}
	return objs, nil
}

// Definitions returns the CRDs of components as they are written, but for the label of the
// component.
func Definitions(components []string) ([]*unstructured.Unstructured, error) {
	files, err := crds.FS.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var objs []*unstructured.Unstructured
	for _, f := range files {
		group, _, _ := strings.Cut(f.Name(), "_")
		owner := slices.IndexFunc(components, func(c string) bool { return groups[c] == group })
		if owner < 0 {
			continue
		}
		data, err := crds.FS.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		read, err := manifest.Read(data)
		if err != nil {
			return nil, fmt.Errorf("definition %s: %w", f.Name(), err)
		}
		for _, obj := range read {
			label(obj, LabelComponent, components[owner])
		}
		objs = append(objs, read...)
	}
	return objs, nil
}
