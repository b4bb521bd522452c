package helmrelease_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/pkg/testplane"
)

// TestWhatFollowsAFailedUpgrade: how often it is tried again, and what is left of it in the end.
func TestWhatFollowsAFailedUpgrade(t *testing.T) {
	t.Parallel()
	yes, no, uninstall := true, false, helmv2.UninstallRemediationStrategy
	tests := map[string]struct {
		why         string
		remediation *helmv2.UpgradeRemediation
		ready       string // the reason of Ready
		remediated  string // that of Remediated
		stalled     string // what Stalled says
		stored      []string
	}{
		"nothing is said": {
			why:   "the failure stays to be looked at",
			ready: helmv2.ReasonUpgradeFailed, stalled: "Failed to upgrade after 1 attempt(s)",
			stored: []string{"1 deployed", "2 failed"},
		},
		"the last failure is remediated": {
			why: "what is good runs", remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &yes},
			ready: helmv2.ReasonRollbackSucceeded, remediated: helmv2.ReasonRollbackSucceeded, stalled: "Failed to upgrade after 1 attempt(s)",
			stored: []string{"1 superseded", "2 failed", "3 deployed"},
		},
		"only the last failure is not": {
			why: "there is a rollback before the retry only", remediation: &helmv2.UpgradeRemediation{Retries: 1, RemediateLastFailure: &no},
			ready: helmv2.ReasonUpgradeFailed, stalled: "Failed to upgrade after 2 attempt(s)",
			stored: []string{"1 superseded", "2 failed", "3 deployed", "4 failed"},
		},
		"by an uninstallation": {
			why: "nothing of it is left", remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &yes, Strategy: &uninstall},
			ready: helmv2.ReasonUninstallSucceeded, remediated: helmv2.ReasonUninstallSucceeded, stalled: "Failed to upgrade after 1 attempt(s)",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(refusable(t, "1.0.0"))
			hr := w.release("app", values("k: good"), func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{Remediation: tc.remediation} })
			w.waitReleased(hr, 1)
			w.change(hr, values("k: Not_A_Name"))
			if c := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded); c.Message != tc.stalled {
				t.Errorf("Stalled says %q; want %q", c.Message, tc.stalled)
			}
			got := []string{conditions.GetReason(hr, helmv2.ConditionReady), conditions.GetReason(hr, helmv2.ConditionRemediated)}
			if diff := cmp.Diff([]string{tc.ready, tc.remediated}, got); diff != "" || conditions.IsReady(hr) {
				t.Errorf("Ready and Remediated (-want +got), %s:\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.stored, w.stored("app")); diff != "" {
				t.Errorf("stored (-want +got), %s:\n%s", tc.why, diff)
			}
			if there := w.Get(w.configMap("app")); there != (len(tc.stored) > 0) {
				t.Errorf("the ConfigMap is there: %t (%s)", there, tc.why)
			}
			w.change(hr, values("k: better"))
			w.Wait("Ready", hr, func() bool { return ready(hr) && !conditions.Has(hr, helmv2.ConditionRemediated) })
			w.expectValue("app", "better")
		})
	}
}

// TestFailuresOfTestsThatDoNotCount: of the installation, of the upgrade, or of both.
func TestFailuresOfTestsThatDoNotCount(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	tests := map[string]struct {
		why     string
		spec    func(*helmv2.HelmReleaseSpec)
		install bool // its failure does not count
		upgrade bool
	}{
		"nowhere": {spec: func(*helmv2.HelmReleaseSpec) {}},
		"anywhere": {
			spec:    func(s *helmv2.HelmReleaseSpec) { s.Test.IgnoreFailures = true },
			install: true, upgrade: true,
		},
		"of the installation": {
			spec: func(s *helmv2.HelmReleaseSpec) {
				s.Install = &helmv2.Install{Remediation: &helmv2.InstallRemediation{IgnoreTestFailures: &yes}}
			},
			install: true,
		},
		"of the upgrade": {
			spec: func(s *helmv2.HelmReleaseSpec) {
				s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{IgnoreTestFailures: &yes}}
			},
			upgrade: true,
		},
		"anywhere but of the upgrade": {
			why: "what the action says counts",
			spec: func(s *helmv2.HelmReleaseSpec) {
				s.Test.IgnoreFailures, s.Upgrade = true, &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{IgnoreTestFailures: &no}}
			},
			install: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0", "templates/test.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name, annotations: {helm.sh/hook: test}}\n"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true} }, tc.spec)
			expect := func(version int, ignored bool) {
				t.Helper()
				w.Wait("the test to have failed", hr, func() bool {
					last := hr.Status.History.Latest()
					return last != nil && last.Version == version && last.HasTestInPhase("Failed") && hr.Status.ObservedGeneration == hr.Generation
				})
				if ready(hr) != ignored || conditions.IsStalled(hr) == ignored {
					t.Errorf("release %d has conditions %+v; want the failure not to count: %t (%s)", version, hr.Status.Conditions, ignored, tc.why)
				}
			}
			expect(1, tc.install)
			w.change(hr, values("k: two"))
			expect(2, tc.upgrade)
		})
	}
}

