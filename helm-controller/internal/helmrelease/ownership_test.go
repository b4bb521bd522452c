package helmrelease_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/testplane"
)

// ofNobody creates a ConfigMap that is of nobody's release.
func (w *world) ofNobody(name string) *corev1.ConfigMap {
	w.t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"k": "foreign"}}
	w.Create(cm)
	return cm
}

// TestObjectsOfOthersAreTakenOver unless the action must not.
func TestObjectsOfOthersAreTakenOver(t *testing.T) {
	t.Parallel()
	other := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {k: ours}\n"
	for name, refuse := range map[string]bool{"taken over": false, "left": true} {
		t.Run("by an installation, "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cm := w.ofNobody("app")
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{DisableTakeOwnership: refuse} })
			w.expectTaken(hr, cm, refuse, 1, helmv2.ReasonInstallFailed, "1")
		})
		t.Run("by an upgrade, "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				s.Install = &helmv2.Install{DisableTakeOwnership: true}
				s.Upgrade = &helmv2.Upgrade{DisableTakeOwnership: refuse}
			})
			w.waitReleased(hr, 1)
			cm := w.ofNobody("other")
			w.publish(demo(t, "1.1.0", "templates/other.yaml", other))
			w.expectTaken(hr, cm, refuse, 2, helmv2.ReasonUpgradeFailed, "ours")
		})
	}
}

// expectTaken waits until hr is released over an object of others, which has a value then, or
// has failed because of it.
func (w *world) expectTaken(hr *helmv2.HelmRelease, cm *corev1.ConfigMap, refused bool, version int, reason, value string) {
	w.t.Helper()
	was := cm.UID
	if !refused {
		w.waitReleased(hr, version)
		if w.Get(cm); cm.UID != was || cm.Data["k"] != value || cm.Annotations["meta.helm.sh/release-name"] != "app" {
			w.t.Errorf("the ConfigMap is %s %v %v; want the one of before, taken over", cm.UID, cm.Data, cm.Annotations)
		}
		return
	}
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, reason)
	if !strings.Contains(c.Message, cm.Name) || !strings.Contains(c.Message, "exists and cannot be imported into the current release") {
		w.t.Errorf("Ready says %q; want it to name the ConfigMap that is in the way", c.Message)
	}
	if w.Get(cm); cm.UID != was || cm.Data["k"] != "foreign" || len(cm.Annotations) > 0 || len(cm.Labels) > 0 {
		w.t.Errorf("the ConfigMap is %v %v; want it to be left", cm.Data, cm.ObjectMeta)
	}
	if n := w.Traffic.Count(func(r testplane.Request) bool {
		return r.Method == "DELETE" && strings.HasSuffix(r.Path, "/configmaps/"+cm.Name)
	}); n > 0 {
		w.t.Errorf("%d deletions of the ConfigMap of others", n)
	}
}

// TestForceReplacesObjects where they are patched client-side: what others have added goes.
// Elsewhere it means nothing.
func TestForceReplacesObjects(t *testing.T) {
	t.Parallel()
	no, remediate := false, true
	tests := map[string]struct {
		why   string
		spec  func(*helmv2.HelmReleaseSpec)
		stays bool // what others have added, beyond a rollback
	}{
		"client-side, forced": {
			why: "it is replaced",
			spec: func(s *helmv2.HelmReleaseSpec) {
				s.Install, s.Upgrade.Force = &helmv2.Install{ServerSideApply: &no}, true
			},
		},
		"client-side": {
			why:   "it is patched",
			spec:  func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{ServerSideApply: &no} },
			stays: true,
		},
		"client-side by the rollback, forced there": {
			why: "the rollback replaces it",
			spec: func(s *helmv2.HelmReleaseSpec) {
				s.Rollback = &helmv2.Rollback{ServerSideApply: helmv2.ServerSideApplyDisabled, Force: true}
			},
		},
		"server-side, forced": {
			why:   "fields of others are none of the release",
			spec:  func(s *helmv2.HelmReleaseSpec) { s.Upgrade.Force, s.Rollback = true, &helmv2.Rollback{Force: true} },
			stays: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			// The hook fails an upgrade after it has changed the ConfigMap.
			w.publish(demo(t, "1.0.0", "templates/hook.yaml", strings.Replace(hookMap("post-upgrade"), "name: post-upgrade", "name: {{ .Values.hook }}", 1)))
			hr := w.release("app", values("{k: one, hook: good}"), func(s *helmv2.HelmReleaseSpec) {
				s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &remediate}}
			}, tc.spec)
			w.waitReleased(hr, 1)
			cm := w.configMap("app")
			w.Patch(cm, "night-shift", "data: {other: stays}")
			w.change(hr, values("{k: two, hook: Not_A_Name}"))
			w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRollbackSucceeded)
			if w.Get(cm); cm.Data["k"] != "one" || (cm.Data["other"] != "") != tc.stays {
				t.Errorf("the ConfigMap has %v; want k=one, and that what others have added stays: %t (%s)", cm.Data, tc.stays, tc.why)
			}
		})
	}
}

