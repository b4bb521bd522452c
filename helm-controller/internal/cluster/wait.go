package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/health"
)

// deploymentKind has objects that a user may pause, so that they get nowhere.
var deploymentKind = schema.GroupKind{Group: "apps", Kind: "Deployment"}

// Wait implements kube.Interface: it waits until objects are healthy, but for Jobs.
func (c *Client) Wait(resources kube.ResourceList, timeout time.Duration) error {
	return c.wait(resources, timeout, false)
}

// WaitWithJobs implements kube.Interface: it waits until objects are healthy, and Jobs
// complete.
func (c *Client) WaitWithJobs(resources kube.ResourceList, timeout time.Duration) error {
	return c.wait(resources, timeout, true)
}

func (c *Client) wait(resources kube.ResourceList, timeout time.Duration, jobs bool) error {
	if err := c.alive(); err != nil {
		return err
	}
	if c.opts.Legacy {
		return c.waitLegacy(resources, timeout, jobs)
	}
	awaited := c.awaited(resources, jobs)
	c.logf("waiting up to %s for %d object(s)", seconds(timeout), len(awaited))
	var open []health.Verdict
	err := c.await(c.at.Health, awaited, timeout, c.opts.Newer, func(verdicts []health.Verdict) (bool, error) {
		open = verdicts
		if slices.ContainsFunc(open, func(v health.Verdict) bool { return v.Status == health.Failed }) {
			return false, errFailed
		}
		return len(open) == 0, nil
	})
	switch {
	case errors.Is(err, errFailed):
		return fmt.Errorf("%w: %s", errFailed, list(failed(c.at.Lone.Explained(c.ctx, open))))
	case errors.Is(err, errTimeout):
		return fmt.Errorf("not ready after %s: %s", seconds(timeout), list(c.at.Lone.Explained(c.ctx, open)))
	}
	return err
}

var errFailed = errors.New("failed early due to stalled resources")

// failed returns the verdicts on what has failed.
func failed(open []health.Verdict) []health.Verdict {
	return slices.DeleteFunc(slices.Clone(open), func(v health.Verdict) bool { return v.Status != health.Failed })
}

// awaited returns the objects whose health takes watching.
func (c *Client) awaited(resources kube.ResourceList, jobs bool) []health.Awaited {
	var out []health.Awaited
	for _, info := range resources {
		id, gvk := idOf(info), info.Mapping.GroupVersionKind
		rule := c.opts.Checks.For(gvk)
		if !served(info) || rule == nil && !watched(info, jobs) || c.isSelf(info) {
			continue
		}
		version := info.ResourceVersion
		if !c.clientSide() {
			last := c.at.Drift.Recall(id).Last
			if last.Content == "" {
				continue // it asks not to be applied
			}
			version = last.Version
		}
		out = append(out, health.Awaited{ID: id, Resource: info.Mapping.Resource, Version: version, Rule: rule})
	}
	return out
}

// watched reports whether objects such as one are awaited: not those that are as they
// should be once they exist, nor paused Deployments, nor Jobs unless they are asked for.
func watched(info *resource.Info, jobs bool) bool {
	gk := info.Mapping.GroupVersionKind.GroupKind()
	switch gk {
	case jobKind:
		return jobs
	case deploymentKind:
		return !paused(info)
	default:
		return !health.Immediate(gk)
	}
}

func paused(info *resource.Info) bool {
	obj, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return false
	}
	is, _, _ := unstructured.NestedBool(obj.Object, "spec", "paused")
	return is
}

// isSelf reports whether an object is the HelmRelease whose action this is, which cannot
// wait for itself.
func (c *Client) isSelf(info *resource.Info) bool {
	gk := info.Mapping.GroupVersionKind.GroupKind()
	return gk.Kind == helmReleaseKind.Kind && gk.Group == helmReleaseKind.Group &&
		info.Namespace == c.opts.Owner.Namespace && info.Name == c.opts.Owner.Name
}

var helmReleaseKind = schema.GroupKind{Group: "helm.toolkit.fluxcd.io", Kind: "HelmRelease"}

// list says of each object what is known of it.
func list(open []health.Verdict) string {
	texts := make([]string, len(open))
	for i, v := range open {
		texts[i] = v.String()
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
