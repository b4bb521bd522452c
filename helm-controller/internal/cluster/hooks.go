package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
)

var (
	jobKind = schema.GroupKind{Group: "batch", Kind: "Job"}
	podKind = schema.GroupKind{Kind: "Pod"}
)

// runs reports whether objects of a kind run to an end, which is what their hook is for.
func runs(info *resource.Info) bool {
	gk := info.Mapping.GroupVersionKind.GroupKind()
	return gk == jobKind || gk == podKind
}

// createApart writes an object that is not tracked: one of a hook, or the namespace of the
// release. It changes info to what it is then.
func (c *Client) createApart(info *resource.Info, obj *unstructured.Unstructured) error {
	helper, err := c.conn.helper(info)
	if err != nil {
		return err
	}
	var live runtime.Object
	switch {
	case !isHook(info), obj.GetName() == "": // one that the API server is to name is always new
		live, err = helper.Create(info.Namespace, true, obj)
	case runs(info):
		live, err = c.createAfresh(helper, info, obj)
	default:
		live, err = put(helper, info, wanted(obj))
	}
	if err != nil {
		return c.failure(info, "not created", advised(err))
	}
	if err := info.Refresh(live, true); err != nil {
		return fmt.Errorf("%s: %w", idOf(info), err)
	}
	c.logf("created %s", idOf(info))
	return nil
}

// put applies an object of a hook, that may be there since an earlier run.
func put(helper *resource.Helper, info *resource.Info, obj *unstructured.Unstructured) (runtime.Object, error) {
	data, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, err
	}
	force := true
	return helper.Patch(info.Namespace, info.Name, types.ApplyPatchType, data, &metav1.PatchOptions{Force: &force})
}

var errNoHook = errors.New("one of this name exists that is of no hook: delete it, or name the hook otherwise")

// createAfresh creates what is to run. One that was left by an earlier run makes way: it
// would not run again.
func (c *Client) createAfresh(helper *resource.Helper, info *resource.Info, obj *unstructured.Unstructured) (runtime.Object, error) {
	live, err := helper.Create(info.Namespace, true, obj)
	if !apierrors.IsAlreadyExists(err) {
		return live, err
	}
	reader, err := c.conn.metadata()
	if err != nil {
		return nil, err
	}
	found, err := reader.Resource(info.Mapping.Resource).Namespace(info.Namespace).Get(c.ctx, info.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err == nil {
		if _, hook := found.GetAnnotations()[release.HookAnnotation]; !hook {
			return nil, errNoHook
		}
		c.logf("deleting %s, which an earlier run has left", idOf(info))
		if _, err := c.removeOne(reader, info, metav1.DeletePropagationBackground); err != nil {
			return nil, err
		}
		if err := c.WaitForDelete(kube.ResourceList{info}, leftTimeout); err != nil {
			return nil, err
		}
	}
	return helper.Create(info.Namespace, true, obj)
}

// leftTimeout bounds the wait for the end of what an earlier run has left.
const leftTimeout = time.Minute

// failure says what was tried with an object and why it did not work. Of Secrets, only the
// kind of the reason is told: the API server may repeat what it refuses.
func (c *Client) failure(info *resource.Info, attempt string, err error) error {
	if c.ctx.Err() != nil {
		return c.interrupted()
	}
	if obj, ok := info.Object.(*unstructured.Unstructured); ok && isSecret(obj) {
		err = withheld{reason: string(apierrors.ReasonForError(err)), err: err}
	}
	return fmt.Errorf("%s %s: %w", idOf(info), attempt, err)
}

// withheld is an error whose text is not told.
type withheld struct {
	reason string
	err    error
}

func (w withheld) Error() string {
	if w.reason == "" {
		return "the reason is not told, because it may repeat what is in the Secret"
	}
	return w.reason + " (the rest is not told, because it may repeat what is in the Secret)"
}

func (w withheld) Unwrap() error { return w.err }

// hookRules judge what runs to an end. To kstatus, a Pod is as it should be while it runs.
var hookRules = sync.OnceValues(func() (health.Rules, error) {
	condition := func(name string) string {
		return "has(status.conditions) && status.conditions.exists(c, c.type == '" + name + "' && c.status == 'True')"
	}
	phase := func(name string) string { return "has(status.phase) && status.phase == '" + name + "'" }
	return health.Compile([]kustomize.CustomHealthCheck{
		{APIVersion: "batch/v1", Kind: "Job", HealthCheckExpressions: kustomize.HealthCheckExpressions{
			Current: condition("Complete"), Failed: condition("Failed"),
		}},
		{APIVersion: "v1", Kind: "Pod", HealthCheckExpressions: kustomize.HealthCheckExpressions{
			Current: phase("Succeeded"), Failed: phase("Failed"),
		}},
	})
})

// WatchUntilReady implements kube.Interface: it waits until Jobs and Pods have run to their
// end, and fails as soon as one of them has failed. Other objects are ready as soon as they
// exist, which they do.
func (c *Client) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) error {
	if err := c.alive(); err != nil {
		return err
	}
	rules, err := hookRules()
	if err != nil {
		return fmt.Errorf("rules for hooks: %w", err)
	}
	var running []health.Awaited
	for _, info := range resources {
		if runs(info) {
			running = append(running, health.Awaited{
				ID: idOf(info), Resource: info.Mapping.Resource, Version: info.ResourceVersion, Rule: rules.For(info.Mapping.GroupVersionKind),
			})
		}
	}
	seen := make(map[manifest.ID]bool)
	var open []health.Verdict
	err = c.await(c.at.Lone, running, timeout, nil, func(verdicts []health.Verdict) (bool, error) {
		open = verdicts
		return len(open) == 0, ended(open, seen)
	})
	switch {
	case errors.Is(err, errTimeout):
		return fmt.Errorf("not ended after %s: %s", seconds(timeout), list(c.at.Lone.Explained(c.ctx, open)))
	case errors.Is(err, errEnded):
		return c.endings(open, resources)
	}
	return err
}