// TestValuesThatBreakTheSchema are taken only where the action says so.
func TestValuesThatBreakTheSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "values.schema.json", `{"type": "object", "properties": {"k": {"pattern": "^[a-z]+$"}}}`))
	hr := w.release("app", values("k: '1'"), func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{DisableSchemaValidation: true} })
	w.waitReleased(hr, 1)
	w.expectValue("app", "1")
	w.change(hr, values("k: '2'"))
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonUpgradeFailed)
	if !strings.Contains(c.Message, "schema") || conditions.IsStalled(hr) {
		t.Errorf("Ready says %q; want it to name the schema, and to be tried again", c.Message)
	}
	w.expectValue("app", "1")
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{DisableSchemaValidation: true} })
	w.waitReleased(hr, 2)
	w.expectValue("app", "2")
}

// TestFieldsThatAKindDoesNotHave are refused unless the action says that nobody is to check.
func TestFieldsThatAKindDoesNotHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	no := false
	w.publish(demo(t, "1.0.0", "templates/odd.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndata: {k: {{ .Values.k | quote }}}\nreplicas: 1\n"))
	hr := w.release("app", values("k: '1'"), func(s *helmv2.HelmReleaseSpec) {
		s.Install = &helmv2.Install{ServerSideApply: &no, DisableOpenAPIValidation: true}
	})
	w.waitReleased(hr, 1)
	w.expectValue("odd", "1")
	w.change(hr, values("k: '2'"))
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonUpgradeFailed)
	for _, part := range []string{"replicas", "disableOpenAPIValidation"} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("Ready says %q; want it to name %q", c.Message, part)
		}
	}
	w.expectValue("odd", "1")
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{DisableOpenAPIValidation: true} })
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	w.expectValue("odd", "2")
}

// TestDriftOfAClientSideRelease: who creates objects without apply owns their defaults as well,
// and what is taken from the fields is seen all the same.
func TestDriftOfAClientSideRelease(t *testing.T) {
	t.Parallel()
	no := false
	for _, manager := range []string{"night-shift", "kubectl-edit"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0", "templates/service.yaml",
				"apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {selector: {app: app}, ports: [{port: 80}]}\n"))
			hr := w.release("app", values("k: one"), drift(helmv2.DriftDetectionEnabled), func(s *helmv2.HelmReleaseSpec) {
				s.Install = &helmv2.Install{ServerSideApply: &no}
			})
			w.waitReleased(hr, 1)
			w.WaitCondition(hr, helmv2.ConditionDrifted, metav1.ConditionFalse, helmv2.ReasonNoDriftDetected)
			w.settle()
			service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app"}}
			if w.Get(service); slices.ContainsFunc(service.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
				return e.Operation == metav1.ManagedFieldsOperationApply
			}) {
				t.Errorf("the Service was applied, although nobody has changed it: %v", service.ManagedFields)
			}
			w.Patch(w.configMap("app"), manager, "data: {k: two}")
			cm := w.configMap("app")
			w.Wait("the value to be put back", cm, func() bool { return cm.Data["k"] == "one" })
			w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonDriftCorrected, manager)
			if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}
