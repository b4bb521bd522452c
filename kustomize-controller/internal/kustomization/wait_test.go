package kustomization_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

func waiting(s *kustomizev1.KustomizationSpec) { s.Wait = true }

func TestWaitsUntilAllIsHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", waiting)
	rev := w.publish(map[string]string{"d.yaml": deploymentYAML("web", ""), "a.yaml": configMapYAML("a", "k", "1")})
	w.waitApplied(ks, rev)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "web"}}
	if !w.Get(d) || d.Status.AvailableReplicas != 1 {
		t.Errorf("Ready with %d replicas available; want 1", d.Status.AvailableReplicas)
	}
	if c := conditions.Get(ks, kustomizev1.ConditionHealthy); c == nil || c.Status != metav1.ConditionTrue || c.Reason != kustomizev1.ReasonSucceeded {
		t.Errorf("Healthy is %v; want True", c)
	}
}

// TestNewRevisionEndsTheWait: the first revision can never become healthy. With one
// worker, a wait that held it would keep everybody else from running.
func TestNewRevisionEndsTheWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--concurrent=1")
	stuck := w.kustomization("stuck", "stuck", waiting)
	tree := map[string]string{"stuck/d.yaml": deploymentYAML("stuck", nowhere), "other/a.yaml": configMapYAML("a", "k", "1")}
	first := w.publish(tree)
	w.Wait("health checks", stuck, func() bool {
		return strings.HasPrefix(conditions.GetMessage(stuck, kustomizev1.ConditionReconciling), "Running health checks for revision "+first)
	})
	if c := conditions.Get(stuck, kustomizev1.ConditionHealthy); c == nil || c.Status != metav1.ConditionUnknown {
		t.Errorf("Healthy is %v; want Unknown", c)
	}
	other := w.kustomization("other", "other")
	w.waitApplied(other, first)

	tree["stuck/d.yaml"] = deploymentYAML("stuck", "")
	w.waitApplied(stuck, w.publish(tree))
}

func TestFailsEarlyWhenAnObjectHasFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", waiting)
	w.publish(map[string]string{"d.yaml": strings.Replace(deploymentYAML("web", nowhere), "replicas:", "progressDeadlineSeconds: 1\n  replicas:", 1)})
	c := w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonHealthCheckFailed)
	if want := fmt.Sprintf("Deployment/%s/web status: 'Failed'", w.Namespace); !strings.Contains(c.Message, want) || !strings.Contains(c.Message, "failed early") {
		t.Errorf("the condition says %q; want it to say %q", c.Message, want)
	}
	if ks.Status.LastAppliedRevision != "" || len(ks.Status.Inventory.Entries) != 1 {
		t.Errorf("applied revision %q, inventory %v; want none, and the object known", ks.Status.LastAppliedRevision, ks.Status.Inventory)
	}
	if got := ks.Status.History.Latest().LastReconciledStatus; got != kustomizev1.ReasonHealthCheckFailed {
		t.Errorf("history says %q; want %q", got, kustomizev1.ReasonHealthCheckFailed)
	}
	w.waitApplied(ks, w.publish(map[string]string{"d.yaml": deploymentYAML("web", "")}))
}

func TestDeletionWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
		s.DeletionPolicy, s.Timeout = kustomizev1.DeletionPolicyWaitForTermination, &metav1.Duration{Duration: 10 * time.Minute}
	})
	held := strings.Replace(configMapYAML("held", "k", "1"), "name: held", "name: held, finalizers: [example.com/hold]", 1)
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": held, "b.yaml": configMapYAML("free", "k", "1")}))
	if err := w.Client.Delete(t.Context(), ks); err != nil {
		t.Fatal(err)
	}
	cm := w.configMap("held")
	w.Wait("deletion was asked for", cm, func() bool { return cm.DeletionTimestamp != nil })
	w.WaitGone(w.configMap("free"))
	if !w.Get(ks) {
		t.Fatal("the Kustomization went before its object")
	}
	w.Patch(cm, "test", "metadata: {finalizers: null}")
	w.WaitGone(ks)
	if w.Get(cm) {
		t.Error("the object is left")
	}
}

// nowhere keeps Pods from being scheduled.
const nowhere = "nodeSelector: {nowhere: 'true'}, "

// deploymentYAML is a manifest of a Deployment; pods is more of the spec of its Pods.
func deploymentYAML(name, pods string) string {
	return strings.NewReplacer("NAME", name, "PODS", pods).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NS}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {PODScontainers: [{name: main, image: "registry.example.com/main:1"}]}
`)
}
