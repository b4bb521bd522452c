package helmrelease_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/pkg/testplane"
)

// stuck is a chart of a Deployment that becomes ready unless k is "stuck".
func stuck(t *testing.T, version string) *charttest.Chart {
	t.Helper()
	return demo(t, version, "templates/d.yaml", `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 1
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      {{- if eq .Values.k "stuck" }}
      nodeSelector: {nowhere: 'true'}
      {{- end }}
      containers: [{name: main, image: "registry.example.com/main:1"}]
`)
}

// waitUnderWay waits until hr says that an action is.
func (w *world) waitUnderWay(hr *helmv2.HelmRelease, action string) {
	w.t.Helper()
	w.waitMessage(hr, helmv2.ConditionReconciling, "Running '"+action+"' action with timeout of")
}

// TestWaitingHoldsNoSlot: the first release never becomes ready. With one slot, a wait that
// held it would keep everybody else from working.
func TestWaitingHoldsNoSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--concurrent=1")
	w.publish(stuck(t, "1.0.0"))
	waits := w.release("waits", values("k: stuck"))
	w.waitUnderWay(waits, "install")
	if c := conditions.Get(waits, helmv2.ConditionReady); c.Status != metav1.ConditionUnknown {
		t.Errorf("Ready is %s; want it to be open", c.Status)
	}
	w.waitReleased(w.release("other"), 1)
}

func TestTimeoutTellsWhatIsNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"), func(s *helmv2.HelmReleaseSpec) { s.Timeout = &metav1.Duration{Duration: 2 * time.Second} })
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	for _, part := range []string{"Deployment/" + w.Namespace + "/app", "2s"} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("Ready says %q; want it to name %q", c.Message, part)
		}
	}
}

// TestEndOfTheProcessIsRecovered: the action is interrupted, and the next process goes on.
func TestEndOfTheProcessIsRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: good"))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: stuck"))
	w.waitUnderWay(hr, "upgrade")
	w.stop()
	w.change(hr, values("k: fine"))
	w.start()
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	w.expectValue("app", "fine")
	for _, s := range w.stored("app") {
		if strings.Contains(s, "pending") {
			t.Errorf("stored are %q; want nothing to be pending", w.stored("app"))
		}
	}
	if last := hr.Status.History.Latest(); last.Status != "deployed" || len(hr.Status.History) < 2 {
		t.Errorf("history is %q; want the release of before to be there", history(hr))
	}
}

// TestActionsEndBeforeTheProcess: what comes of them is recorded, too.
func TestActionsEndBeforeTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--graceful-shutdown-timeout=1m")
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app"}}
	w.Wait("the Deployment", d, func() bool { return true })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.stop()
	}()
	w.Patch(d, "night-shift", "spec: {template: {spec: {nodeSelector: null}}}")
	<-ended
	w.Get(hr)
	if last := hr.Status.History.Latest(); !ready(hr) || last == nil || last.Status != "deployed" {
		t.Errorf("conditions are %+v, history %q; want the release to be Ready", hr.Status.Conditions, history(hr))
	}
}

func TestNewSpecEndsTheWaitByGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--feature-gates=CancelHealthCheckOnNewRevision=true")
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: good"))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: stuck"))
	w.waitUnderWay(hr, "upgrade")
	w.change(hr, values("k: fine"))
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	w.expectValue("app", "fine")
}

func TestSuspendedIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = true }, values("k: new"))
	w.settle()
	allow := w.Traffic.Forbid(testplane.Writes("configmaps", "secrets"))
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5'}")
	w.publish(demo(t, "1.1.0"))
	w.lookAgain(hr)
	allow()
	w.expectValue("app", "5")
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = false })
	w.waitReleased(hr, 2)
	w.expectValue("app", "new")

	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.expectValue("app", "new")
}

// TestActionGoesOnWhileSuspended: it ends, and what came of it is recorded.
func TestActionGoesOnWhileSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	w.waitUnderWay(hr, "install")
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
	w.unstick("app")
	w.waitReleased(hr, 1)
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonInstallSucceeded) // not when it is resumed
	if conditions.Has(hr, helmv2.ConditionReconciling) {
		t.Errorf("conditions are %+v; want none of it to go on", hr.Status.Conditions)
	}
}

