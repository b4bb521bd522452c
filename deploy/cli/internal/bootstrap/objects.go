package bootstrap

import (
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/install"
	"weir.dev/pkg/build"
)

// objectsOf builds the folder of the installation, patches of the user included, as the
// Kustomization which is part of it will: with its labels, so that it finds nothing to
// change. It refuses what would not keep the cluster as it is.
func objectsOf(o Options, f *files) ([]*unstructured.Unstructured, error) {
	objs, err := built(o, f, o.Folder())
	if err != nil {
		return nil, err
	}
	if missing := missingFrom(o, objs); missing != "" {
		return nil, refuse(NotListed, "%s leaves out %s, so that the cluster would lose it",
			path.Join(o.Folder(), kustomizationFile), missing).
			next("have its resources list %s and %s", componentsFile, syncFile)
	}
	return objs, nil
}

// built builds a folder as the Kustomization of the installation will.
func built(o Options, f *files, folder string) ([]*unstructured.Unstructured, error) {
	made, err := build.Run(f, build.Spec{
		Path: folder,
		OwnerLabels: map[string]string{
			kustomizev1.LabelName: o.Install.Namespace, kustomizev1.LabelNamespace: o.Install.Namespace,
		},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("building %q: %w", folder, err)
	}
	return made.Objects, nil
}

// missingFrom returns the first object without which no cluster runs from Git; "" if all
// are there.
func missingFrom(o Options, objs []*unstructured.Unstructured) string {
	for _, want := range []struct{ kind, name string }{
		{"Deployment", install.SourceController}, {"Deployment", install.KustomizeController},
		{sourcev1.GitRepositoryKind, o.Install.Namespace}, {kustomizev1.KustomizationKind, o.Install.Namespace},
	} {
		if find(objs, want.kind, want.name) == nil {
			return fmt.Sprintf("%s/%s/%s", want.kind, o.Install.Namespace, want.name)
		}
	}
	return ""
}

// find returns an object by kind and name; nil if there is none.
func find(objs []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	i := slices.IndexFunc(objs, func(obj *unstructured.Unstructured) bool { return obj.GetKind() == kind && obj.GetName() == name })
	if i < 0 {
		return nil
	}
	return objs[i]
}
