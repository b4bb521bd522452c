package kustomization

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

func TestOutput(t *testing.T) {
	t.Parallel()
	id := func(name string) manifest.ID { return manifest.ID{Kind: "ConfigMap", Namespace: "a", Name: name} }
	changes := []apply.Change{{ID: id("x"), Effect: apply.Created}, {ID: id("y"), Effect: apply.Created}, {ID: id("z"), Effect: apply.Configured}}
	each := map[string]string{"ConfigMap/a/x": "created", "ConfigMap/a/y": "created", "ConfigMap/a/z": "configured"}
	if diff := cmp.Diff(any(each), (&Reconciler{}).output(changes)); diff != "" {
		t.Errorf("the effect on each object (-want +got):\n%s", diff)
	}
	grouped := map[string][]string{"created": {"ConfigMap/a/x", "ConfigMap/a/y"}, "configured": {"ConfigMap/a/z"}}
	if diff := cmp.Diff(any(grouped), (&Reconciler{opts: Options{GroupChanges: true}}).output(changes)); diff != "" {
		t.Errorf("the objects of each effect (-want +got):\n%s", diff)
	}
}
