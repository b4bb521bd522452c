package plane

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"weir.dev/deploy/localplane/internal/component"
)

func TestAccepts(t *testing.T) {
	started := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}
	node := func(taint string, conds ...corev1.NodeCondition) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Status: corev1.NodeStatus{Conditions: conds}}
		if taint != "" {
			n.Spec.Taints = []corev1.Taint{{Key: taint, Effect: corev1.TaintEffectNoSchedule}}
		}
		return n
	}
	heartbeat := func(at time.Time) *coordinationv1.Lease {
		renewed := metav1.NewMicroTime(at)
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "node-1"},
			Spec:       coordinationv1.LeaseSpec{RenewTime: &renewed},
		}
	}
	alive := heartbeat(started.Add(time.Second))
	tests := map[string]struct {
		why  string
		has  []runtime.Object
		want string // missing; empty means nothing
	}{
		"takes work":                {why: "all is there", has: []runtime.Object{account, node("", ready), alive}},
		"has no service account":    {why: "Pods would be refused", has: []runtime.Object{node("", ready), alive}, want: "no default service account"},
		"has no node":               {why: "it is the first start", has: []runtime.Object{account}, want: `"node-1" is not ready`},
		"has a node that is silent": {why: "kwok has not seen it", has: []runtime.Object{account, node(""), alive}, want: `"node-1" is not ready`},
		"has a tainted node":        {why: "the scheduler passes it by", has: []runtime.Object{account, node(corev1.TaintNodeNotReady, ready), alive}, want: `"node-1" is not ready`},
		"has a node with a taint of the user": {
			why: "that is how it is meant to be", has: []runtime.Object{account, node("gpu", ready), alive},
		},
		"has a node of the last run": {
			why: "kwok does not run yet", has: []runtime.Object{account, node("", ready), heartbeat(started.Add(-time.Hour))}, want: "no heartbeat",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := accepts(t.Context(), fake.NewClientset(tc.has...), 1, started)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("accepts() = %v, want %q (%s)", err, tc.want, tc.why)
			}
		})
	}
}

func TestMissingNodesAreMade(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
	c := fake.NewClientset(account)
	if err := accepts(t.Context(), c, 1, time.Now()); err == nil {
		t.Error("accepts() found a new node ready")
	}
	node, err := c.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if node.Annotations[component.SimulatedKey] != component.SimulatedValue {
		t.Errorf("annotations are %v, so kwok does not simulate it", node.Annotations)
	}
}
