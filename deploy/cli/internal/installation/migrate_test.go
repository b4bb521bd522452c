package installation

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/testplane"
)

// gadgets is a definition of a group of the test's own, with versions of which the last is
// that of storage.
func gadgets(p *testplane.Plane, versions ...string) *apiextensionsv1.CustomResourceDefinition {
	group, keep := p.Namespace+".example.com", true
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "gadgets." + group}, Spec: apiextensionsv1.CustomResourceDefinitionSpec{
		Group: group, Scope: apiextensionsv1.NamespaceScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "gadgets", Singular: "gadget", Kind: "Gadget", ListKind: "GadgetList"},
	}}
	for i, name := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: name, Served: true, Storage: i == len(versions)-1,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &keep}},
		})
	}
	return crd
}

func gadget(p *testplane.Plane, version string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(schema.GroupVersionKind{Group: p.Namespace + ".example.com", Version: version, Kind: "Gadget"})
	obj.SetNamespace(p.Namespace)
	obj.SetName("one")
	return obj
}

// TestMigration: a definition lets go of a version once its objects have been migrated, and
// not before; what had been set in that version can be applied afterwards.
func TestMigration(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	crd := gadgets(p, "v1beta1")
	if err := p.Client.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Client.Delete(context.WithoutCancel(t.Context()), crd); err != nil {
			t.Error(err)
		}
	})
	old := gadget(p, "v1beta1")
	old.Object["size"] = "3"
	apply := client.ApplyConfigurationFromUnstructured(old)
	p.Eventually("the kind", func() bool {
		return p.Client.Apply(t.Context(), apply, client.FieldOwner("test"), client.ForceOwnership) == nil
	})

	change := func(versions ...string) error {
		p.Get(crd)
		crd.Spec.Versions = gadgets(p, versions...).Spec.Versions
		return p.Client.Update(t.Context(), crd)
	}
	if err := change("v1beta1", "v1"); err != nil {
		t.Fatal(err)
	}
	one := gadget(p, "v1")
	p.Eventually("the new version", func() bool { return p.Client.Get(t.Context(), client.ObjectKeyFromObject(one), one) == nil })
	if err := change("v1"); err == nil {
		t.Fatal("a definition without the old version is taken, although there are objects in it")
	}
	p.Get(crd)

	var told []string
	run := func(dry bool) int {
		n, err := (Migration{Client: p.Client, DryRun: dry, Tell: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }}).
			Run(t.Context(), []*apiextensionsv1.CustomResourceDefinition{crd})
		if err != nil {
			t.Fatal(err)
		}
		p.Get(crd)
		return n
	}
	if n := run(true); n != 1 || len(crd.Status.StoredVersions) != 2 {
		t.Errorf("a dry run changes %d definitions, with objects in %q", n, crd.Status.StoredVersions)
	}
	if n := run(false); n != 1 || !cmp.Equal(crd.Status.StoredVersions, []string{"v1"}) {
		t.Errorf("it changes %d definitions, with objects in %q", n, crd.Status.StoredVersions)
	}
	want := []string{"Gadget/" + p.Namespace + "/one migrated to version v1", crd.Name + " migrated to storage version v1"}
	want = append([]string{want[0] + " (dry run)", want[1] + " (dry run)"}, want...)
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if n := run(false); n != 0 {
		t.Errorf("the second time, it changes %d definitions", n)
	}
	if err := change("v1"); err != nil {
		t.Errorf("the definition without the old version: %v", err)
	}
	p.Get(one)
	if fields := one.GetManagedFields(); len(fields) != 1 || !strings.HasSuffix(fields[0].APIVersion, "/v1") || one.Object["size"] != "3" {
		t.Errorf("the object has fields of %v, and the size %v", fields, one.Object["size"])
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	const name = "kustomizations.kustomize.toolkit.fluxcd.io"
	stored := func(in ...string) State {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
		crd.Status.StoredVersions = in
		for i, v := range in {
			crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: v, Storage: i == len(in)-1})
		}
		return State{Server: "v1.33.0", Definitions: map[string]*apiextensionsv1.CustomResourceDefinition{name: crd}}
	}
	tests := map[string]struct {
		in   State
		want []string
	}{
		"nothing":          {in: State{Server: "v1.33.0"}},
		"as weir has it":   {in: stored("v1")},
		"an older version": {in: stored("v1beta2", "v1"), want: []string{"notable: " + name + ": objects may be stored as v1beta2, v1, and weir has only v1"}},
		"only an older":    {in: stored("v1beta1", "v1beta2"), want: []string{"bad: " + name + ": objects are stored as v1beta2, which weir does not have"}},
	}
	for why, tc := range tests {
		found := brief(t, tc.in.Prerequisites())[2:]
		if len(tc.want)+len(found) > 0 && !cmp.Equal(tc.want, found) {
			t.Errorf("%s: %q, want %q", why, found, tc.want)
		}
		if mendable, _, err := tc.in.Outdated(); err != nil || (len(mendable) == 1) != (why == "an older version") {
			t.Errorf("%s: %d are to be migrated (%v)", why, len(mendable), err)
		}
	}
}
