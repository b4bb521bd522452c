package helmrelease_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/testplane"
)

// refuseSaves answers some writes of HelmReleases with an error, once an action has stored
// that its release has ended: the first write of a Secret stores that it has begun.
func (w *world) refuseSaves(n int32) {
	var stored, refused atomic.Int32
	w.Traffic.Break(func(r testplane.Request) error {
		switch {
		case testplane.Writes("secrets")(r):
			stored.Add(1)
		case testplane.Writes("helmreleases")(r) && stored.Load() >= 2 && refused.Add(1) <= n:
			return errors.New("no such luck")
		}
		return nil
	})
}

// TestOutcomeOutlivesAFailedSave: what came of an action is recorded, and counted once,
// although the status could not be saved at first.
func TestOutcomeOutlivesAFailedSave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	w.refuseSaves(4) // more than one run tries
	hr := w.release("app", values("k: Not_A_Name"))
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	if diff := cmp.Diff([]string{"1 1.0.0 failed by install"}, history(hr)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if hr.Status.InstallFailures != 1 || hr.Status.Failures != 1 || hr.Status.UpgradeFailures != 0 {
		t.Errorf("failures are %d, %d of installs, %d of upgrades; want the one of the install", hr.Status.Failures, hr.Status.InstallFailures, hr.Status.UpgradeFailures)
	}
	if diff := cmp.Diff([]string{"1 failed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonInstallFailed)
}

// TestOutcomeOutlivesAFailedSaveWhileSuspended: no other run would record it.
func TestOutcomeOutlivesAFailedSaveWhileSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	w.waitUnderWay(hr, "install")
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
	w.settle()
	var refused atomic.Int32
	w.Traffic.Break(func(r testplane.Request) error {
		if testplane.Writes("helmreleases")(r) && refused.Add(1) <= 3 {
			return errors.New("no such luck")
		}
		return nil
	})
	w.Patch(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app"}}, "night-shift", "spec: {template: {spec: {nodeSelector: null}}}")
	w.waitReleased(hr, 1)
	if n := refused.Load(); n <= 3 {
		t.Errorf("%d saves; want more than the three that were refused", n)
	}
}
