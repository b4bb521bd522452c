package action_test

import (
	"testing"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
)

// TestHooksTakeNothingWithThem: what is deleted after a failure for the sake of a hook, or of
// what an action has created in vain, is that alone. Objects of the releases before stay.
func TestHooksTakeNothingWithThem(t *testing.T) {
	t.Parallel()
	cleaning := func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{CleanupOnFail: true} }
	tests := map[string]struct {
		why   string
		spec  []func(*helmv2.HelmReleaseSpec)
		then  func(w *world)
		value string
		left  string // of the hook
	}{
		"a rollback": {
			why: "a hook is deleted before it is created, and when it has succeeded", value: "one",
			then: func(w *world) {
				w.must(plan.Rollback, func(in *action.Input) { in.Target = w.hr.Status.History[1] })
			},
		},
		"an upgrade": {
			why: "the same", value: "three",
			then: func(w *world) {
				w.templates = w.templates[:len(w.templates)-1]
				w.values = map[string]any{"value": "three"}
				w.must(plan.Upgrade)
			},
		},
		"an upgrade that fails again": {
			why: "what it has created goes", spec: []func(*helmv2.HelmReleaseSpec){cleaning}, value: "three", left: "x", // for not all hooks have succeeded
			then: func(w *world) {
				w.templates[len(w.templates)-1] = refusedHook
				w.templates = append(w.templates, configMap("new", "x"))
				w.values = map[string]any{"value": "three"}
				if w.do(plan.Upgrade).Err == nil {
					w.t.Fatal("the upgrade succeeded")
				}
				if got := w.value("new"); got != "" {
					w.t.Errorf("what was created in vain is there: %q", got)
				}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.spec...)
			w.templates = append(w.templates, configMap("hook", "x",
				`annotations: {"helm.sh/hook": "pre-install,pre-upgrade,post-upgrade,pre-rollback,post-rollback", "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded"}`))
			w.must(plan.Install)
			w.templates = append(w.templates, refused)
			w.values = map[string]any{"value": "two"}
			if w.do(plan.Upgrade).Err == nil {
				t.Fatal("the upgrade succeeded")
			}
			tc.then(w)
			if settings, fixed := w.value("settings"), w.value("fixed"); settings != tc.value || fixed != "same" {
				t.Errorf("the values are %q and %q; want %q and %q: %s", settings, fixed, tc.value, "same", tc.why)
			}
			if got := w.value("hook"); got != tc.left {
				t.Errorf("of the hook, %q is left; want %q", got, tc.left)
			}
		})
	}
}
