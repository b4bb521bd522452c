package helmrelease

import (
	"errors"
	"testing"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/pkg/loop"
)

// TestReadyWhileAnActionRuns: it tells of an install or upgrade; while a failure is undone,
// the failure tells more.
func TestReadyWhileAnActionRuns(t *testing.T) {
	t.Parallel()
	failure := metav1.Condition{Type: helmv2.ConditionReady, Status: metav1.ConditionFalse, Reason: helmv2.ReasonUpgradeFailed, Message: "Helm upgrade failed", ObservedGeneration: 1}
	open := func(message string) metav1.Condition {
		return metav1.Condition{Type: helmv2.ConditionReady, Status: metav1.ConditionUnknown, Reason: helmv2.ReasonProgressing, Message: message, ObservedGeneration: 2}
	}
	tests := map[string]struct {
		what   plan.Action
		before []metav1.Condition
		want   metav1.Condition
	}{
		"an upgrade":         {what: plan.Upgrade, before: []metav1.Condition{failure}, want: open("Running 'upgrade' action with timeout of 5m0s")},
		"the first install":  {what: plan.Install, want: open("Running 'install' action with timeout of 5m0s")},
		"a rollback":         {what: plan.Rollback, before: []metav1.Condition{failure}, want: failure},
		"tests":              {what: plan.Test, before: []metav1.Condition{failure}, want: failure},
		"an unlock at first": {what: plan.Unlock, want: open("Running 'unlock' action with timeout of 5m0s")},
	}
	for name, tc := range tests {
		r := &Reconciler{}
		hr := a(func(hr *helmv2.HelmRelease) { hr.Status.Conditions = tc.before })
		w := &work{action: tc.what, ready: running(hr, tc.what)}
		r.known.of(hr).work = w
		ready := conditions.Get(hr, helmv2.ConditionReady)
		begun := ready.LastTransitionTime
		ready.LastTransitionTime = metav1.Time{}
		if diff := cmp.Diff(tc.want, *ready); diff != "" {
			t.Errorf("%s, when it begins (-want +got):\n%s", name, diff)
		}
		// The end of each run says that it goes on; Summarise has the last word.
		loop.MarkProgressing(hr, "it goes on")
		r.Summarise(hr, loop.Outcome{Verdict: loop.Progressing})
		ready = conditions.Get(hr, helmv2.ConditionReady)
		if !ready.LastTransitionTime.Equal(&begun) {
			t.Errorf("%s: Ready has the time %s; want it to stay %s", name, ready.LastTransitionTime, begun)
		}
		ready.LastTransitionTime = metav1.Time{}
		if diff := cmp.Diff(tc.want, *ready); diff != "" {
			t.Errorf("%s, while it runs (-want +got):\n%s", name, diff)
		}
		if !conditions.IsReconciling(hr) {
			t.Errorf("%s: conditions are %+v; want Reconciling", name, hr.Status.Conditions)
		}
	}
}

// TestUninstallIsToldOfTheVersion: messages name the release that was taken away.
func TestUninstallIsToldOfTheVersion(t *testing.T) {
	t.Parallel()
	last := &helmv2.Snapshot{Namespace: "shop", Name: "app", Version: 3, ChartName: "demo", ChartVersion: "1.0.0"}
	at := types.NamespacedName{Namespace: "shop", Name: "app"}
	tests := map[string]struct {
		w    work
		want string
	}{
		"done":    {w: work{before: last, place: at, chart: "demo@1.0.0"}, want: "Helm uninstall succeeded for release shop/app.v3 with chart demo@1.0.0"},
		"failed":  {w: work{before: last, place: at, chart: "demo@1.0.0", result: failed(errors.New("no"))}, want: "Helm uninstall failed for release shop/app.v3 with chart demo@1.0.0: no"},
		"nothing": {w: work{before: last, place: at, chart: "demo@1.0.0", result: action.Result{Absent: true}}, want: "Release shop/app.v3 was not found, assuming it is uninstalled"},
		"unknown": {w: work{place: at, chart: "demo@1.0.0"}, want: "Helm uninstall succeeded for release shop/app with chart demo@1.0.0"},
	}
	for name, tc := range tests {
		hr := a()
		tc.w.action = plan.Uninstall
		e, _ := (&Reconciler{}).say(hr, &tc.w)
		if e.Message != tc.want || conditions.GetMessage(hr, helmv2.ConditionReleased) != tc.want {
			t.Errorf("%s: the event says %q, Released %q; want %q", name, e.Message, conditions.GetMessage(hr, helmv2.ConditionReleased), tc.want)
		}
	}
}
