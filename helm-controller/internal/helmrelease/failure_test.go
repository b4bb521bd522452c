package helmrelease_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
)

// refusable is a chart whose release the API server refuses if k has no valid name.
func refusable(t *testing.T, version string) *charttest.Chart {
	t.Helper()
	return demo(t, version, "templates/other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.k | quote }}\n")
}

// retries has a failed install or upgrade repeated.
func retries(n int) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) {
		s.Install = &helmv2.Install{Remediation: &helmv2.InstallRemediation{Retries: n}}
		s.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: n}}
	}
}

func TestInstallThatFailsStallsUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	hr := w.release("app", values("k: Not_A_Name"))
	stalled := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	if want := "Failed to install after 1 attempt(s)"; stalled.Message != want {
		t.Errorf("Stalled says %q; want %q", stalled.Message, want)
	}
	c := conditions.Get(hr, helmv2.ConditionReady)
	prefix := "Helm install failed for release " + w.Namespace + "/app with chart demo@1.0.0: "
	if c.Status != metav1.ConditionFalse || c.Reason != helmv2.ReasonInstallFailed || !strings.HasPrefix(c.Message, prefix) || !strings.Contains(c.Message, "Not_A_Name") {
		t.Errorf("Ready is %s %s: %s; want InstallFailed, %q and the name", c.Status, c.Reason, c.Message, prefix)
	}
	if got := conditions.Get(hr, helmv2.ConditionReleased); got.Message != c.Message || got.Reason != c.Reason {
		t.Errorf("Released says %s: %s; want what Ready says", got.Reason, got.Message)
	}
	if hr.Status.ObservedGeneration != hr.Generation || hr.Status.InstallFailures != 1 || hr.Status.Failures != 1 {
		t.Errorf("status is %+v; want the generation to be observed, and one failure", hr.Status)
	}
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonInstallFailed, prefix, "Last Helm logs:")
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonRetriesExceeded, stalled.Message)

	token := w.ask(hr, helmv2.ResetRequestAnnotation) // which gives it another attempt
	w.Wait("the reset", hr, func() bool {
		return hr.Status.LastHandledResetAt == token && hr.Status.LastHandledReconcileAt == token && conditions.IsStalled(hr)
	})

	w.change(hr, values("k: good"))
	w.Wait("Ready", hr, func() bool { return ready(hr) && conditions.GetReason(hr, helmv2.ConditionStalled) == "" })
	w.expectValue("app", "good")
	if hr.Status.InstallFailures != 0 || hr.Status.UpgradeFailures != 0 || hr.Status.Failures != 0 {
		t.Errorf("failures are %d, %d, %d; want none to count", hr.Status.InstallFailures, hr.Status.UpgradeFailures, hr.Status.Failures)
	}
}

// ask asks for something once by an annotation, and returns the token.
func (w *world) ask(hr *helmv2.HelmRelease, annotation string) string {
	w.t.Helper()
	token := time.Now().Format(time.RFC3339Nano)
	w.Patch(hr, "test", "metadata: {annotations: {"+annotation+": '"+token+"', "+meta.ReconcileRequestAnnotation+": '"+token+"'}}")
	return token
}

func TestUpgradeThatFailsIsRolledBackAndRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	hr := w.release("app", values("k: good"), retries(1))
	w.waitReleased(hr, 1)
	w.change(hr, values("k: Not_A_Name"))
	stalled := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	if want := "Failed to upgrade after 2 attempt(s)"; stalled.Message != want {
		t.Errorf("Stalled says %q; want %q", stalled.Message, want)
	}
	w.expectValue("app", "good")
	rolledBack := "Helm rollback to previous release " + w.Namespace + "/app.v"
	for _, of := range []string{helmv2.ConditionReady, helmv2.ConditionRemediated} {
		c := conditions.Get(hr, of)
		if c == nil || c.Reason != helmv2.ReasonRollbackSucceeded || !strings.HasPrefix(c.Message, rolledBack) {
			t.Errorf("%s is %+v; want RollbackSucceeded: %s", of, c, rolledBack)
		}
	}
	if conditions.IsReady(hr) {
		t.Error("what was rolled back is Ready")
	}
	if hr.Status.UpgradeFailures != 2 {
		t.Errorf("%d failures of upgrades; want 2", hr.Status.UpgradeFailures)
	}
	want := []string{"1 superseded", "2 failed", "3 superseded", "4 failed", "5 deployed"}
	if diff := cmp.Diff(want, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonRollbackSucceeded, rolledBack, "with chart demo@1.0.0 succeeded")

	w.change(hr, values("k: better"))
	w.waitReleased(hr, 6)
	w.expectValue("app", "better")
	if conditions.Has(hr, helmv2.ConditionRemediated) {
		t.Error("Remediated is still there; want it to go with the next good release")
	}
}

func TestInstallThatFailsIsUninstalledAndRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	hr := w.release("app", values("k: Not_A_Name"), retries(1), func(s *helmv2.HelmReleaseSpec) {
		last := true
		s.Install.Remediation.RemediateLastFailure = &last
	})
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonUninstallSucceeded, "Helm uninstall remediation for release", "succeeded")
	if hr.Status.InstallFailures != 2 {
		t.Errorf("%d failures of installs; want 2", hr.Status.InstallFailures)
	}
	if w.Get(w.configMap("app")) {
		t.Error("the ConfigMap is left of the failed install")
	}
	if hr.Status.Inventory != nil {
		t.Errorf("the inventory is %v; want it to be empty", hr.Status.Inventory)
	}
}

func TestRetryOnFailureKeepsTheRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	second := metav1.Duration{Duration: time.Second}
	hr := w.release("app", values("k: Not_A_Name"), func(s *helmv2.HelmReleaseSpec) {
		s.Install = &helmv2.Install{Strategy: &helmv2.InstallStrategy{Name: helmv2.StrategyRetryOnFailure, RetryInterval: &second}}
		s.Upgrade = &helmv2.Upgrade{Strategy: &helmv2.UpgradeStrategy{Name: helmv2.StrategyRetryOnFailure, RetryInterval: &second}}
	})
	w.Wait("the second upgrade", hr, func() bool { return hr.Status.History.Latest() != nil && hr.Status.History.Latest().Version >= 3 })
	if conditions.IsStalled(hr) || conditions.Has(hr, helmv2.ConditionRemediated) {
		t.Errorf("conditions are %+v; want it to be neither stalled nor remediated", hr.Status.Conditions)
	}
	w.change(hr, values("k: good"))
	w.Wait("Ready", hr, func() bool { return ready(hr) })
	w.expectValue("app", "good")
}

// TestRequestEndsTheRest: who asks for a run does not wait for the interval of retries, and the
// rest begins anew after that.
func TestRequestEndsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(refusable(t, "1.0.0"))
	hour := metav1.Duration{Duration: time.Hour}
	hr := w.release("app", values("k: Not_A_Name"), func(s *helmv2.HelmReleaseSpec) {
		s.Install = &helmv2.Install{Strategy: &helmv2.InstallStrategy{Name: helmv2.StrategyRetryOnFailure, RetryInterval: &hour}}
		s.Upgrade = &helmv2.Upgrade{Strategy: &helmv2.UpgradeStrategy{Name: helmv2.StrategyRetryOnFailure, RetryInterval: &hour}}
	})
	w.Wait("the failure of the install", hr, func() bool { return hr.Status.InstallFailures == 1 })
	for _, version := range []int{2, 3} {
		w.Poke(hr)
		w.WaitHandled(hr)
		w.settle()
		if got := w.stored("app"); len(got) != version {
			t.Fatalf("after a request, the releases are %q; want %d", got, version)
		}
	}
}

func TestForceReleasesAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	token := w.ask(hr, helmv2.ForceRequestAnnotation)
	w.waitReleased(hr, 2)
	if hr.Status.LastHandledForceAt != token {
		t.Errorf("lastHandledForceAt is %q; want %q", hr.Status.LastHandledForceAt, token)
	}

	// It counts once, and only together with a request for a run.
	w.Patch(hr, "test", "metadata: {annotations: {"+helmv2.ForceRequestAnnotation+": another}}")
	w.Poke(hr)
	w.WaitHandled(hr)
	w.settle()
	if diff := cmp.Diff([]string{"1 superseded", "2 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.Wait("it to be noted", hr, func() bool { return hr.Status.LastHandledForceAt == "another" })
}

// TestForceThatFailsIsNotReady: the release is as it should be, and the one that was asked for
// could not be made. That is tried again, by another process as well.
func TestForceThatFailsIsNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.configMap("key")
	w.Create(key)
	w.publish(demo(t, "1.0.0", "templates/luck.yaml", "{{ if not (lookup \"v1\" \"ConfigMap\" .Release.Namespace \"key\") }}{{ fail \"no such luck\" }}{{ end }}\n"))
	hr := w.release("app")
	w.waitReleased(hr, 1)
	if err := w.Client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	token := w.ask(hr, helmv2.ForceRequestAnnotation)
	w.Wait("the failure", hr, func() bool { return hr.Status.LastHandledForceAt == token && hr.Status.LastHandledReconcileAt == token })
	failed := func(when string) {
		t.Helper()
		c := conditions.Get(hr, helmv2.ConditionReady)
		if c.Status == metav1.ConditionTrue || !strings.Contains(c.Message, "no such luck") && c.Reason != helmv2.ReasonProgressing {
			t.Errorf("%s, Ready is %s %s: %s; want it to tell of the failure", when, c.Status, c.Reason, c.Message)
		}
	}
	failed("at first")
	w.Poke(hr)
	w.WaitHandled(hr)
	failed("when asked again")
	w.stop()
	w.start()
	w.Poke(hr)
	w.WaitHandled(hr)
	failed("after a restart")
	w.Create(w.configMap("key"))
	w.Poke(hr)
	w.waitReleased(hr, 2)
}

// TestChartThatIsTakenBackMakesNoRelease: the one that does not render was never made, and what
// others changed meanwhile is put right before it is found that all is in order.
func TestChartThatIsTakenBackMakesNoRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(hr, 1)
	w.publish(demo(t, "2.0.0", "templates/bad.yaml", "{{ fail \"no such luck\" }}"))
	w.WaitCondition(hr, helmv2.ConditionReleased, metav1.ConditionFalse, helmv2.ReasonUpgradeFailed)
	w.Patch(w.configMap("app"), "night-shift", "data: {k: '5'}")
	w.offer(w.source, good)
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonDriftCorrected, "night-shift")
	w.WaitReady(hr)
	w.Poke(hr)
	w.WaitHandled(hr)
	if diff := cmp.Diff([]string{"1 deployed"}, w.stored("app")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	w.expectValue("app", "1")
}

// TestFieldWithoutEffectIsToldOnce for each spec.
func TestFieldWithoutEffectIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Rollback = &helmv2.Rollback{Recreate: true} })
	w.waitReleased(hr, 1)
	w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonFieldIgnored, "spec.rollback.recreate")
	w.stop()
	w.start()
	w.Poke(hr)
	w.WaitHandled(hr)
	w.change(hr, values("k: '2'")) // whose events come after those of before
	w.waitReleased(hr, 2)
	w.waitEvent(hr, corev1.EventTypeNormal, helmv2.ReasonUpgradeSucceeded)
	told := 0
	for _, e := range w.events(hr) {
		if e.Reason == helmv2.ReasonFieldIgnored {
			told += max(1, int(e.Count))
		}
	}
	if told != 2 {
		t.Errorf("it is told %d times; want once for each of two specs", told)
	}
}