// TestWhatAFailedUpgradeHasMade goes again where that is asked for.
func TestWhatAFailedUpgradeHasMade(t *testing.T) {
	t.Parallel()
	for name, cleans := range map[string]bool{"goes": true, "stays": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				s.Upgrade = &helmv2.Upgrade{CleanupOnFail: cleans, Timeout: shortly()}
			})
			w.waitReleased(hr, 1)
			w.publish(unready(t, "Deployment").At("1.1.0"))
			w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonUpgradeFailed)
			if there := w.Get(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "unready"}}); there == cleans {
				t.Errorf("the Deployment is there: %t; want %t", there, !cleans)
			}
			w.expectValue("app", "1") // which is not new
		})
	}
}

// TestWhatAFailedRollbackHasMade goes again where that is asked for: the upgrade has taken a
// ServiceAccount away, and the rollback brings it back before it fails.
func TestWhatAFailedRollbackHasMade(t *testing.T) {
	t.Parallel()
	for name, cleans := range map[string]bool{"goes": true, "stays": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0", "templates/account.yaml", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: account}\n"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				remediate := true
				s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{RemediateLastFailure: &remediate}}
				s.Rollback = &helmv2.Rollback{CleanupOnFail: cleans, Recreate: true} // which changes nothing
			})
			w.waitReleased(hr, 1)
			var writes atomic.Int32
			w.Traffic.Break(func(r testplane.Request) error {
				if r.Method == http.MethodPatch && !r.DryRun && strings.HasSuffix(r.Path, "/configmaps/app") && writes.Add(1) > 1 {
					return errors.New("the line is broken")
				}
				return nil
			})
			w.publish(demo(t, "1.1.0", "templates/hook.yaml", strings.Replace(hookMap("post-upgrade"), "name: post-upgrade", "name: Not_A_Name", 1)))
			w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRollbackFailed)
			if writes.Load() < 2 {
				t.Error("the rollback has failed before it wrote the ConfigMap")
			}
			if there := w.Get(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "account"}}); there == cleans {
				t.Errorf("the ServiceAccount is there: %t; want %t", there, !cleans)
			}
			w.expectValue("app", "1") // which is not new
		})
	}
}

// TestChartOfAnotherNameMayTakeOver a release in place, where that is asked for.
func TestChartOfAnotherNameMayTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/old.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.Upgrade = &helmv2.Upgrade{ChartNameChangeStrategy: helmv2.ChartNameChangeInPlaceUpdate}
	})
	w.waitReleased(hr, 1)
	cm := w.configMap("app")
	w.Get(cm)
	was := cm.UID
	w.publish(charttest.New(t, "renamed", "1.0.0", map[string]string{"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {k: renamed}\n"}))
	w.waitReleased(hr, 2)
	if w.Get(cm); cm.UID != was || cm.Data["k"] != "renamed" || w.Get(w.configMap("old")) {
		t.Errorf("the ConfigMap is %s %v; want the one of before, changed, and what the chart has not to be gone", cm.UID, cm.Data)
	}
	if last := hr.Status.History.Latest(); last.ChartName != "renamed" || len(hr.Status.History) != 2 {
		t.Errorf("history is %q; want the upgrade to the other chart", history(hr))
	}
}
