package kustomization_test

import (
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// gadgetCRD is the definition of a kind whose objects have a default. GROUP is its group.
const gadgetCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.GROUP}
spec:
  group: GROUP
  names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {
      size: {type: integer}, colour: {type: string, default: grey}}}}}}
`

const gadgetYAML = "apiVersion: GROUP/v1\nkind: Gadget\nmetadata: {name: g, namespace: NS}\nspec: {size: 3}\n"

// TestDefinitionIsDeletedWithItsObjects: it takes all objects of its kind with it. All
// come back, whoever brings the definition.
func TestDefinitionIsDeletedWithItsObjects(t *testing.T) {
	t.Parallel()
	soon := func(s *kustomizev1.KustomizationSpec) { s.RetryInterval = &metav1.Duration{Duration: time.Second} }
	tests := map[string]struct {
		why     string
		byHand  bool // the definition is not of a Kustomization
		another bool // it is of another than the objects
	}{
		"of the same Kustomization": {why: "one run brings both back"},
		"of another Kustomization":  {why: "it may come after the objects are missed", another: true},
		"of nobody":                 {why: "somebody brings it back later", byHand: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			group := w.Namespace + ".example.com"
			fill := strings.NewReplacer("GROUP", group)
			crd := &apiextensionsv1.CustomResourceDefinition{}
			if err := yaml.Unmarshal([]byte(fill.Replace(gadgetCRD)), crd); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { w.removeCRD(crd.Name) })
			tree := map[string]string{"objects/g.yaml": fill.Replace(gadgetYAML), "objects/a.yaml": configMapYAML("a", "k", "1")}
			switch {
			case tc.byHand:
				w.define(crd.DeepCopy())
			case tc.another:
				tree["definitions/crd.yaml"] = fill.Replace(gadgetCRD)
			default:
				tree["objects/crd.yaml"] = fill.Replace(gadgetCRD)
			}
			rev := w.publish(tree)
			if tc.another {
				w.waitApplied(w.kustomization("definitions", "definitions", soon), rev)
			}
			ks := w.kustomization("objects", "objects", soon)
			w.waitApplied(ks, rev)
			gadget := gadget(group, w.Namespace)
			w.Get(gadget)
			first := gadget.GetUID()
			w.settle()

			if err := w.Client.Delete(t.Context(), crd.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			if tc.byHand {
				w.WaitGone(crd.DeepCopy())
				w.define(crd.DeepCopy())
			}
			w.Eventually("the object is back", func() bool {
				err := w.Client.Get(t.Context(), client.ObjectKeyFromObject(gadget), gadget)
				return err == nil && gadget.GetUID() != first // that its kind is unknown is part of it
			})
			if size, _, _ := unstructured.NestedInt64(gadget.Object, "spec", "size"); size != 3 {
				t.Errorf("the object is %v; want the size of the source (%s)", gadget.Object, tc.why)
			}
			w.waitApplied(ks, rev)
			w.settle()
			w.waitApplied(ks, rev) // and it stays so
		})
	}
}

func gadget(group, space string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Gadget"})
	u.SetNamespace(space)
	u.SetName("g")
	return u
}

// define makes a definition, and waits until its kind is served.
func (w *world) define(crd *apiextensionsv1.CustomResourceDefinition) {
	w.t.Helper()
	w.Create(crd)
	w.Wait("established", crd, func() bool {
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
				return true
			}
		}
		return false
	})
}