func TestDeletionDoesNotWaitForAnAction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	w.waitUnderWay(hr, "install")
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(w.configMap("app"))
	if stored := w.stored("app"); len(stored) > 0 {
		t.Errorf("stored are %q; want nothing to be left", stored)
	}
}

// TestFinalizerTakenOffByForce: the action does not go on for nobody, and one for another of
// the same name is not mixed up with it.
func TestFinalizerTakenOffByForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(stuck(t, "1.0.0"))
	hr := w.release("app", values("k: stuck"))
	w.waitUnderWay(hr, "install")
	w.Patch(hr, "somebody", "metadata: {finalizers: null}")
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	// Where the finalizer was put back in between, the object went as others do.
	w.Eventually("the action to end", func() bool {
		stored := w.stored("app")
		return len(stored) == 0 || cmp.Equal(stored, []string{"1 failed"})
	})
	again := w.release("app", values("k: good"))
	w.Wait("Ready", again, func() bool { return ready(again) })
	w.expectValue("app", "good")
}

func TestHistoryIsKeptIfAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	keep := func(s *helmv2.HelmReleaseSpec) { s.Uninstall = &helmv2.Uninstall{KeepHistory: true} }
	hr := w.release("app", keep)
	w.waitReleased(hr, 1)
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(w.configMap("app"))
	if diff := cmp.Diff([]string{"1 uninstalled"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	again := w.release("app", keep, func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{Replace: true} })
	w.waitReleased(again, 2)
	w.expectValue("app", "1")
}

func TestReleaseThatIsToBeElsewhereIsUninstalledFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.ReleaseName = "renamed" })
	w.Wait("the other name", hr, func() bool { return ready(hr) && hr.Status.History.Latest().Name == "renamed" })
	w.expectValue("renamed", "1")
	if w.Get(w.configMap("app")) || len(w.stored("app")) > 0 {
		t.Errorf("the release of before is left: stored are %q", w.stored("app"))
	}
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonUninstallSucceeded, w.Namespace+"/app.v1 with chart demo@1.0.0")

	other := charttest.New(t, "other", "1.0.0", map[string]string{"templates/o.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {k: o}\n"})
	w.publish(other)
	w.Wait("the other chart", hr, func() bool { return ready(hr) && hr.Status.History.Latest().ChartName == "other" })
	w.expectValue("other", "o")
	if got := hr.Status.History.Latest().Version; got != 1 || w.Get(w.configMap("renamed")) {
		t.Errorf("release %d of the other chart; want it to be installed anew", got)
	}
}

func TestWhatIsLaidOverTheChart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	w.change(hr, func(s *helmv2.HelmReleaseSpec) {
		s.CommonMetadata = &helmv2.CommonMetadata{Labels: map[string]string{"team": "a"}}
		s.PostRenderers = []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{Patches: []kustomize.Patch{{
			Patch: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {k: patched}\n",
		}}}}}
	})
	w.waitReleased(hr, 2)
	cm := w.configMap("app")
	if w.Get(cm); cm.Data["k"] != "patched" || cm.Labels["team"] != "a" || cm.Labels[helmv2.LabelNamespace] != w.Namespace {
		t.Errorf("the ConfigMap is %v %v; want it to be patched and labelled", cm.Data, cm.Labels)
	}
	if hr.Status.ObservedCommonMetadataDigest == "" || hr.Status.ObservedPostRenderersDigest == "" {
		t.Errorf("status is %+v; want the digests of both", hr.Status)
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.CommonMetadata, s.PostRenderers = nil, nil })
	w.waitReleased(hr, 3)
	if w.Get(cm); cm.Data["k"] != "1" || cm.Labels["team"] != "" || hr.Status.ObservedPostRenderersDigest != "" {
		t.Errorf("the ConfigMap is %v %v; want it to be as the chart has it", cm.Data, cm.Labels)
	}
}

