package kustomization_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// TestMigrateAPIVersion: a definition gets a version with a field that the older one
// lacks, and the object moves to it and sets the field.
func TestMigrateAPIVersion(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"off": nil, "on": {"--feature-gates=MigrateAPIVersion=true"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, flags...)
			fill := strings.NewReplacer("GROUP", w.Namespace+".example.com")
			t.Cleanup(func() { w.removeCRD("gadgets." + w.Namespace + ".example.com") })
			crd, gadget := fill.Replace(gadgetCRD), fill.Replace(gadgetYAML)
			ks := w.kustomization("app", "")
			w.waitApplied(ks, w.publish(map[string]string{"crd.yaml": crd, "g.yaml": gadget}))

			second := strings.Replace(crd[strings.Index(crd, "  - name: v1"):], "name: v1", "name: v2", 1)
			second = strings.Replace(second, "size:", "weight: {type: integer}, size:", 1)
			crd = strings.Replace(crd, "storage: true", "storage: false", 1) + second
			gadget = strings.NewReplacer("/v1", "/v2", "size: 3", "size: 3, weight: 7").Replace(gadget)
			rev := w.publish(map[string]string{"crd.yaml": crd, "g.yaml": gadget})
			if name == "off" {
				c := w.WaitCondition(ks, kustomizev1.ConditionReady, "False", kustomizev1.ReasonReconciliationFailed)
				if !strings.Contains(c.Message, "field not declared in schema") {
					t.Errorf("it fails by %s", c.Message)
				}
				return
			}
			w.waitApplied(ks, rev)
			live := &unstructured.Unstructured{}
			live.SetAPIVersion(w.Namespace + ".example.com/v2")
			live.SetKind("Gadget")
			live.SetNamespace(w.Namespace)
			live.SetName("g")
			w.Get(live)
			if got, _, _ := unstructured.NestedInt64(live.Object, "spec", "weight"); got != 7 {
				t.Errorf("the new field is %d", got)
			}
		})
	}
}
