package helmrelease_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/charttest"
	"weir.dev/pkg/testplane"
)

// hookOf is a template of a ConfigMap that is a hook.
func hookOf(name, events string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  annotations: {helm.sh/hook: \"" + events + "\"}\n"
}

// refusing has the API server out of reach for some requests.
func refusing(method, resource string) func(testplane.Request) error {
	return func(r testplane.Request) error {
		if r.Method == method && r.Resource == resource {
			return errors.New("no route to host")
		}
		return nil
	}
}

// TestRollbackThatFails says so, and the upgrade is tried again as often as it may be.
func TestRollbackThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0").With("templates/back.yaml", hookOf("Not_Back", "pre-rollback")))
	hr := w.release("app", values("k: good"), retries(1))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: Not_A_Name"))
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	failed := "Helm rollback to previous release " + w.Namespace + "/app.v1 with chart demo@1.0.0 failed: "
	for _, of := range []string{helmv2.ConditionReady, helmv2.ConditionRemediated} {
		c := conditions.Get(hr, of)
		if c == nil || c.Status != metav1.ConditionFalse || c.Reason != helmv2.ReasonRollbackFailed || !strings.HasPrefix(c.Message, failed) || !strings.Contains(c.Message, "Not_Back") {
			t.Errorf("%s is %+v; want RollbackFailed: %s, and the hook", of, c, failed)
		}
	}
	if hr.Status.UpgradeFailures != 2 {
		t.Errorf("%d failures of upgrades; want 2", hr.Status.UpgradeFailures)
	}
	if diff := cmp.Diff([]string{"1 deployed", "2 failed", "3 failed", "4 failed", "5 failed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonRollbackFailed, failed, "Last Helm logs:")

	w.change(hr, values("k: better"))
	w.waitReleased(hr, 6)
	w.expectValue("app", "better")
	if conditions.Has(hr, helmv2.ConditionRemediated) {
		t.Error("Remediated is still there; want it to go with the next good release")
	}
}

// TestNothingToGoBackTo: a release that others made was never good by our account.
func TestNothingToGoBackTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.helmInstall("app", demo(t, "0.9.0").Load())
	w.publish(refusable(t, "1.0.0"))
	hr := w.release("app", values("k: Not_A_Name"), retries(3))
	c := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonMissingRollbackTarget)
	const want = "Failed to perform remediation: missing target release for rollback"
	if c.Message != want {
		t.Errorf("Stalled says %q; want %q", c.Message, want)
	}
	if c := conditions.Get(hr, helmv2.ConditionReady); c.Status != metav1.ConditionFalse || c.Reason != helmv2.ReasonUpgradeFailed || !strings.Contains(c.Message, "Not_A_Name") {
		t.Errorf("Ready is %+v; want it to tell how the upgrade failed", c)
	}
	if hr.Status.UpgradeFailures != 1 || hr.Status.ObservedGeneration != hr.Generation {
		t.Errorf("status is %+v; want one failure, and the generation to be observed", hr.Status)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonMissingRollbackTarget, want)
	w.change(hr, values("k: good"))
	w.waitReleased(hr, 3)
	w.expectValue("app", "good")
}

// TestRemediationThatFails: what a failed install has left cannot be deleted.
func TestRemediationThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/hook.yaml", "{{ if ne .Values.k \"good\" }}\n"+hookOf("Not_A_Name", "post-install")+"{{ end }}\n"))
	w.Traffic.Break(refusing(http.MethodDelete, "configmaps"))
	hr := w.release("app", values("k: bad"), func(s *helmv2.HelmReleaseSpec) {
		last := true
		s.Install = &helmv2.Install{Remediation: &helmv2.InstallRemediation{RemediateLastFailure: &last}}
	})
	w.Wait("the remediation to fail", hr, func() bool {
		return conditions.GetReason(hr, helmv2.ConditionRemediated) == helmv2.ReasonUninstallFailed
	})
	failed := "Helm uninstall remediation for release " + w.Namespace + "/app.v1 with chart demo@1.0.0 failed: "
	if c := conditions.Get(hr, helmv2.ConditionRemediated); c.Status != metav1.ConditionFalse || !strings.HasPrefix(c.Message, failed) {
		t.Errorf("Remediated is %+v; want %q", c, failed)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUninstallFailed, failed, "no route to host", "Last Helm logs:")
	w.Traffic.Break(nil)
	w.change(hr, values("k: good"))
	w.Wait("Ready", hr, func() bool { return ready(hr) && !conditions.Has(hr, helmv2.ConditionRemediated) })
	w.expectValue("app", "good")
}

