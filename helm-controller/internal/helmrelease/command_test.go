package helmrelease_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
)

// helmUpgrade upgrades a release as the helm command does.
func (w *world) helmUpgrade(name string, c *charttest.Chart, vals map[string]any) error {
	w.t.Helper()
	upgrade := action.NewUpgrade(w.helm())
	upgrade.Namespace = w.Namespace
	_, err := upgrade.RunWithContext(w.t.Context(), name, c.Load(), vals)
	return err
}

// TestUpgradeByTheHelmCommandIsNoticed at once, and undone: the spec says what is released.
// What is known of the release begins anew, its history in Helm goes on.
func TestUpgradeByTheHelmCommandIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	extra := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n"
	if err := w.helmUpgrade("app", demo(t, "1.0.0", "templates/extra.yaml", extra), map[string]any{"k": "by-hand"}); err != nil {
		t.Fatal(err)
	}
	w.waitReleased(hr, 3)
	w.expectValue("app", "1")
	if w.Get(w.configMap("extra")) {
		t.Error("the ConfigMap is there that only the helm command has released")
	}
	if diff := cmp.Diff([]string{"3 1.0.0 deployed by upgrade"}, history(hr)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 superseded", "2 superseded", "3 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// TestUpgradeThatFailsByTheHelmCommandIsNoticed: the release has failed, if not by us.
func TestUpgradeThatFailsByTheHelmCommandIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	hr := w.release("app", values("k: good"))
	w.waitReleased(hr, 1)
	w.settle()
	if err := w.helmUpgrade("app", refusable(t, "1.0.0"), map[string]any{"k": "Not_A_Name"}); err == nil {
		t.Fatal("the upgrade has not failed")
	}
	w.waitReleased(hr, 3)
	w.expectValue("app", "good")
	if diff := cmp.Diff([]string{"1 superseded", "2 failed", "3 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// TestUninstallThatKeepsTheHistory by the helm command: the release is made anew where its
// name may be taken, and says what is in the way where it may not.
func TestUninstallThatKeepsTheHistory(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]bool{"is replaced": true, "is in the way": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{Replace: replace} })
			w.waitReleased(hr, 1)
			w.settle()
			uninstall := action.NewUninstall(w.helm())
			uninstall.KeepHistory = true
			if _, err := uninstall.Run("app"); err != nil {
				t.Fatal(err)
			}
			if replace {
				w.waitReleased(hr, 2)
				w.expectValue("app", "1")
				return
			}
			c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
			if !strings.Contains(c.Message, "cannot re-use a name that is still in use") {
				t.Errorf("Ready says %q; want it to say what is in the way", c.Message)
			}
			if diff := cmp.Diff([]string{"1 uninstalled"}, w.stored("app")); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSuspendedReleaseIsOfTheHelmCommand: what is done by it stays until the HelmRelease is
// resumed, and is undone then.
func TestSuspendedReleaseIsOfTheHelmCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", values("k: a"))
	w.waitReleased(hr, 1)
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
	w.settle()
	if err := w.helmUpgrade("app", demo(t, "1.0.0"), map[string]any{"k": "by-hand"}); err != nil {
		t.Fatal(err)
	}
	w.lookAgain(hr)
	w.expectValue("app", "by-hand")
	if got := w.stored("app"); len(got) != 2 {
		t.Errorf("stored are %q; want nobody to undo what was done while suspended", got)
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = false })
	w.waitReleased(hr, 3)
	w.expectValue("app", "a")
}
