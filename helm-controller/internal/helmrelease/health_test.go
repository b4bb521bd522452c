package helmrelease_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
)

// lamps says when ConfigMaps are healthy: by their k.
func lamps() kustomize.CustomHealthCheck {
	return kustomize.CustomHealthCheck{APIVersion: "v1", Kind: "ConfigMap", HealthCheckExpressions: kustomize.HealthCheckExpressions{
		InProgress: "data.k == 'flickers'", Failed: "data.k == 'torn'", Current: "data.k == 'on'",
	}}
}

// checks has the health of objects judged by expressions.
func checks(exprs ...kustomize.CustomHealthCheck) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) { s.HealthCheckExprs = exprs }
}

// waits sets the strategy by which objects are waited for.
func waits(name helmv2.WaitStrategyName) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) { s.WaitStrategy = &helmv2.WaitStrategy{Name: name} }
}

// dependsOn makes a HelmRelease wait for another, by an expression unless that is empty.
func dependsOn(name, expr string) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) {
		s.DependsOn = append(s.DependsOn, meta.DependencyReference{Name: name, ReadyExpr: expr})
	}
}

// light sets the k of a ConfigMap, as somebody else.
func (w *world) light(name, k string) {
	w.t.Helper()
	w.Patch(w.configMap(name), "somebody", fmt.Sprintf("data: {k: %q}", k))
}

// TestHealthByExpressions: each of the three decides.
func TestHealthByExpressions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", values("k: flickers"), checks(lamps()))
	w.waitUnderWay(hr, "install")
	w.Wait("the ConfigMap", w.configMap("app"), func() bool { return true })
	w.light("app", "torn")
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	if want := fmt.Sprintf("failed early due to stalled resources: [ConfigMap/%s/app status: 'Failed'", w.Namespace); !strings.Contains(c.Message, want) {
		t.Errorf("Ready says %q; want it to say %q", c.Message, want)
	}

	// The next waits as well, until its lamp is on.
	w.change(hr, values("k: dark"))
	w.waitUnderWay(hr, "upgrade")
	w.Wait("the upgrade to be applied", w.configMap("app"), func() bool { return w.value("app") == "dark" })
	w.light("app", "on")
	w.waitReleased(hr, 2)
}

// TestHealthOfObjectsThatNobodyAsksAbout: a ConfigMap has none, so nothing is waited for.
func TestHealthOfObjectsThatNobodyAsksAbout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		adjust []func(*helmv2.HelmReleaseSpec)
	}{
		"without expressions": {why: "it is there, and that is all", adjust: nil},
		"about another kind":  {why: "they say nothing of this one", adjust: []func(*helmv2.HelmReleaseSpec){checks(kustomize.CustomHealthCheck{APIVersion: "v1", Kind: "Service", HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: "false"}})}},
		"as Helm 3 waits":     {why: "its rules know no expressions", adjust: []func(*helmv2.HelmReleaseSpec){checks(lamps()), waits(helmv2.WaitStrategyLegacy)}},
		"without being waited for": {why: "nobody asks for health", adjust: []func(*helmv2.HelmReleaseSpec){checks(lamps()), func(s *helmv2.HelmReleaseSpec) {
			s.Install = &helmv2.Install{DisableWait: true}
		}}},
	}
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			hr := w.release(strings.ReplaceAll(strings.ToLower(name), " ", "-"), append(tc.adjust, values("k: flickers"))...)
			w.waitReleased(hr, 1)
			if v := hr.Status.History[0].Status; v != "deployed" {
				t.Errorf("the release is %s (%s)", v, tc.why)
			}
		})
	}
}

// TestStrategyOfWaiting: both wait for a Deployment, and say what keeps it, each in its way.
func TestStrategyOfWaiting(t *testing.T) {
	t.Parallel()
	for name, early := range map[helmv2.WaitStrategyName]bool{helmv2.WaitStrategyPoller: true, helmv2.WaitStrategyLegacy: false} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(stuck(t, "1.0.0").Replace("  replicas: 1", "  replicas: 1\n  {{- if eq .Values.k \"stuck\" }}\n  progressDeadlineSeconds: 3\n  {{- end }}"))
			hr := w.release("app", values("k: stuck"), waits(name), func(s *helmv2.HelmReleaseSpec) {
				s.Timeout = &metav1.Duration{Duration: 6 * time.Second}
				if early { // nobody waits for that to end
					s.Timeout = &metav1.Duration{Duration: 10 * time.Minute}
				}
			})
			c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
			want := []string{"Deployment/" + w.Namespace + "/app", "Unschedulable"}
			if early {
				want = append(want, "failed early due to stalled resources")
			} else {
				want = append(want, "not ready after 6s")
			}
			for _, part := range want {
				if !strings.Contains(c.Message, part) {
					t.Errorf("Ready says %q; want it to say %q", c.Message, part)
				}
			}
			w.change(hr, values("k: good"))
			w.Wait("Ready", hr, func() bool { return ready(hr) })
		})
	}
}

