package action_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/helm-controller/internal/plan"
)

// refusedHook is a hook that the API server refuses once others were written.
const refusedHook = "apiVersion: v1\nkind: Pod\nmetadata: {name: refused, annotations: {helm.sh/hook: post-upgrade}}\nspec: {containers: []}\n"

// TestNothingOfFailedReleasesIsLeft: whatever the releases have made that failed since one
// was deployed goes with what leaves the chart, or with the release.
func TestNothingOfFailedReleasesIsLeft(t *testing.T) {
	t.Parallel()
	for _, next := range []plan.Action{plan.Upgrade, plan.Uninstall} {
		t.Run(next.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.templates = []string{configMap("first", "1")}
			w.must(plan.Install)
			for _, name := range []string{"second", "third"} {
				w.templates = []string{configMap(name, "1"), refusedHook}
				if w.do(plan.Upgrade).Err == nil {
					t.Fatal("the upgrade did not fail")
				}
			}
			w.templates = []string{configMap("newest", "1")}
			w.must(next)
			for _, name := range []string{"first", "second", "third"} {
				if w.Get(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}) {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}
