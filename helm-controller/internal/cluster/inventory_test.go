package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// TestInventory: objects are identified as they are in the cluster, and a kind that it does not
// serve keeps none of them out.
func TestInventory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	set, unserved, err := cluster.Inventory(w.at, types.NamespacedName{Namespace: "shop", Name: "app"}, `
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: other}
---
apiVersion: v1
kind: Namespace
metadata: {name: c, namespace: nonsense}
---
apiVersion: apps/v1beta1
kind: Deployment
metadata: {name: old}
---
apiVersion: example.com/v1
kind: Nothing
metadata: {name: d}
---
apiVersion: example.com/v1
kind: Nothing
metadata: {name: e, namespace: other}
`)
	if err != nil {
		t.Fatal(err)
	}
	id := func(group, kind, namespace, name string) manifest.ID {
		return manifest.ID{Group: group, Kind: kind, Namespace: namespace, Name: name}
	}
	want := inventory.Set{
		id("", "ConfigMap", "shop", "a"): "v1", id("", "ConfigMap", "other", "b"): "v1", id("", "Namespace", "", "c"): "v1",
		id("apps", "Deployment", "shop", "old"):    "v1beta1",
		id("example.com", "Nothing", "shop", "d"):  "v1",
		id("example.com", "Nothing", "other", "e"): "v1",
	}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`kind "Nothing" of "example.com/v1"`}, unserved); diff != "" {
		t.Errorf("kinds that are not served (-want +got):\n%s", diff)
	}
	if _, _, err := cluster.Inventory(w.at, types.NamespacedName{}, "a: b: c"); err == nil {
		t.Error("what is no manifest has an inventory")
	}
}
