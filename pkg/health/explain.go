package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/manifest"
	"weir.dev/pkg/watch"
)

const (
	// maxPods bounds how many Pods are read in search of a cause.
	maxPods = 100
	// maxCause bounds the text of a cause, in bytes.
	maxCause = 300
)

// podResource are the Pods.
var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// workloads are the kinds that run Pods, by a selector, and Pods themselves.
var workloads = map[schema.GroupKind]schema.GroupVersionResource{
	{Group: "apps", Kind: "Deployment"}:  {Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Kind: "StatefulSet"}: {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Kind: "DaemonSet"}:   {Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "apps", Kind: "ReplicaSet"}:  {Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "batch", Kind: "Job"}:        {Group: "batch", Version: "v1", Resource: "jobs"},
	{Kind: "Pod"}:                        podResource,
}

const (
	// maxExplained bounds how many objects Explained looks into.
	maxExplained = 5
	// ExplainTimeout is how long it may take to find out why objects are not healthy.
	ExplainTimeout = 5 * time.Second
)

// Explained returns verdicts with what Explain finds, for the first few of them; those on
// what has failed come first. It takes ExplainTimeout at most.
func (w *Watcher) Explained(ctx context.Context, open []Verdict) []Verdict {
	ctx, cancel := context.WithTimeout(ctx, ExplainTimeout)
	defer cancel()
	out := slices.Clone(open)
	slices.SortStableFunc(out, func(a, b Verdict) int { return cmp.Compare(urgency(a), urgency(b)) })
	for i := range out[:min(len(out), maxExplained)] {
		if cause := w.Explain(ctx, out[i].ID); cause != "" {
			out[i].Message = strings.TrimPrefix(out[i].Message+": "+cause, ": ")
		}
	}
	return out
}

func urgency(v Verdict) int {
	if v.Status == Failed {
		return 0
	}
	return 1
}

// Explain looks for what keeps an object from becoming healthy: what is wrong with one
// of its Pods. It reads the object and its Pods, so it is for the end of a wait. It
// returns "" where it finds nothing, or may not read.
func (w *Watcher) Explain(ctx context.Context, id manifest.ID) string {
	resource, ok := workloads[id.GroupKind()]
	if !ok {
		return ""
	}
	source, ok := w.open(watch.Key{Resource: resource}).(watch.Getter)
	if !ok {
		return ""
	}
	obj, err := source.Get(ctx, id.Namespace, id.Name)
	u, ok := obj.(*unstructured.Unstructured)
	if err != nil || !ok {
		return ""
	}
	if resource == podResource {
		return cut(troubleOf(u))
	}
	for _, pod := range w.podsOf(ctx, u) {
		if trouble := troubleOf(&pod); trouble != "" {
			return cut("Pod " + pod.GetName() + ": " + trouble)
		}
	}
	return cut(refusalOf(u))
}

// podsOf reads Pods that a workload selects, in the order of their names.
func (w *Watcher) podsOf(ctx context.Context, workload *unstructured.Unstructured) []unstructured.Unstructured {
	var spec struct {
		Selector *metav1.LabelSelector `json:"selector"`
	}
	content, _, _ := unstructured.NestedMap(workload.Object, "spec")
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &spec); err != nil || spec.Selector == nil {
		return nil
	}
	list, err := w.open(watch.Key{Resource: podResource, Namespace: workload.GetNamespace()}).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(spec.Selector), Limit: maxPods,
	})
	pods, ok := list.(*unstructured.UnstructuredList)
	if err != nil || !ok {
		return nil
	}
	slices.SortFunc(pods.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return pods.Items
}

// troubleOf returns what is wrong with a Pod, "" if nothing is. It says the same as
// long as the same is wrong, and nothing that the programs of the Pod have said.
func troubleOf(obj *unstructured.Unstructured) string {
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &pod); err != nil {
		return ""
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return "Unschedulable: " + c.Message
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if trouble := troubleOfContainer(c); trouble != "" {
			return fmt.Sprintf("container %q: %s", c.Name, trouble)
		}
	}
	return ""
}

func troubleOfContainer(c corev1.ContainerStatus) string {
	waiting, ended := c.State.Waiting, c.State.Terminated
	switch {
	case waiting != nil && waiting.Reason == "CrashLoopBackOff": // its message counts seconds
		if last := c.LastTerminationState.Terminated; last != nil {
			return fmt.Sprintf("CrashLoopBackOff: ended by %s", end(last))
		}
		return waiting.Reason
	case waiting != nil && waiting.Reason != "" && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
		return strings.TrimSuffix(waiting.Reason+": "+waiting.Message, ": ")
	case ended != nil && ended.ExitCode != 0:
		return "ended by " + end(ended)
	default:
		return ""
	}
}

// end says how a container has ended.
func end(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "" || t.Reason == "Error" {
		return fmt.Sprintf("exit code %d", t.ExitCode)
	}
	return fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode)
}

// refusalOf returns why a workload has no Pods, if the API server refuses them.
func refusalOf(obj *unstructured.Unstructured) string {
	for _, c := range conditionsOf(obj) {
		if c.Type == "ReplicaFailure" && c.Status == corev1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// cut shortens a text to what fits a message.
func cut(s string) string {
	if len(s) <= maxCause {
		return s
	}
	return strings.ToValidUTF8(s[:maxCause], "") + "..."
}
