package cluster

import (
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// maxPods bounds of how many Pods of a hook the logs are read.
	maxPods = 20
	// maxLog bounds how much is read of the log of a container, from its end.
	maxLog = 256 << 10
	// maxLines bounds the same in lines.
	maxLines = 1000
)

// GetPodList implements kube.InterfaceLogs: the Pods of a hook whose logs are asked for.
func (c *Client) GetPodList(namespace string, opts metav1.ListOptions) (*corev1.PodList, error) {
	if err := c.alive(); err != nil {
		return nil, err
	}
	clients, err := c.conn.typed()
	if err != nil {
		return nil, err
	}
	opts.Limit = maxPods
	pods, err := clients.CoreV1().Pods(namespace).List(c.ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("listing the Pods of a hook: %w", err)
	}
	return pods, nil
}

// OutputContainerLogsForPodList implements kube.InterfaceLogs: it copies what containers
// have logged last.
func (c *Client) OutputContainerLogsForPodList(pods *corev1.PodList, namespace string, writer func(namespace, pod, container string) io.Writer) error {
	if err := c.alive(); err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Spec.Containers {
			if err := c.copyLog(writer(namespace, pod.Name, container.Name), namespace, pod.Name, container.Name); err != nil {
				return fmt.Errorf("reading the log of container %q of Pod/%s/%s: %w", container.Name, namespace, pod.Name, err)
			}
		}
	}
	return nil
}

// copyLog copies the end of the log of a container.
func (c *Client) copyLog(to io.Writer, namespace, pod, container string) error {
	clients, err := c.conn.typed()
	if err != nil {
		return err
	}
	lines := int64(maxLines)
	from, err := clients.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container, TailLines: &lines}).Stream(c.ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, io.LimitReader(from, maxLog))
	return err
}
