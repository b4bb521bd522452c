package action_test

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/helm-controller/internal/plan"
	"weir.dev/pkg/testplane"
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

// TestUninstallLeavesNothingOfFailedReleases, whatever the newest one is like.
func TestUninstallLeavesNothingOfFailedReleases(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		given func(t *testing.T, w *world)
	}{
		"of one that renders nothing": {why: "the SDK deletes nothing of it", given: func(t *testing.T, w *world) {
			w.templates = []string{refusedHook}
			if w.do(plan.Upgrade).Err == nil {
				t.Fatal("the upgrade did not fail")
			}
		}},
		"cut off": {why: "that it had failed is not stored any more", given: func(t *testing.T, w *world) {
			w.Traffic.Break(func(r testplane.Request) error {
				if r.Method == http.MethodDelete && r.Resource == "configmaps" {
					return errDead
				}
				return nil
			})
			if w.do(plan.Uninstall).Err == nil {
				t.Fatal("the uninstallation did not fail")
			}
			w.Traffic.Break(nil)
			w.restart()
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.templates = []string{configMap("first", "1")}
			w.must(plan.Install)
			w.templates = []string{configMap("second", "1"), refusedHook}
			if w.do(plan.Upgrade).Err == nil {
				t.Fatal("the upgrade did not fail")
			}
			tc.given(t, w)
			w.must(plan.Uninstall)
			for _, name := range []string{"first", "second"} {
				if w.Get(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}) {
					t.Errorf("%s is left: %s", name, tc.why)
				}
			}
		})
	}
}
