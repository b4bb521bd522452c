package helmrelease_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
)

// unready is a chart of a Deployment or a Job that no node takes, and of an object that the
// API server refuses unless k is a valid name.
func unready(t *testing.T, what string) *charttest.Chart {
	t.Helper()
	pod := "spec: {restartPolicy: RESTART, nodeSelector: {nowhere: 'true'}, containers: [{name: main, image: example.com/main}]}"
	object := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: unready}\nspec: {template: {" + strings.Replace(pod, "RESTART", "Never", 1) + "}}\n"
	if what == "Deployment" {
		object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: unready}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, " +
			strings.Replace(pod, "RESTART", "Always", 1) + "}}\n"
	}
	return refusable(t, "1.0.0").With("templates/unready.yaml", object)
}

// shortly is a limit that is soon reached.
func shortly() *metav1.Duration { return &metav1.Duration{Duration: time.Second} }

// TestActionsWaitUnlessTheyAreToldNotTo, each for itself, and each for its own time.
func TestActionsWaitUnlessTheyAreToldNotTo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		waits    func(s *helmv2.HelmReleaseSpec) // has one of the actions wait
		released int                             // good releases before that
		reason   string
	}{
		"none":     {waits: func(*helmv2.HelmReleaseSpec) {}, released: 2, reason: helmv2.ReasonRollbackSucceeded},
		"install":  {waits: func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{Timeout: shortly()} }, reason: helmv2.ReasonInstallFailed},
		"upgrade":  {waits: func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{Timeout: shortly()} }, released: 1, reason: helmv2.ReasonUpgradeFailed},
		"rollback": {waits: func(s *helmv2.HelmReleaseSpec) { s.Rollback = &helmv2.Rollback{Timeout: shortly()} }, released: 2, reason: helmv2.ReasonRollbackFailed},
	}
	for _, what := range []string{"Deployment", "Job"} {
		for name, tc := range tests {
			t.Run(what+", "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.publish(unready(t, what))
				hr := w.release("app", values("k: good"), func(s *helmv2.HelmReleaseSpec) {
					job, remediate := what == "Job", true
					s.Install = &helmv2.Install{DisableWait: !job, DisableWaitForJobs: job}
					s.Upgrade = &helmv2.Upgrade{DisableWait: !job, DisableWaitForJobs: job}
					s.Rollback = &helmv2.Rollback{DisableWait: !job, DisableWaitForJobs: job}
					tc.waits(s)
					s.Upgrade.Remediation = &helmv2.UpgradeRemediation{RemediateLastFailure: &remediate}
				})
				for n, next := range []string{"better", "Not_A_Name"}[:tc.released] {
					w.waitReleased(hr, n+1)
					w.change(hr, values("k: "+next))
				}
				if tc.reason == helmv2.ReasonRollbackSucceeded {
					w.waitEvent(hr, corev1.EventTypeNormal, tc.reason)
					return
				}
				w.waitEvent(hr, corev1.EventTypeWarning, tc.reason, "not ready after 1s", what+"/"+w.Namespace+"/unready")
			})
		}
	}
}

// TestUninstallWaitsUnlessItIsToldNotTo until what it has deleted is gone.
func TestUninstallWaitsUnlessItIsToldNotTo(t *testing.T) {
	t.Parallel()
	for name, waits := range map[string]bool{"waits": true, "does not wait": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0", "templates/held.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/held]}\n"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				s.Uninstall = &helmv2.Uninstall{DisableWait: !waits, Timeout: shortly()}
			})
			w.waitReleased(hr, 1)
			if err := w.Client.Delete(t.Context(), hr); err != nil {
				t.Fatal(err)
			}
			held := w.configMap("held")
			if waits {
				w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUninstallFailed, "not deleted after 1s", "ConfigMap/"+w.Namespace+"/held")
				if !w.Get(hr) {
					t.Error("the HelmRelease has gone before its objects")
				}
				w.Patch(held, "test", "metadata: {finalizers: null}")
				w.WaitGone(hr)
				return
			}
			w.WaitGone(hr)
			if !w.Get(held) || held.DeletionTimestamp == nil {
				t.Error("want the ConfigMap to be going, and nobody to wait for it")
			}
			w.Patch(held, "test", "metadata: {finalizers: null}")
		})
	}
}

// TestWhatObjectsOwnGoesAsAsked when a release is uninstalled.
func TestWhatObjectsOwnGoesAsAsked(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"", "background", "foreground", "orphan"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(stuck(t, "1.0.0"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				if policy != "" {
					s.Uninstall = &helmv2.Uninstall{DeletionPropagation: &policy}
				}
			})
			w.waitReleased(hr, 1)
			var sets appsv1.ReplicaSetList
			list := func() int {
				if err := w.Client.List(t.Context(), &sets, client.InNamespace(w.Namespace)); err != nil {
					t.Fatal(err)
				}
				return len(sets.Items)
			}
			if list() != 1 {
				t.Fatalf("there are %d ReplicaSets; want that of the Deployment", len(sets.Items))
			}
			if err := w.Client.Delete(t.Context(), hr); err != nil {
				t.Fatal(err)
			}
			w.WaitGone(hr)
			switch policy {
			case "foreground":
				if n := list(); n > 0 {
					t.Errorf("there are %d ReplicaSets; want them to be gone before the Deployment", n)
				}
			case "orphan":
				if n := list(); n != 1 || sets.Items[0].DeletionTimestamp != nil || len(sets.Items[0].OwnerReferences) > 0 {
					t.Errorf("there are %d ReplicaSets; want that of the Deployment to be left, of nobody", n)
				}
			default:
				w.Eventually("the ReplicaSet to be gone", func() bool { return list() == 0 })
			}
		})
	}
}
