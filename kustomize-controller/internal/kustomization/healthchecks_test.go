package kustomization_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

// lamps says when ConfigMaps are healthy: by their light.
func lamps() kustomize.CustomHealthCheck {
	return kustomize.CustomHealthCheck{APIVersion: "v1", Kind: "ConfigMap", HealthCheckExpressions: kustomize.HealthCheckExpressions{
		InProgress: "!has(data.light) || data.light == 'flickers'", Failed: "data.light == 'torn'", Current: "data.light == 'on'",
	}}
}

// lamp is a ConfigMap of nobody, with a light.
func (w *world) lamp(name, light string) {
	w.t.Helper()
	cm := w.configMap(name)
	cm.Data = map[string]string{"light": light}
	w.Create(cm)
}

// light sets the light of a ConfigMap, as somebody else.
func (w *world) light(name, light string) {
	w.t.Helper()
	w.Patch(w.configMap(name), "somebody", fmt.Sprintf("data: {light: %q}", light))
}

// checking makes a Kustomization wait until lamps are lit.
func checking(names ...string) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) {
		for _, name := range names {
			s.HealthChecks = append(s.HealthChecks, meta.NamespacedObjectKindReference{APIVersion: "v1", Kind: "ConfigMap", Name: name})
		}
		s.HealthCheckExprs = []kustomize.CustomHealthCheck{lamps()}
	}
}

// waitChecking waits until the health of a revision is waited for.
func (w *world) waitChecking(ks *kustomizev1.Kustomization, revision string) {
	w.t.Helper()
	w.Wait("health checks", ks, func() bool {
		return strings.HasPrefix(conditions.GetMessage(ks, kustomizev1.ConditionReconciling), "Running health checks for revision "+revision)
	})
}

// TestHealthOfWhatOthersMade: what is checked need not be of the source.
func TestHealthOfWhatOthersMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outside := &appsv1.Deployment{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(deploymentYAML("outside", nowhere), "NS", w.Namespace)), outside); err != nil {
		t.Fatal(err)
	}
	w.Create(outside)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
		s.HealthChecks = []meta.NamespacedObjectKindReference{
			{Kind: "Deployment", Name: "outside", Namespace: w.Namespace}, // apps/v1 is meant
			{APIVersion: "v1", Kind: "ConfigMap", Name: "late"},           // of this namespace
		}
	})
	rev := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	w.waitChecking(ks, rev)
	w.Wait("applied before its health", w.configMap("a"), func() bool { return true })

	w.Patch(outside, "somebody", "spec: {template: {spec: {nodeSelector: null}}}")
	w.Wait("the Deployment runs", outside, func() bool { return outside.Status.AvailableReplicas == 1 })
	if w.Get(ks); ready(ks) == metav1.ConditionTrue {
		t.Error("Ready before all that is named exists")
	}
	w.lamp("late", "on")
	w.waitApplied(ks, rev)
	if c := conditions.Get(ks, kustomizev1.ConditionHealthy); c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("Healthy is %v; want True", c)
	}
	if got := len(ks.Status.Inventory.Entries); got != 1 {
		t.Errorf("the inventory has %d objects; what is only checked is none of them", got)
	}
}

// TestHealthByExpressions: each of the three decides, of applied objects and of others.
func TestHealthByExpressions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		adjust func(*kustomizev1.KustomizationSpec)
		lamp   string
	}{
		"of what is applied": {why: "even a ConfigMap may take its time", lamp: "a", adjust: func(s *kustomizev1.KustomizationSpec) {
			s.Wait, s.HealthCheckExprs = true, []kustomize.CustomHealthCheck{lamps()}
		}},
		"of what is named": {why: "it may be anybody's", lamp: "lamp", adjust: checking("lamp")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.lamp("lamp", "flickers")
			ks := w.kustomization("app", "", tc.adjust, func(s *kustomizev1.KustomizationSpec) {
				s.RetryInterval = &metav1.Duration{Duration: time.Hour}
			})
			rev := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
			w.waitChecking(ks, rev)
			w.light(tc.lamp, "torn")
			c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonHealthCheckFailed)
			if want := fmt.Sprintf("failed early due to stalled resources: [ConfigMap/%s/%s status: 'Failed'", w.Namespace, tc.lamp); !strings.Contains(c.Message, want) {
				t.Errorf("Ready says %q; want it to say %q (%s)", c.Message, want, tc.why)
			}
			w.light(tc.lamp, "on")
			w.waitApplied(ks, rev)
		})
	}
}