// TestUninstallThatFails is tried again: a HelmRelease does not go before its release.
func TestUninstallThatFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why string
		do  func(w *world, hr *helmv2.HelmRelease)
		of  string // the condition that tells it
		end func(w *world, hr *helmv2.HelmRelease)
	}{
		"of what is deleted": {
			why: "nothing of it may be left behind",
			do: func(w *world, hr *helmv2.HelmRelease) {
				if err := w.Client.Delete(w.t.Context(), hr); err != nil {
					w.t.Fatal(err)
				}
			},
			of:  helmv2.ConditionReady,
			end: func(w *world, hr *helmv2.HelmRelease) { w.WaitGone(hr) },
		},
		"of what is to be elsewhere": {
			why: "there must not be two",
			do: func(w *world, hr *helmv2.HelmRelease) {
				w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.ReleaseName = "other" })
			},
			of: helmv2.ConditionReleased,
			end: func(w *world, hr *helmv2.HelmRelease) {
				w.Wait("the other release", hr, func() bool { return ready(hr) && hr.Status.History.Latest().Name == "other" })
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app")
			w.waitReleased(hr, 1)
			w.Traffic.Break(refusing(http.MethodDelete, "configmaps"))
			tc.do(w, hr)
			w.Wait(tc.of+" to tell", hr, func() bool { return conditions.GetReason(hr, tc.of) == helmv2.ReasonUninstallFailed })
			failed := "Helm uninstall failed for release " + w.Namespace + "/app.v1 with chart demo@1.0.0: "
			if c := conditions.Get(hr, tc.of); c.Status != metav1.ConditionFalse || !strings.HasPrefix(c.Message, failed) || !strings.Contains(c.Message, "no route to host") {
				t.Errorf("%s is %+v; want %q and why", tc.of, c, failed)
			}
			w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUninstallFailed, failed)
			w.expectValue("app", "1")
			if w.Get(w.configMap("other")) {
				t.Errorf("there is another release before this one is gone (%s)", tc.why)
			}
			w.Traffic.Break(nil)
			tc.end(w, hr)
			if w.Get(w.configMap("app")) || len(w.stored("app")) > 0 {
				t.Errorf("the release is left: stored are %q", w.stored("app"))
			}
		})
	}
}

// TestUninstallThatFailsTellsNoSecrets, although the Secret is gone that a value came from. What
// the spec says is told.
func TestUninstallThatFailsTellsNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/hook.yaml", hookOf("{{ .Values.k }}-{{ .Values.plain }}", "pre-delete")))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret"}, StringData: map[string]string{"k": "Do_Not_Tell"}}
	w.Create(secret)
	hr := w.release("app", values("plain: Plain_Text"), func(s *helmv2.HelmReleaseSpec) {
		s.ValuesFrom = []meta.ValuesReference{{Kind: "Secret", Name: "secret", ValuesKey: "k", TargetPath: "k"}}
	})
	w.waitReleased(hr, 1)
	for _, obj := range []client.Object{secret, hr} {
		if err := w.Client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonUninstallFailed)
	e := w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUninstallFailed, "pre-delete")
	for _, text := range []string{c.Message, e.Message} {
		if strings.Contains(text, "Do_Not_Tell") || !strings.Contains(text, "***-Plain_Text") {
			t.Errorf("told is %q; want the error without the value, and with the other one", text)
		}
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.Uninstall = &helmv2.Uninstall{DisableHooks: true} })
	w.WaitGone(hr)
}

// TestTestsAreAwaited: until a test has ended, nobody knows how it goes.
func TestTestsAreAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/test.yaml",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}-test, annotations: {helm.sh/hook: test}}\nspec: {containers: [{name: a, image: example.com/a}]}\n"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true} })
	c := w.WaitCondition(hr, helmv2.ConditionTestSuccess, metav1.ConditionUnknown, helmv2.ReasonAwaitingTests)
	if want := "Helm release " + w.Namespace + "/app.v1 with chart demo@1.0.0 is awaiting tests"; c.Message != want {
		t.Errorf("TestSuccess says %q; want %q", c.Message, want)
	}
	w.WaitCondition(hr, helmv2.ConditionReleased, metav1.ConditionTrue, helmv2.ReasonInstallSucceeded)
	w.waitUnderWay(hr, "test")
	w.WaitCondition(hr, helmv2.ConditionReconciling, metav1.ConditionTrue, helmv2.ReasonProgressing)
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionUnknown, helmv2.ReasonAwaitingTests)

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app-test"}}
	w.Wait("the Pod to run", pod, func() bool { return pod.Status.Phase == corev1.PodRunning })
	pod.Status.Phase = corev1.PodSucceeded
	if err := w.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	w.WaitCondition(hr, helmv2.ConditionTestSuccess, metav1.ConditionTrue, helmv2.ReasonTestSucceeded)
	w.WaitReady(hr)
}

