// Package render builds Kustomizations from a folder of this machine, as the controller
// would from an artifact of it, and finds out what the result would change in the cluster.
//
// What SOPS has encrypted stays so: each encrypted value is a mask in the result, and counts
// as what the cluster has.
package render

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/build"
	"weir.dev/pkg/buildspec"
)

// Options say how to build.
type Options struct {
	// Variables are the values of variables, see buildspec.Variables.
	Variables map[string]string
	// Strict makes a variable that is not set an error.
	Strict bool
	// Ignore are patterns, in the format of .gitignore, of what is left out.
	Ignore []string
}

// Build makes the objects of a Kustomization from dir, which is what spec.path of it means
// in the source. Errors name the file and the line.
func Build(ks *kustomizev1.Kustomization, dir string, opts Options) (_ []*unstructured.Unstructured, err error) {
	root, below, err := locate(dir)
	if err != nil {
		return nil, err
	}
	from, err := openFolder(root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.root.Close()) }()
	spec := buildspec.Of(ks)
	spec.Path = below
	spec.Substitute = buildspec.Substitution(ks, opts.Variables, opts.Strict)
	var source build.Source = from
	if len(opts.Ignore) > 0 {
		source = ignore(from, below, opts.Ignore)
	}
	made, err := build.Run(source, spec, concealer{})
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", dir, err)
	}
	return made.Objects, nil
}
