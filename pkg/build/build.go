// Package build turns a source tree into Kubernetes objects.
//
// A build reads one directory of the tree and whatever that refers to, never anything outside the
// tree: no network, no other process, no disk. Only a Decrypter may do more. What a build makes
// depends on the Spec, on the keys of the Decrypter and on the paths that it read, and it says which
// those were: while they stay the same, so does the result, and no build is needed. See ReadSet.
//
// Builds run side by side. They share one copy of the OpenAPI schema that kustomize merges by,
// which is parsed once a process. A tree that brings its own schema is built alone.
//
// Errors name the file, relative to the root of the source, the line where that is known, and what
// to do. They do not hold the content of Secrets, nor the values of variables. What to do with the
// objects, and whether a failure is worth a retry, is the caller's to decide: but for ErrDecrypt, the
// same tree gives the same error.
package build

import (
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ErrPath marks that Spec.Path is not a directory of the source. All other errors of Run say that
// what is there cannot be built.
var ErrPath = errors.New("kustomization path not found")

// Spec is what decides a build, apart from the tree.
type Spec struct {
	// Path is the directory to build, from the root of the source; empty is the root. A path that
	// climbs out of the source ends at its root.
	Path string

	// TargetNamespace, NamePrefix and NameSuffix replace those of the kustomization file, unless
	// they are empty.
	TargetNamespace, NamePrefix, NameSuffix string

	// Patches are applied after those of the kustomization file.
	Patches []kustomize.Patch

	// Images are merged by name with those of the kustomization file. An entry replaces what it
	// sets: the name, and tag and digest together.
	Images []kustomize.Image

	// Components are added to those of the kustomization file. They are relative to Path.
	Components []string

	// IgnoreMissingComponents leaves out those Components that are not in the source.
	IgnoreMissingComponents bool

	// BuildMetadata says what kustomize notes on the objects, such as originAnnotations. It
	// replaces the list of the kustomization file, unless it is empty.
	BuildMetadata []string

	// CommonMetadata is set on all objects once they are built. It reaches neither selectors nor
	// the templates of pods.
	CommonMetadata Metadata

	// Substitute replaces variables in the objects. nil means none.
	Substitute *Substitution

	// OwnerLabels are set last.
	OwnerLabels map[string]string
}

// Metadata is what to add to the metadata of an object, in the place of values of the same keys.
type Metadata struct {
	Labels, Annotations map[string]string
}

// Result is what a build made.
type Result struct {
	// Objects are in the order in which the tree lists them.
	Objects []*unstructured.Unstructured

	// Digest is that of the objects as YAML, decrypted and with their variables replaced, before
	// CommonMetadata and OwnerLabels are set. It is what status.history records.
	Digest string

	// Reads are the paths that the result depends on.
	Reads ReadSet
}

// Run builds. A decrypter decrypts what is encrypted in the tree; nil leaves that as it is, but an
// encrypted Secret is an error then. If a build fails, the Reads of the result are still those that
// the failure depends on.
func Run(src Source, spec Spec, decrypter Decrypter) (Result, error) {
	return run(src, spec, decrypter, defaultLimits())
}

func run(src Source, spec Spec, decrypter Decrypter, max limits) (Result, error) {
	t := newTree(src, max)
	result, err := build(t, spec, decrypter)
	if t.err != nil {
		err = t.err // whatever kustomize made of it
	}
	if err != nil {
		result = Result{}
	}
	result.Reads = t.readSet()
	return result, err
}

func build(t *tree, spec Spec, decrypter Decrypter) (_ Result, err error) {
	defer func() {
		if r := recover(); r != nil { // there is code of kustomize in the checks as well
			err = fmt.Errorf("%s: this cannot be built: %s", spec.Path, scrub(fmt.Sprint(r), nil))
		}
	}()
	dir, err := t.locate(spec.Path)
	if err != nil {
		return Result{}, err
	}
	g := newGraph(t)
	root, err := g.root(dir)
	if err != nil {
		return Result{}, err
	}
	if spec.Components, err = g.visitSpec(root, spec); err != nil {
		return Result{}, err
	}
	if err := g.decryptFiles(decrypter); err != nil {
		return Result{}, err
	}
	files, err := g.overlay(root, spec)
	if err != nil {
		return Result{}, err
	}
	made, err := g.kustomize(root, files)
	if err != nil {
		return Result{}, g.explain(root, spec, err)
	}
	return g.output(root, made, spec, decrypter)
}
