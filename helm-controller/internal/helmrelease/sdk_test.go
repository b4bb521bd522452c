package helmrelease_test

import (
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
)

// helm is what the helm command works with, in the namespace of the test.
func (w *world) helm() *action.Configuration {
	w.t.Helper()
	settings := cli.New()
	settings.KubeConfig = w.Kubeconfig()
	settings.SetNamespace(w.Namespace)
	cfg := &action.Configuration{}
	if err := cfg.Init(settings.RESTClientGetter(), w.Namespace, "secrets", func(string, ...any) {}); err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// helmInstall installs a chart as the helm command does.
func (w *world) helmInstall(name string, c *chart.Chart) {
	w.t.Helper()
	install := action.NewInstall(w.helm())
	install.ReleaseName, install.Namespace = name, w.Namespace
	if _, err := install.RunWithContext(w.t.Context(), c, nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestReleaseOfTheHelmCommandIsAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.helmInstall("app", demo(t, "0.9.0").Load())
	cm := w.configMap("app")
	w.Get(cm)
	was := cm.UID
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 2)
	w.Get(cm)
	if cm.UID != was || cm.Data["chart"] != "1.0.0" || cm.Labels[helmv2.LabelName] != "app" {
		t.Errorf("the ConfigMap is %s %v %v; want the one of before, upgraded and ours", cm.UID, cm.Data, cm.Labels)
	}
	if diff := cmp.Diff([]string{"2 1.0.0 deployed by upgrade"}, history(hr)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 superseded", "2 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestRollbackByTheHelmCommandIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", values("k: a"))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: b"))
	w.waitReleased(hr, 2)
	w.settle()
	back := action.NewRollback(w.helm())
	back.Version = 1
	if err := back.Run("app"); err != nil {
		t.Fatal(err)
	}
	w.waitReleased(hr, 4) // at once, not after an interval
	w.expectValue("app", "b")
}

func TestUninstallByTheHelmCommandIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	if _, err := action.NewUninstall(w.helm()).Run("app"); err != nil {
		t.Fatal(err)
	}
	w.Wait("the ConfigMap to be back", w.configMap("app"), func() bool { return true })
	was := hr.Status.History.Latest().Digest
	w.Wait("another first release", hr, func() bool {
		last := hr.Status.History.Latest()
		return ready(hr) && last != nil && last.Version == 1 && last.Digest != was
	})
}

// begun stores the next version of a release as an upgrade that has just begun.
func (w *world) begun(name string) *release.Release {
	w.t.Helper()
	store := w.helm().Releases
	last, err := store.Last(name)
	if err != nil {
		w.t.Fatal(err)
	}
	next, info := *last, *last.Info
	info.Status, info.Description = release.StatusPendingUpgrade, "Preparing upgrade"
	next.Info, next.Version = &info, last.Version+1
	if err := store.Create(&next); err != nil {
		w.t.Fatal(err)
	}
	return &next
}

// TestHelmCommandAtWorkIsAwaited: it is noticed at once, and must not be broken.
func TestHelmCommandAtWorkIsAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	next := w.begun("app")
	w.waitMessage(hr, helmv2.ConditionReady, "Helm release "+w.Namespace+"/app.v2 is in pending-upgrade state: somebody else works on it")
	if diff := cmp.Diff([]string{"1 deployed", "2 pending-upgrade"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	next.Info.Status = release.StatusDeployed
	if err := w.helm().Releases.Update(next); err != nil {
		t.Fatal(err)
	}
	w.waitReleased(hr, 2)
}

// TestPendingReleaseIsTakenUp: a process that was killed leaves a release in between.
func TestPendingReleaseIsTakenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	w.stop()
	w.begun("app")
	w.start()
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonPendingRelease, "Unlocked Helm release "+w.Namespace+"/app.v2 with chart demo@1.0.0 in pending-upgrade state")
	w.waitReleased(hr, 3)
	if diff := cmp.Diff([]string{"1 superseded", "2 failed", "3 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestSecretThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.settle()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "sh.helm.release.v1.app.v1"}}
	w.Patch(secret, "test", "data: {release: bm90aGluZw==}")
	w.waitMessage(hr, helmv2.ConditionReady, secret.Name)
	if conditions.IsReady(hr) {
		t.Error("it is Ready")
	}
	w.expectValue("app", "1")
	if err := w.Client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.Wait("another release", hr, func() bool { return ready(hr) })
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
}

// TestRestartChangesNothing: what is in order is so for the next process as well.
func TestRestartChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.settle()
	w.stop()
	was := hr.Status.DeepCopy()
	w.start()
	w.lookAgain(hr)
	hr.Status.LastHandledReconcileAt = was.LastHandledReconcileAt
	if diff := cmp.Diff(*was, hr.Status); diff != "" {
		t.Errorf("the status has changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
