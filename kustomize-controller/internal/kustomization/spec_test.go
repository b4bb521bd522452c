package kustomization_test

import (
	"context"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestSpecDecidesWhatIsApplied sets all that changes the manifests of a source.
func TestSpecDecidesWhatIsApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "./deep/../app", func(s *kustomizev1.KustomizationSpec) {
		s.TargetNamespace = w.Namespace
		s.NamePrefix, s.NameSuffix = "pre-", "-post"
		s.CommonMetadata = &kustomizev1.CommonMetadata{Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"note": "x"}}
		s.Images = []kustomize.Image{{Name: "registry.example.com/main", NewTag: "9"}}
		s.Components = []string{"../component"}
		s.Patches = []kustomize.Patch{{
			Patch:  `[{"op": "replace", "path": "/spec/replicas", "value": 0}]`,
			Target: &kustomize.Selector{Kind: "Deployment"},
		}}
	})
	rev := w.publish(map[string]string{
		"app/d.yaml":                   strings.ReplaceAll(deploymentYAML("web", ""), ", namespace: NS", ""),
		"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [cm.yaml]\n",
		"component/cm.yaml":            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n",
	})
	w.waitApplied(ks, rev)

	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "pre-web-post"}}
	if !w.Get(d) || !w.Get(w.configMap("pre-more-post")) {
		t.Fatal("Deployment or ConfigMap is missing")
	}
	type summary struct {
		Image, Team, Note, PodTeam string
		Replicas                   int32
	}
	got := summary{
		Image: d.Spec.Template.Spec.Containers[0].Image, Team: d.Labels["team"], Note: d.Annotations["note"],
		PodTeam: d.Spec.Template.Labels["team"], Replicas: *d.Spec.Replicas,
	}
	if diff := cmp.Diff(summary{Image: "registry.example.com/main:9", Team: "shop", Note: "x"}, got); diff != "" {
		t.Errorf("the Deployment differs (-want +got):\n%s", diff)
	}

	w.Patch(ks, "test", "spec: {images: null}")
	w.Wait("the spec's change is applied", d, func() bool { return d.Spec.Template.Spec.Containers[0].Image == "registry.example.com/main:1" })
}

func TestForceRecreatesWhatIsImmutable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) { s.Force = true })
	const fixed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed, namespace: NS}\nimmutable: true\ndata: {k: 'VALUE'}\n"
	first := w.publish(map[string]string{"f.yaml": strings.Replace(fixed, "VALUE", "1", 1), "a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, first)
	cm := w.configMap("fixed")
	w.Get(cm)
	old := cm.UID

	w.publish(map[string]string{"f.yaml": strings.Replace(fixed, "VALUE", "2", 1), "a.yaml": configMapYAML("Bad_Name", "k", "2")})
	w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonReconciliationFailed)
	if w.Get(cm); cm.UID != old || cm.Data["k"] != "1" {
		t.Errorf("the object was touched although its sibling is refused: %v", cm.Data)
	}

	w.waitApplied(ks, w.publish(map[string]string{"f.yaml": strings.Replace(fixed, "VALUE", "2", 1), "a.yaml": configMapYAML("a", "k", "2")}))
	if w.Get(cm); cm.UID == old || cm.Data["k"] != "2" {
		t.Errorf("the object was not recreated: %v", cm.Data)
	}
	w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonProgressing, "ConfigMap/"+w.Namespace+"/fixed recreated")
}

// TestDefinitionsComeFirst applies a definition, an object of it, a namespace and an
// object in it, all at once.
func TestDefinitionsComeFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.Namespace + ".example.com"
	ks := w.kustomization("app", "")
	rev := w.publish(map[string]string{
		"a-object.yaml": "apiVersion: " + group + "/v1\nkind: Thing\nmetadata: {name: t, namespace: NS-new}\nspec: {size: 3}\n",
		"b-inside.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inside, namespace: NS-new}\n",
		"y-space.yaml":  "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-new}\n",
		"z-crd.yaml": `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.` + group + `}
spec:
  group: ` + group + `
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`,
	})
	t.Cleanup(func() { w.removeCRD("things." + group) })
	w.waitApplied(ks, rev)
	if n := len(ks.Status.Inventory.Entries); n != 4 {
		t.Errorf("the inventory has %d entries; want 4", n)
	}
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	w.WaitGone(&apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "things." + group}})
}

func stalled(ks *kustomizev1.Kustomization) *metav1.Condition {
	for _, c := range ks.Status.Conditions {
		if c.Type == kustomizev1.ConditionStalled && c.Status == metav1.ConditionTrue {
			return &c
		}
	}
	return nil
}

// removeCRD removes a definition in case that the test failed before it was pruned.
func (w *world) removeCRD(name string) {
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_ = w.Client.Delete(context.WithoutCancel(w.t.Context()), crd) // usually gone; the test plane is thrown away in any case
}