// TestBadInput: what cannot be released leaves what is, and says what to mend.
func TestBadInput(t *testing.T) {
	t.Parallel()
	schema := `{"type": "object", "properties": {"k": {"type": "string"}}}`
	tests := map[string]struct {
		why    string
		chart  func(t *testing.T) *charttest.Chart
		change func(*helmv2.HelmReleaseSpec)
		reason string
		says   []string
	}{
		"a template that does not render": {
			why: "template and line are named",
			chart: func(t *testing.T) *charttest.Chart {
				return demo(t, "2.0.0", "templates/bad.yaml", "a: 1\nb: {{ fail \"no such luck\" }}\n")
			}, reason: helmv2.ReasonUpgradeFailed, says: []string{"demo/templates/bad.yaml:2", "no such luck"},
		},
		"a template that is no YAML": {
			why:   "the file is named",
			chart: func(t *testing.T) *charttest.Chart { return demo(t, "2.0.0", "templates/bad.yaml", "a: b: c\n") }, reason: helmv2.ReasonUpgradeFailed, says: []string{"bad.yaml"},
		},
		"values that break the schema": {
			why:    "the value is named",
			chart:  func(t *testing.T) *charttest.Chart { return demo(t, "2.0.0", "values.schema.json", schema) },
			change: values("k: {a: b}"), reason: helmv2.ReasonUpgradeFailed, says: []string{"k", "schema"},
		},
		"values that are not there": {
			why: "nobody guesses what they would be",
			change: func(s *helmv2.HelmReleaseSpec) {
				s.ValuesFrom = []meta.ValuesReference{{Kind: "ConfigMap", Name: "later"}}
			}, reason: helmv2.ReasonValuesError, says: []string{"later"},
		},
		"an object of an unknown kind": {
			why: "its definition is missing",
			chart: func(t *testing.T) *charttest.Chart {
				return demo(t, "2.0.0", "templates/bad.yaml", "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: n}\n")
			}, reason: helmv2.ReasonUpgradeFailed, says: []string{"Nothing"},
		},
		"an object in a namespace that is missing": {
			why: "it is not made up",
			chart: func(t *testing.T) *charttest.Chart {
				return demo(t, "2.0.0", "templates/bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n, namespace: {{ .Release.Namespace }}-gone}\n")
			}, reason: helmv2.ReasonUpgradeFailed, says: []string{"-gone"},
		},
		"a hook that fails": {
			why: "the API server refuses it",
			chart: func(t *testing.T) *charttest.Chart {
				return demo(t, "2.0.0", "templates/hook.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name, annotations: {helm.sh/hook: pre-upgrade}}\n")
			}, reason: helmv2.ReasonUpgradeFailed, says: []string{"pre-upgrade", "Not_A_Name"},
		},
		"a patch of nothing": {
			why: "the post-renderer is to blame",
			change: func(s *helmv2.HelmReleaseSpec) {
				s.PostRenderers = []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{Patches: []kustomize.Patch{{Patch: "not a patch"}}}}}
			}, reason: helmv2.ReasonUpgradeFailed, says: []string{"postRenderers[0]"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app")
			w.waitReleased(hr, 1)
			if tc.chart != nil {
				w.publish(tc.chart(t))
			}
			if tc.change != nil {
				w.change(hr, tc.change)
			}
			w.Wait("Ready to say "+tc.reason, hr, func() bool {
				c := conditions.Get(hr, helmv2.ConditionReady)
				for _, part := range tc.says {
					if c.Reason != tc.reason || !strings.Contains(c.Message, part) {
						return false
					}
				}
				return c.Status == metav1.ConditionFalse
			})
			w.expectValue("app", "1")
			w.waitEvent(hr, corev1.EventTypeWarning, tc.reason, tc.says...)
		})
	}
}

func TestMissingValuesAreReadWhenTheyCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.ValuesFrom = []meta.ValuesReference{{Kind: "Secret", Name: "later", ValuesKey: "k", TargetPath: "k"}}
	})
	w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonValuesError)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "later"}, StringData: map[string]string{"k": "from-secret"}}
	w.Create(secret)
	w.waitReleased(hr, 1)
	w.expectValue("app", "from-secret")

	w.Patch(secret, "test", "stringData: {k: changed}")
	w.waitReleased(hr, 2)
	w.expectValue("app", "changed")
}

func TestSecretValuesAreNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0", "templates/bad.yaml", "{{ fail .Values.k }}"))
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret"}, StringData: map[string]string{"values.yaml": "k: do-not-tell\n"}})
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.ValuesFrom = []meta.ValuesReference{{Kind: "Secret", Name: "secret"}}
	})
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	e := w.waitEvent(hr, corev1.EventTypeWarning, helmv2.ReasonInstallFailed)
	for _, text := range []string{c.Message, e.Message} {
		if strings.Contains(text, "do-not-tell") || !strings.Contains(text, "bad.yaml") {
			t.Errorf("told is %q; want the template, and not the value", text)
		}
	}
}
