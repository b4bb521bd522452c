package plane

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"weir.dev/deploy/localplane/internal/component"
	"weir.dev/deploy/localplane/internal/kubeconfig"
)

// maxNodes is what a plane on one machine is good for.
const maxNodes = 1000

// connect returns a client by the kubeconfig of path.
func connect(path string) (kubernetes.Interface, error) {
	config, err := kubeconfig.Read(path)
	if err != nil {
		return nil, err
	}
	config.Timeout = requestTimeout
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return c, nil
}

// usable returns what a plane that was started at since lacks to take work, nil if
// it lacks nothing.
func usable(ctx context.Context, c kubernetes.Interface, nodes int, since time.Time) error {
	if _, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("the API server is not ready: %w", err)
	}
	return accepts(ctx, c, nodes, since)
}

// accepts returns why Pods would not run in the default namespace. It makes the
// simulated nodes that are missing.
func accepts(ctx context.Context, c kubernetes.Interface, nodes int, since time.Time) error {
	if _, err := c.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("there is no default service account yet: %w", err)
	}
	for i := range nodes {
		if err := nodeReady(ctx, c, fmt.Sprintf("node-%d", i+1), since); err != nil {
			return err
		}
	}
	return nil
}

// nodeReady returns why a node does not take Pods. A heartbeat from before the
// plane was started does not count.
func nodeReady(ctx context.Context, c kubernetes.Interface, name string, since time.Time) error {
	node, err := c.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = c.CoreV1().Nodes().Create(ctx, simulated(name), metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("node %q is not there yet: %w", name, err)
	}
	ready := func(cond corev1.NodeCondition) bool {
		return cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue
	}
	// Taints that a user has put there are not ours to wait for.
	unready := func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	}
	if !slices.ContainsFunc(node.Status.Conditions, ready) || slices.ContainsFunc(node.Spec.Taints, unready) {
		return fmt.Errorf("node %q is not ready yet", name)
	}
	lease, err := c.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("node %q has no heartbeat yet: %w", name, err)
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(since) {
		return fmt.Errorf("node %q has no heartbeat yet", name)
	}
	return nil
}

// simulated is a node that kwok plays, with room for whatever comes.
func simulated(name string) *corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("1k"),
		corev1.ResourceMemory:           resource.MustParse("1Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		corev1.ResourcePods:             resource.MustParse("10k"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{component.SimulatedKey: component.SimulatedValue},
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: "amd64",
			},
		},
		Status: corev1.NodeStatus{Allocatable: room, Capacity: room},
	}
}