var errEnded = errors.New("ended otherwise than it should")

// ended reports that something that runs has failed, or has gone after it was seen. Before,
// it may not have been told yet.
func ended(open []health.Verdict, seen map[manifest.ID]bool) error {
	var err error
	for _, v := range open {
		if v.Status == health.Failed || v.Status == health.NotFound && seen[v.ID] {
			err = errEnded
		}
		if v.Status != health.Unknown && v.Status != health.NotFound {
			seen[v.ID] = true
		}
	}
	return err
}

// ending is how objects ended that did not succeed.
type ending struct{ error }

// Is implements the interface of errors.Is.
func (ending) Is(target error) bool { return target == errEnded }

// endings says how objects ended that did not succeed, and why.
func (c *Client) endings(open []health.Verdict, resources kube.ResourceList) error {
	ctx, cancel := context.WithTimeout(c.ctx, health.ExplainTimeout)
	defer cancel()
	var errs []error
	for _, v := range open {
		switch v.Status {
		case health.Failed:
			parts := []string{v.ID.String() + " failed", c.reasonOf(v.ID, resources), c.at.Lone.Explain(ctx, v.ID)}
			parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
			errs = append(errs, errors.New(strings.Join(parts, ": ")))
		case health.NotFound:
			errs = append(errs, fmt.Errorf("%s was deleted before it had ended", v.ID))
		}
	}
	return ending{c.joined(errs)}
}

// reasonOf reads why a Job or a Pod has failed; "" if it does not say, or may not be read.
func (c *Client) reasonOf(id manifest.ID, resources kube.ResourceList) string {
	for _, info := range resources {
		if idOf(info) != id {
			continue
		}
		helper, err := c.conn.helper(info)
		if err != nil {
			return ""
		}
		live, err := helper.Get(info.Namespace, info.Name)
		obj, ok := live.(*unstructured.Unstructured)
		if err != nil || !ok {
			return ""
		}
		return reason(obj)
	}
	return ""
}

// reason returns what the status of a Job or a Pod says of its failure.
func reason(obj *unstructured.Unstructured) string {
	status, _, _ := unstructured.NestedMap(obj.Object, "status")
	if obj.GroupVersionKind().GroupKind() == podKind {
		var pod corev1.PodStatus
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &pod); err != nil {
			return ""
		}
		return said(pod.Reason, pod.Message)
	}
	var job batchv1.JobStatus
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &job); err != nil {
		return ""
	}
	for _, condition := range job.Conditions {
		if condition.Type == batchv1.JobFailed && condition.Status == corev1.ConditionTrue {
			return said(condition.Reason, condition.Message)
		}
	}
	return ""
}

// said joins a reason and a message, either of which may be missing.
func said(reason, message string) string {
	return strings.TrimSuffix(strings.TrimPrefix(reason+": "+message, ": "), ": ")
}

// WaitAndGetCompletedPodPhase implements kube.Interface.
func (c *Client) WaitAndGetCompletedPodPhase(name string, timeout time.Duration) (corev1.PodPhase, error) {
	pod := corev1.SchemeGroupVersion.WithKind("Pod")
	mapping, err := c.mapping(pod, true)
	if err != nil {
		return corev1.PodUnknown, err
	}
	err = c.WatchUntilReady(kube.ResourceList{{Mapping: mapping, Namespace: c.opts.Release.Namespace, Name: name}}, timeout)
	switch {
	case err == nil:
		return corev1.PodSucceeded, nil
	case errors.Is(err, errEnded):
		return corev1.PodFailed, nil
	default:
		return corev1.PodUnknown, err
	}
}
