package helmrelease

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// TestReleaseIsOfOneAtATime: with a run, an action, or both. Who had to wait is told.
func TestReleaseIsOfOneAtATime(t *testing.T) {
	t.Parallel()
	woken := make(map[string]int)
	c := newClaims(func(name types.NamespacedName) { woken[name.String()]++ })
	other := object{NamespacedName: types.NamespacedName{Namespace: "apps", Name: "other"}, uid: "2"}
	web, shop := stored{namespace: "apps", name: "web"}, stored{namespace: "apps", name: "shop"}
	run, _, ok := c.take(web, one)
	action, _, again := c.take(web, one)
	if !ok || !again {
		t.Fatal("the run and the action of one HelmRelease do not go together")
	}
	refused := func(when string) {
		t.Helper()
		if _, by, ok := c.take(web, other); ok || by != one.NamespacedName {
			t.Errorf("%s, another gets the release: %t; it is told of %v", when, ok, by)
		}
	}
	refused("during both")
	refused("during both, once more")
	if _, _, ok := c.take(shop, other); !ok {
		t.Error("another release is not free")
	}
	run()
	run() // twice is once
	refused("during the action")
	if len(woken) > 0 {
		t.Errorf("%v are told before it is free", woken)
	}
	action()
	if diff := cmp.Diff(map[string]int{"apps/other": 1}, woken); diff != "" {
		t.Errorf("told when it is free (-want +got):\n%s", diff)
	}
	free, _, ok := c.take(web, other)
	if !ok {
		t.Fatal("the release is not free")
	}
	free()
	if diff := cmp.Diff(map[string]int{"apps/other": 1}, woken); diff != "" {
		t.Errorf("told where nobody waits (-want +got):\n%s", diff)
	}
}