func TestExpressionsThatMeanNothingStall(t *testing.T) {
	t.Parallel()
	const terminally = "Reconciliation failed terminally due to configuration error: "
	broken := lamps()
	broken.Kind, broken.Failed = "Secret", "data.k == "
	on := func(expr string) func(*helmv2.HelmReleaseSpec) {
		return func(s *helmv2.HelmReleaseSpec) { dependsOn("a", "")(s); dependsOn("b", expr)(s) }
	}
	tests := map[string]struct {
		why    string
		adjust func(*helmv2.HelmReleaseSpec)
		want   string
	}{
		"of health":     {why: "the author finds the field", adjust: checks(lamps(), broken), want: terminally + "healthCheckExprs[1].failed: 1:11: Syntax error"},
		"twice":         {why: "which is meant", adjust: checks(lamps(), lamps()), want: terminally + "healthCheckExprs[1]: ConfigMap has a check already, in healthCheckExprs[0]"},
		"of readiness":  {why: "the author finds the field", adjust: on("dep.status."), want: terminally + "dependsOn[1].readyExpr: 1:12: Syntax error"},
		"not boolean":   {why: "a field may be anything", adjust: on("dep.status.ready"), want: terminally + "dependsOn[1].readyExpr: it is of type dyn, not bool"},
		"of an unknown": {why: "there is self and dep only", adjust: on("status.ready == true"), want: terminally + "dependsOn[1].readyExpr: 1:1: undeclared reference to 'status'"},
	}
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			hr := w.release("app-"+strings.ReplaceAll(name, " ", "-"), tc.adjust)
			c := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonInvalidCELExpression)
			if !strings.HasPrefix(c.Message, tc.want) {
				t.Errorf("Stalled says %q; want %q first (%s)", c.Message, tc.want, tc.why)
			}
			if c := conditions.Get(hr, helmv2.ConditionReady); c == nil || c.Status != metav1.ConditionFalse || c.Reason != helmv2.ReasonInvalidCELExpression {
				t.Errorf("Ready is %v; want it to be False for InvalidCELExpression", c)
			}
			if hr.Status.ObservedGeneration != hr.Generation || len(w.stored(hr.Name)) > 0 {
				t.Errorf("status is %+v; want the generation to be observed, and nothing to be released", hr.Status)
			}
			w.waitEvent(hr, "Warning", helmv2.ReasonInvalidCELExpression, tc.want)
			w.change(hr, func(s *helmv2.HelmReleaseSpec) { s.HealthCheckExprs, s.DependsOn = nil, nil })
			w.waitReleased(hr, 1)
		})
	}
}

// TestReadyExprDecides: the dependency is suspended, so that it never becomes Ready.
func TestReadyExprDecides(t *testing.T) {
	t.Parallel()
	const same = "'version' in dep.metadata.?labels.orValue({}) && dep.metadata.labels.version == self.metadata.annotations.version"
	tests := map[string]struct {
		why   string
		flags []string
		adds  bool // the usual conditions count, too
	}{
		"alone":  {why: "as in Flux it takes the place of the usual conditions"},
		"on top": {why: "the gate adds it to them", flags: []string{"--feature-gates=AdditiveCELDependencyCheck=true"}, adds: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(tc.flags, "--requeue-dependency=1h")...)
			w.publish(demo(t, "1.0.0"))
			infra := w.release("infra", func(s *helmv2.HelmReleaseSpec) { s.Suspend = true })
			app := w.release("app", dependsOn("infra", same))
			w.WaitCondition(app, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonDependencyNotReady)
			w.Patch(app, "author", "metadata: {annotations: {version: v2}}")
			w.Patch(infra, "author", "metadata: {labels: {version: v1}}")
			w.Poke(app)
			w.WaitHandled(app)
			w.waitMessage(app, helmv2.ConditionReady, "dependency '"+w.Namespace+"/infra'")
			if len(w.stored("app")) > 0 {
				t.Error("it is released before what it depends on is ready")
			}
			w.Patch(infra, "author", "metadata: {labels: {version: v2}}")
			if tc.adds {
				w.Poke(app)
				w.WaitHandled(app)
				w.waitMessage(app, helmv2.ConditionReady, "dependency '"+w.Namespace+"/infra' is not ready")
				w.change(infra, func(s *helmv2.HelmReleaseSpec) { s.Suspend = false })
			}
			w.waitReleased(app, 1)
			if w.Get(infra); ready(infra) != tc.adds {
				t.Errorf("the dependency is Ready: %t; want %t (%s)", ready(infra), tc.adds, tc.why)
			}
		})
	}
}

// TestReadyExprThatCannotBeEvaluated: a field may come later, so nothing has failed yet.
func TestReadyExprThatCannotBeEvaluated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--requeue-dependency=1h")
	w.publish(demo(t, "1.0.0"))
	infra := w.release("infra")
	w.waitReleased(infra, 1)
	app := w.release("app", dependsOn("infra", "dep.metadata.annotations.ready == 'yes'"))
	w.waitMessage(app, helmv2.ConditionReady, "no such key: annotations")
	e := w.waitEvent(app, "Normal", helmv2.ReasonDependencyNotReady, "Dependencies do not meet ready condition, retrying in 1h0m0s: ")
	if !strings.Contains(e.Message, "no such key") {
		t.Errorf("the event says %q; want it to tell what is missing", e.Message)
	}
	if conditions.IsStalled(app) {
		t.Errorf("it is stalled: %+v", app.Status.Conditions)
	}
	w.Patch(infra, "author", "metadata: {annotations: {ready: 'yes'}}")
	w.waitReleased(app, 1)
	for _, e := range w.events(app) {
		if e.Type == "Warning" {
			t.Errorf("a dependency that is awaited warns: %s", e.Message)
		}
	}
}

func TestCycleIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--requeue-dependency=1h")
	w.publish(demo(t, "1.0.0"))
	a, b := w.release("a", dependsOn("b", "")), w.release("b", dependsOn("a", ""))
	w.waitMessage(a, helmv2.ConditionReady, strings.ReplaceAll("dependency cycle: NS/a -> NS/b -> NS/a", "NS", w.Namespace))
	w.waitMessage(b, helmv2.ConditionReady, strings.ReplaceAll("dependency cycle: NS/b -> NS/a -> NS/b", "NS", w.Namespace))
	w.change(b, func(s *helmv2.HelmReleaseSpec) { s.DependsOn = nil })
	w.waitReleased(a, 1)
	w.waitReleased(b, 1)
}
