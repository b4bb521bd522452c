package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// TestWithout: what is left out is neither planned nor counted, and the set itself stays as
// it was.
func TestWithout(t *testing.T) {
	t.Parallel()
	object := func(kind, name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}}}
	}
	all, err := Prepare([]*unstructured.Unstructured{object("Namespace", "shop"), object("ConfigMap", "a"), object("ConfigMap", "b")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	names := func(s *Prepared) (out []string) {
		objects, err := s.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			out = append(out, o.GetName())
		}
		return out
	}
	fewer := all.Without(func(id manifest.ID) bool { return id.Name != "b" })
	if diff := cmp.Diff([]string{"b"}, names(fewer)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(inventory.Set{manifest.IDOf(object("ConfigMap", "b")): "v1"}, fewer.plan.Inventory); diff != "" {
		t.Errorf("the inventory of what is left (-want +got):\n%s", diff)
	}
	if len(fewer.plan.Stages) != 1 {
		t.Errorf("%d stages are left, want 1: none is empty", len(fewer.plan.Stages))
	}
	if diff := cmp.Diff([]string{"shop", "a", "b"}, names(all)); diff != "" {
		t.Errorf("the set itself (-want +got):\n%s", diff)
	}
}
