package plane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	readyTimeout = 90 * time.Second
	readyPoll    = 50 * time.Millisecond
)

// Up makes sure that the plane of opts.Dir runs, and returns the path of its
// kubeconfig when it can be used: the API server is ready, the default service
// account exists and the node takes Pods.
func Up(ctx context.Context, opts Options) (string, error) {
	l, err := claim(opts.Dir)
	if err != nil {
		return "", err
	}
	turn, _, err := lock(l.starting(), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer turn.Close()

	// Whoever starts the plane uses it for now, or it could stop under our hands.
	user, _, err := lock(l.users(), syscall.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer user.Close()

	held, stopped, err := lock(l.running(), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return "", err
	}
	var ended <-chan error
	if stopped {
		held.Close()
		if ended, err = launch(l, opts); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s: see %s", readyTimeout, l.logs()))
	defer cancel()
	return l.kubeconfig(), await(ctx, l, ended)
}

// launch starts the supervisor as a process that outlives this one.
func launch(l layout, opts Options) (<-chan error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := openLog(l, SuperviseVerb)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, SuperviseVerb, "--dir", string(l), "--idle", opts.Idle.String(), fmt.Sprintf("--fsync=%t", opts.Fsync))
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, string(l)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(cmd.Wait(), errors.New("the supervisor has ended")) }()
	return ended, nil
}

// await returns when the plane can be used.
func await(ctx context.Context, l layout, ended <-chan error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	var last error
	for {
		if last = usable(ctx, l); last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case err := <-ended:
			return fmt.Errorf("%w\n%s", err, tail(l, SuperviseVerb))
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
		}
	}
}

// usable returns what is still missing, nil if nothing is.
func usable(ctx context.Context, l layout) error {
	c, err := connect(l)
	if err != nil {
		return err
	}
	if _, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("API server is not ready: %w", err)
	}
	if _, err := c.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("default service account: %w", err)
	}
	if _, err := c.RbacV1().ClusterRoles().Get(ctx, "cluster-admin", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("default roles: %w", err)
	}
	return nodeReady(ctx, c)
}

// nodeReady makes the simulated node and returns nil when it takes Pods.
func nodeReady(ctx context.Context, c kubernetes.Interface) error {
	node, err := c.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = c.CoreV1().Nodes().Create(ctx, simulatedNode(), metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0 {
			return nil
		}
	}
	return errors.New("node is not ready")
}

func simulatedNode() *corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("100000"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        nodeName,
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels:      map[string]string{"kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"},
		},
		Status: corev1.NodeStatus{Allocatable: room, Capacity: room},
	}
}