// TestHealthOfCustomResource: without the expressions it would never be healthy, for it
// has no conditions and its controller is not here.
func TestHealthOfCustomResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.source("other")
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
		s.HealthChecks = []meta.NamespacedObjectKindReference{{APIVersion: sourcev1.GroupVersion.String(), Kind: sourcev1.GitRepositoryKind, Name: other.Name}}
		s.HealthCheckExprs = []kustomize.CustomHealthCheck{{
			APIVersion: sourcev1.GroupVersion.String(), HealthCheckExpressions: kustomize.HealthCheckExpressions{
				Failed: "has(metadata.labels) && 'broken' in metadata.labels", Current: "has(metadata.labels) && 'up' in metadata.labels",
			},
		}}
	})
	rev := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	w.waitChecking(ks, rev)
	// Its status is about an earlier spec so far, whatever its labels say.
	w.Patch(other, "somebody", "metadata: {labels: {broken: 'yes'}}")
	w.Poke(ks)
	w.WaitHandled(ks)
	w.Patch(other, "somebody", "metadata: {labels: {broken: null}}")
	other.Status.ObservedGeneration = other.Generation
	if err := w.Client.Status().Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.Patch(other, "somebody", "metadata: {labels: {up: 'yes'}}")
	w.waitApplied(ks, rev)
	for _, e := range w.events(ks) {
		if e.Reason == kustomizev1.ReasonHealthCheckFailed {
			t.Errorf("the check has failed: %s", e.Message)
		}
	}
	w.Patch(other, "somebody", "metadata: {labels: {broken: 'yes'}}")
	w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonHealthCheckFailed)
}

func TestExpressionsThatMeanNothingStall(t *testing.T) {
	t.Parallel()
	const terminally = "Reconciliation failed terminally due to configuration error: "
	with := func(exprs ...kustomize.CustomHealthCheck) func(*kustomizev1.KustomizationSpec) {
		return func(s *kustomizev1.KustomizationSpec) { s.HealthCheckExprs = exprs }
	}
	broken := lamps()
	broken.Kind, broken.Failed = "Secret", "data.light == "
	on := func(expr string) func(*kustomizev1.KustomizationSpec) {
		return func(s *kustomizev1.KustomizationSpec) {
			s.DependsOn = []meta.DependencyReference{{Name: "a"}, {Name: "b", ReadyExpr: expr}}
		}
	}
	tests := map[string]struct {
		why    string
		adjust func(*kustomizev1.KustomizationSpec)
		want   string
	}{
		"of health":     {why: "the author finds the field", adjust: with(lamps(), broken), want: terminally + "healthCheckExprs[1].failed: 1:15: Syntax error"},
		"twice":         {why: "which is meant", adjust: with(lamps(), lamps()), want: terminally + "healthCheckExprs[1]: ConfigMap has a check already, in healthCheckExprs[0]"},
		"of readiness":  {why: "the author finds the field", adjust: on("dep.status."), want: terminally + "dependsOn[1].readyExpr: 1:12: Syntax error"},
		"not boolean":   {why: "a field may be anything", adjust: on("dep.status.ready"), want: terminally + "dependsOn[1].readyExpr: it is of type dyn, not bool"},
		"of an unknown": {why: "there is self and dep only", adjust: on("status.ready == true"), want: terminally + "dependsOn[1].readyExpr: 1:1: undeclared reference to 'status'"},
	}
	w := newWorld(t)
	rev := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ks := w.kustomization("app-"+strings.ReplaceAll(name, " ", "-"), "", tc.adjust)
			c := w.WaitCondition(ks, kustomizev1.ConditionStalled, metav1.ConditionTrue, kustomizev1.ReasonInvalidCELExpression)
			if !strings.HasPrefix(c.Message, tc.want) {
				t.Errorf("Stalled says %q; want %q first (%s)", c.Message, tc.want, tc.why)
			}
			if c := conditions.Get(ks, kustomizev1.ConditionReady); c == nil || c.Status != metav1.ConditionFalse || c.Reason != kustomizev1.ReasonInvalidCELExpression {
				t.Errorf("Ready is %v; want False for the same reason", c)
			}
			w.Patch(ks, "author", "spec: {healthCheckExprs: null, dependsOn: null}")
			w.waitApplied(ks, rev)
			if stalled(ks) != nil {
				t.Errorf("a spec that means something is still %v", stalled(ks))
			}
		})
	}
}