func TestTestsOfTheChart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true} }
	hook := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.k }}, annotations: {helm.sh/hook: test}}\n"
	w.publish(demo(t, "1.0.0"))
	none := w.release("none", tests)
	w.waitReleased(none, 1)
	full := w.Namespace + "/none.v1 with chart demo@1.0.0"
	if got, want := conditions.GetMessage(none, helmv2.ConditionReady), "Helm test succeeded for release "+full+": no test hooks"; got != want {
		t.Errorf("Ready says %q; want %q", got, want)
	}
	w.publish(demo(t, "1.1.0", "templates/test.yaml", hook))
	one := w.release("one", tests, values("k: good"))
	w.waitReleased(one, 1)
	if got, want := conditions.GetMessage(one, helmv2.ConditionTestSuccess), "1 test hook completed successfully"; !strings.HasSuffix(got, want) {
		t.Errorf("TestSuccess says %q; want %q", got, want)
	}
	w.waitEvent(one, corev1.EventTypeNormal, helmv2.ReasonTestSucceeded, "1 test hook completed successfully")
	others := w.release("others", tests, values("k: fine"), func(s *helmv2.HelmReleaseSpec) {
		s.Test.Filters = &[]helmv2.Filter{{Name: "fine", Exclude: true}}
	})
	w.waitReleased(others, 1)
	if got, want := conditions.GetMessage(others, helmv2.ConditionTestSuccess), "spec.test.filters leave out all of the 1 test hooks"; !strings.HasSuffix(got, want) {
		t.Errorf("TestSuccess says %q; want %q", got, want)
	}
	bad := w.release("bad", tests, values("k: Not_A_Name"))
	w.WaitCondition(bad, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonTestFailed)
	w.WaitCondition(bad, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	w.WaitCondition(bad, helmv2.ConditionReleased, metav1.ConditionTrue, helmv2.ReasonInstallSucceeded)
	w.waitEvent(bad, corev1.EventTypeWarning, helmv2.ReasonTestFailed, "Helm test failed for release "+w.Namespace+"/bad.v1")
	w.change(bad, func(s *helmv2.HelmReleaseSpec) { s.Test.IgnoreFailures = true })
	w.WaitReady(bad)
	w.change(one, func(s *helmv2.HelmReleaseSpec) { s.Test = nil })
	w.Wait("no word of tests", one, func() bool { return ready(one) && !conditions.Has(one, helmv2.ConditionTestSuccess) })
}

func TestDependentWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	first := w.release("first", values("k: Not_A_Name"))
	second := w.release("second", func(s *helmv2.HelmReleaseSpec) { s.DependsOn = []meta.DependencyReference{{Name: "first"}} }, values("k: good"))
	w.waitMessage(second, helmv2.ConditionReady, "dependency '"+w.Namespace+"/first' is not ready")
	w.change(first, values("k: fine"))
	w.waitReleased(second, 1) // at once, not after an interval
	w.expectValue("first", "fine")
}

func TestTwoOfOneReleaseDoNotFight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	first := w.release("a-first", func(s *helmv2.HelmReleaseSpec) { s.ReleaseName = "app" }, values("k: first"))
	w.waitReleased(first, 1)
	second := w.release("b-second", func(s *helmv2.HelmReleaseSpec) { s.ReleaseName = "app" }, values("k: second"))
	w.waitMessage(second, helmv2.ConditionReady, "release "+w.Namespace+"/app is that of HelmRelease '"+w.Namespace+"/a-first' already")
	w.waitEvent(second, corev1.EventTypeNormal, helmv2.ReasonFailed, "a-first")
	w.expectValue("app", "first")
	if err := w.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.waitReleased(second, 1) // at once
	w.expectValue("app", "second")
}

// TestReleaseOfAnotherIsLeft: whoever has lost a release to another does not take it away,
// neither when it goes nor when it is given another name.
func TestReleaseOfAnotherIsLeft(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"deleted", "renamed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			older := w.release("a-older", named("app", true), values("k: older"))
			younger := w.release("b-younger", named("app", false), values("k: younger"))
			w.waitReleased(younger, 1)
			w.change(older, named("app", false))
			w.waitMessage(older, helmv2.ConditionReady, "is that of HelmRelease") // which has made it
			w.change(younger, func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
			w.waitReleased(older, 2)
			w.expectValue("app", "older")
			w.change(younger, named("app", false))
			w.waitMessage(younger, helmv2.ConditionReady, "is that of HelmRelease")
			if how == "renamed" {
				w.change(younger, named("other", false))
				w.waitReleased(younger, 1)
				w.expectValue("other", "younger")
			} else {
				if err := w.Client.Delete(t.Context(), younger); err != nil {
					t.Fatal(err)
				}
				w.WaitGone(younger)
			}
			w.expectValue("app", "older")
			if got := w.stored("app"); len(got) != 2 {
				t.Errorf("of the release that another has, %v is stored; want both versions", got)
			}
		})
	}
}
