package action

import (
	"fmt"
	"io"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/helm-controller/internal/cluster"
)

// kubeClient is the client of the SDK. The SDK calls it from goroutines of its own, where
// nobody else could keep a panic from ending the process. It also remembers why deletions
// failed, which the SDK tells to the log only.
type kubeClient struct {
	*cluster.Client
	deletions []error
	// earlier are manifests of releases before the one that is uninstalled.
	earlier []string
}

var (
	_ kube.Interface                    = (*kubeClient)(nil)
	_ kube.InterfaceExt                 = (*kubeClient)(nil)
	_ kube.InterfaceThreeWayMerge       = (*kubeClient)(nil)
	_ kube.InterfaceLogs                = (*kubeClient)(nil)
	_ kube.InterfaceDeletionPropagation = (*kubeClient)(nil)
)

// guard has a panic become an error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = panicked("working on objects", p)
	}
}

// panicked is the error that a panic becomes.
func panicked(while string, p any) error { return fmt.Errorf("panic while %s: %v", while, p) }

// Build implements kube.Interface. The SDK has nothing deleted of a release that renders
// nothing, and so nothing of those before it, unless there is something that it knows of.
func (c *kubeClient) Build(reader io.Reader, validate bool) (list kube.ResourceList, err error) {
	defer guard(&err)
	list, err = c.Client.Build(reader, validate)
	for _, manifest := range c.earlier {
		if err != nil || len(list) > 0 || validate {
			break
		}
		list, err = c.Client.Build(strings.NewReader(manifest), false)
	}
	return list, err
}

// Create implements kube.Interface.
func (c *kubeClient) Create(resources kube.ResourceList) (_ *kube.Result, err error) {
	defer guard(&err)
	return c.Client.Create(resources)
}

// Update implements kube.Interface.
func (c *kubeClient) Update(original, target kube.ResourceList, force bool) (*kube.Result, error) {
	return c.update(c.Client.Update, original, target, force)
}

// UpdateThreeWayMerge implements kube.InterfaceThreeWayMerge.
func (c *kubeClient) UpdateThreeWayMerge(original, target kube.ResourceList, force bool) (*kube.Result, error) {
	return c.update(c.Client.UpdateThreeWayMerge, original, target, force)
}

// update calls one of two that do the same. The SDK looks into the result of what fails.
func (c *kubeClient) update(by func(_, _ kube.ResourceList, _ bool) (*kube.Result, error), original, target kube.ResourceList, force bool) (res *kube.Result, err error) {
	defer func() {
		if res == nil {
			res = &kube.Result{}
		}
	}()
	defer guard(&err)
	return by(original, target, force)
}

// Wait implements kube.Interface.
func (c *kubeClient) Wait(resources kube.ResourceList, timeout time.Duration) (err error) {
	defer guard(&err)
	return c.Client.Wait(resources, timeout)
}

// WaitWithJobs implements kube.Interface.
func (c *kubeClient) WaitWithJobs(resources kube.ResourceList, timeout time.Duration) (err error) {
	defer guard(&err)
	return c.Client.WaitWithJobs(resources, timeout)
}

// WatchUntilReady implements kube.Interface.
func (c *kubeClient) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) (err error) {
	defer guard(&err)
	return c.Client.WatchUntilReady(resources, timeout)
}

// WaitForDelete implements kube.InterfaceExt.
func (c *kubeClient) WaitForDelete(resources kube.ResourceList, timeout time.Duration) (err error) {
	defer guard(&err)
	return c.Client.WaitForDelete(resources, timeout)
}

// Delete implements kube.Interface. It deletes just what it is given, which are objects of
// hooks, and those that a failed action has made: what earlier releases have left is not to
// go with these.
func (c *kubeClient) Delete(resources kube.ResourceList) (*kube.Result, []error) {
	return c.remove(func() (*kube.Result, []error) { return c.Client.Delete(resources) })
}

// DeleteWithPropagationPolicy implements kube.InterfaceDeletionPropagation.
func (c *kubeClient) DeleteWithPropagationPolicy(resources kube.ResourceList, policy metav1.DeletionPropagation) (*kube.Result, []error) {
	return c.remove(func() (*kube.Result, []error) { return c.Client.DeleteWithPropagationPolicy(resources, policy) })
}

// remove deletes, and remembers why that failed.
func (c *kubeClient) remove(by func() (*kube.Result, []error)) (res *kube.Result, errs []error) {
	defer func() {
		if p := recover(); p != nil {
			errs = append(errs, panicked("deleting objects", p))
		}
		c.deletions = append(c.deletions, errs...)
	}()
	return by()
}