// TestWhatIsTriedAgainSaysSo: a reason that only a run can find out is kept meanwhile.
func TestWhatIsTriedAgainSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/bad.yaml", `{{ fail "no such luck" }}`))
	hr := w.release("app")
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	c := w.WaitCondition(hr, helmv2.ConditionReconciling, metav1.ConditionTrue, helmv2.ReasonProgressingWithRetry)
	if !strings.Contains(c.Message, "no such luck") {
		t.Errorf("Reconciling says %q; want it to tell the failure", c.Message)
	}
	if conditions.Has(hr, helmv2.ConditionStalled) || hr.Status.Failures != 0 || len(w.stored("app")) > 0 {
		t.Errorf("status is %+v; want nothing to count, for nothing was stored", hr.Status)
	}
}

// TestEventsSayWhichChart: by its version, that of the application, and the values.
func TestEventsSayWhichChart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chart := func(version, app string) *charttest.Chart {
		return refusable(t, version).With("Chart.yaml", "apiVersion: v2\nname: demo\nversion: "+version+"\nappVersion: "+app+"\n")
	}
	w.publish(chart("1.0.0", "v7"))
	hr := w.release("app", values("k: good"))
	w.waitReleased(hr, 1)
	about := func(e corev1.Event) map[string]string {
		return map[string]string{
			"revision": e.Annotations["helm.toolkit.fluxcd.io/revision"], "app-version": e.Annotations["helm.toolkit.fluxcd.io/app-version"],
			"token": e.Annotations["helm.toolkit.fluxcd.io/token"],
		}
	}
	first := w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonInstallSucceeded)
	want := map[string]string{"revision": "1.0.0", "app-version": "v7", "token": hr.Status.History[0].ConfigDigest}
	if diff := cmp.Diff(want, about(first)); diff != "" {
		t.Errorf("the event of the install (-want +got):\n%s", diff)
	}
	if got := hr.Status.History[0].AppVersion; got != "v7" {
		t.Errorf("the snapshot has application version %q; want v7", got)
	}

	w.publish(chart("1.1.0", "v8"))
	w.waitReleased(hr, 2)
	w.change(hr, values("k: Not_A_Name"))
	failed := w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonUpgradeFailed)
	w.Get(hr)
	want = map[string]string{"revision": "1.1.0", "app-version": "v8", "token": hr.Status.LastAttemptedConfigDigest}
	if diff := cmp.Diff(want, about(failed)); diff != "" {
		t.Errorf("the event of the upgrade that failed (-want +got):\n%s", diff)
	}
}

// TestHelmChartThatCannotBeWritten, or deleted, is told and tried again.
func TestHelmChartThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Traffic.Break(refusing(http.MethodPatch, "helmcharts"))
	hr := w.release("app", template)
	name := sourcev1.HelmChartKind + "/" + w.Namespace + "/" + w.chartOf(hr).Name
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonArtifactFailed)
	if !strings.Contains(c.Message, "applying "+name) {
		t.Errorf("Ready says %q; want it to name %s", c.Message, name)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonHelmChartSyncErr, "applying "+name, "no route to host")
	w.Traffic.Break(nil)
	chart := w.chartOf(hr)
	w.Wait("the HelmChart", chart, func() bool { return true })

	w.Traffic.Break(refusing(http.MethodDelete, "helmcharts"))
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonHelmChartSyncErr, "deleting "+name, "no route to host")
	if !w.Get(hr) || !w.Get(chart) {
		t.Error("the HelmRelease is gone, or its HelmChart; want both to stay until that is deleted")
	}
	w.Traffic.Break(nil)
	w.WaitGone(hr)
	w.WaitGone(chart)
}

// TestHelmChartOfAMissingNamespace is refused by the API server.
func TestHelmChartOfAMissingNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hr := w.release("app", template, func(s *helmv2.HelmReleaseSpec) { s.Chart.Spec.SourceRef.Namespace = w.Namespace + "-gone" })
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonArtifactFailed)
	if !strings.Contains(c.Message, w.Namespace+"-gone") {
		t.Errorf("Ready says %q; want it to name the namespace", c.Message)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonHelmChartSyncErr, w.Namespace+"-gone")
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr) // nothing is in the way
}
