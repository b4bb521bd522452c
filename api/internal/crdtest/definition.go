// Package crdtest judges objects by a generated custom resource definition, as an API
// server does: it defaults, prunes and validates them. It is imported by tests only.
package crdtest

import (
	"context"
	"math"
	"os"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// Definition is a custom resource definition of one version.
type Definition struct {
	// CRD is the definition as it is written.
	CRD *apiextensionsv1.CustomResourceDefinition

	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

// Load reads the definition of one version in a file. The test fails if an API server
// would refuse it, for instance because a rule does not compile or could cost too much.
func Load(t testing.TB, path string) *Definition {
	t.Helper()
	crd := read(t, path)
	if n := len(crd.Spec.Versions); n != 1 {
		t.Fatalf("%q has %d versions, want 1", path, n)
	}
	return define(t, path, crd, 0)
}

// LoadVersion is Load for a version of a definition that has several. Of these, the
// Definition has no other.
func LoadVersion(t testing.TB, path, version string) *Definition {
	t.Helper()
	crd := read(t, path)
	for i, v := range crd.Spec.Versions {
		if v.Name == version {
			return define(t, path, crd, i)
		}
	}
	t.Fatalf("%q has no version %s", path, version)
	return nil
}

func read(t testing.TB, path string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, crd); err != nil {
		t.Fatalf("reading %q: %v", path, err)
	}
	return crd
}

func define(t testing.TB, path string, crd *apiextensionsv1.CustomResourceDefinition, version int) *Definition {
	t.Helper()
	schema := internal(t, crd, version)
	d := &Definition{CRD: crd}
	crd.Spec.Versions = crd.Spec.Versions[version : version+1]
	var err error
	if d.structural, err = structuralschema.NewStructural(schema); err != nil {
		t.Fatalf("schema of %q: %v", path, err)
	}
	if d.schema, _, err = validation.NewSchemaValidator(schema); err != nil {
		t.Fatalf("schema of %q: %v", path, err)
	}
	d.rules = cel.NewValidator(d.structural, true, math.MaxInt64)
	return d
}

// internal returns the schema in the form that the packages of the API server work
// on, after checking the definition as they do.
func internal(t testing.TB, crd *apiextensionsv1.CustomResourceDefinition, version int) *apiextensions.JSONSchemaProps {
	t.Helper()
	crd = crd.DeepCopy()
	apiextensionsv1.SetDefaults_CustomResourceDefinition(crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			crd.Status.StoredVersions = []string{v.Name}
		}
	}
	var in apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, &in, nil); err != nil {
		t.Fatal(err)
	}
	for _, err := range crdvalidation.ValidateCustomResourceDefinition(t.Context(), &in) {
		t.Errorf("definition of %s: %v", crd.Name, err)
	}
	schema, err := apiextensions.GetSchemaForVersion(&in, crd.Spec.Versions[version].Name)
	if err != nil {
		t.Fatal(err)
	}
	return schema.OpenAPIV3Schema
}

// Surface returns the definition without its schema and without the note of which
// generator wrote it.
func (d *Definition) Surface() *apiextensionsv1.CustomResourceDefinition {
	crd := d.CRD.DeepCopy()
	crd.Spec.Versions[0].Schema = nil
	delete(crd.Annotations, "controller-gen.kubebuilder.io/version")
	return crd
}

// Default fills in the defaults of the schema.
func (d *Definition) Default(obj map[string]any) {
	defaulting.Default(obj, d.structural)
}

// Prune removes the fields that the schema does not have, and returns their paths.
func (d *Definition) Prune(obj map[string]any) []string {
	return pruning.PruneWithOptions(obj, d.structural, true, structuralschema.UnknownFieldPathOptions{
		TrackUnknownFieldPaths: true,
	})
}

// Validate returns what is wrong with obj by the schema or, if nothing is, by its rules.
func (d *Definition) Validate(ctx context.Context, obj map[string]any) field.ErrorList {
	if errs := validation.ValidateCustomResource(nil, obj, d.schema); len(errs) > 0 {
		return errs
	}
	errs, _ := d.rules.Validate(ctx, nil, d.structural, obj, nil, math.MaxInt64)
	return errs
}