// TestNewRevisionOrSpecEndsTheCheck: with one worker, a wait that held it would keep
// either from being seen.
func TestNewRevisionOrSpecEndsTheCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--concurrent=1")
	w.lamp("lamp", "flickers")
	ks := w.kustomization("app", "", checking("lamp"))
	w.waitChecking(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	second := w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "2")})
	w.waitChecking(ks, second)
	cm := w.configMap("a")
	if w.Get(cm); cm.Data["k"] != "2" {
		t.Errorf("the second revision is checked with %v applied", cm.Data)
	}
	w.Patch(ks, "author", "spec: {healthChecks: null}")
	w.waitApplied(ks, second)
	if c := conditions.Get(ks, kustomizev1.ConditionHealthy); c != nil {
		t.Errorf("nothing is checked, and Healthy is %v", c)
	}
	for _, e := range w.events(ks) {
		if e.Reason == kustomizev1.ReasonHealthCheckFailed {
			t.Errorf("a check that was ended has failed: %s", e.Message)
		}
	}
}

func TestWaitingHoldsNoWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--concurrent=2")
	w.lamp("lamp", "flickers")
	tree := map[string]string{"free/a.yaml": configMapYAML("free", "k", "1")}
	const many = 6
	for i := range many {
		tree[fmt.Sprintf("w%d/a.yaml", i)] = configMapYAML(fmt.Sprintf("w%d", i), "k", "1")
	}
	rev := w.publish(tree)
	var waiting []*kustomizev1.Kustomization
	for i := range many {
		waiting = append(waiting, w.kustomization(fmt.Sprintf("w%d", i), fmt.Sprintf("w%d", i), checking("lamp")))
	}
	for _, ks := range waiting {
		w.waitChecking(ks, rev)
	}
	w.waitApplied(w.kustomization("free", "free"), rev)
	for _, ks := range waiting {
		if w.Get(ks); ready(ks) != metav1.ConditionUnknown {
			t.Errorf("%s is %q while it waits; want Unknown", ks.Name, ready(ks))
		}
	}
	w.light("lamp", "on")
	for _, ks := range waiting {
		w.waitApplied(ks, rev)
	}
}

// TestTenantChecksWhatItMaySee: its rights are in its namespace, and for ConfigMaps only.
func TestTenantChecksWhatItMaySee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account("team")
	w.lamp("lamp", "flickers")
	may := w.kustomization("may", "may", as("team"), checking("lamp"))
	mayNot := w.kustomization("may-not", "maynot", as("team"), func(s *kustomizev1.KustomizationSpec) {
		s.Timeout = &metav1.Duration{Duration: time.Second}
		s.HealthChecks = []meta.NamespacedObjectKindReference{{APIVersion: "v1", Kind: "Secret", Name: "s"}}
	})
	rev := w.publish(map[string]string{"may/a.yaml": configMapYAML("a", "k", "1"), "maynot/b.yaml": configMapYAML("b", "k", "1")})
	w.waitChecking(may, rev)
	w.light("lamp", "on")
	w.waitApplied(may, rev)
	c := w.WaitCondition(mayNot, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonHealthCheckFailed)
	if want := fmt.Sprintf("Secret/%s/s status: 'Unknown': may neither be watched nor read: ", w.Namespace); !strings.Contains(c.Message, want) {
		t.Errorf("Ready says %q; want it to say %q", c.Message, want)
	}
}

// TestTimeoutTellsTheCause: that a Deployment is in progress says little.
func TestTimeoutTellsTheCause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", waiting, func(s *kustomizev1.KustomizationSpec) { s.Timeout = &metav1.Duration{Duration: time.Second} })
	w.publish(map[string]string{"d.yaml": deploymentYAML("web", nowhere), "e.yaml": deploymentYAML("fine", "")})
	c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonHealthCheckFailed)
	for _, part := range []string{"timeout waiting for: [Deployment/" + w.Namespace + "/web status: 'InProgress'", ": Pod web-", ": Unschedulable: "} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("Ready says %q; want it to say %q", c.Message, part)
		}
	}
	if strings.Contains(c.Message, "/fine ") {
		t.Errorf("Ready says %q; want it to name only what is not healthy", c.Message)
	}
}
