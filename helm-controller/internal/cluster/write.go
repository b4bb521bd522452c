package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

// Create implements kube.Interface. It gets the objects of a release to be installed, those
// of a hook, and the namespace of a release.
func (c *Client) Create(resources kube.ResourceList) (*kube.Result, error) {
	if err := c.alive(); err != nil {
		return nil, err
	}
	if err := c.writable(resources); err != nil {
		return nil, err
	}
	if c.clientSide() {
		return c.createClientSide(resources)
	}
	var ours kube.ResourceList
	for _, info := range resources {
		obj, err := content(info)
		if err != nil {
			return nil, err
		}
		if claimed(obj) {
			ours.Append(info)
			continue
		}
		if err := c.createApart(info, obj); err != nil {
			return nil, err
		}
	}
	if len(ours) == 0 {
		return &kube.Result{Created: resources}, nil
	}
	return c.apply(ours)
}

// Update implements kube.Interface: it applies target, and deletes what is in original and
// not in target. The result is never nil; with an error, it has what was done before.
func (c *Client) Update(original, target kube.ResourceList, force bool) (*kube.Result, error) {
	return c.update(original, target, force, false)
}

// UpdateThreeWayMerge implements kube.InterfaceThreeWayMerge. To server-side apply there is
// no difference.
func (c *Client) UpdateThreeWayMerge(original, target kube.ResourceList, force bool) (*kube.Result, error) {
	return c.update(original, target, force, true)
}

func (c *Client) update(original, target kube.ResourceList, force, threeWay bool) (*kube.Result, error) {
	if err := c.alive(); err != nil {
		return &kube.Result{}, err
	}
	if err := c.writable(target); err != nil {
		return &kube.Result{}, err
	}
	var res *kube.Result
	var err error
	if c.clientSide() {
		res, err = c.updateClientSide(original, target, force, threeWay)
	} else {
		if force {
			c.logf("objects are not replaced: that is for client-side apply only")
		}
		res, err = c.apply(target)
	}
	if err != nil {
		return res, err
	}
	earlier, err := c.earlier()
	if err != nil {
		return res, err
	}
	stale := union(original, earlier).Difference(target)
	deleted, err := c.remove(stale, metav1.DeletePropagationBackground, c.removeStale)
	res.Deleted = deleted
	return res, err
}

// earlier returns the objects of earlier releases.
func (c *Client) earlier() (kube.ResourceList, error) {
	var all kube.ResourceList
	for _, manifest := range c.opts.Earlier {
		resources, err := c.Build(strings.NewReader(manifest), false)
		if err != nil {
			return nil, fmt.Errorf("an earlier release: %w", err)
		}
		all = union(all, resources)
	}
	return all, nil
}

// union returns the objects of both lists, each once.
func union(a, b kube.ResourceList) kube.ResourceList {
	return append(slices.Clip(a), b.Difference(a)...)
}

// writable refuses objects that cannot be written because their kind is not served.
func (c *Client) writable(resources kube.ResourceList) error {
	var errs []error
	for _, info := range resources {
		if !servedAsWritten(info) {
			errs = append(errs, fmt.Errorf("%s: %w", idOf(info), unserved(info.Object.GetObjectKind().GroupVersionKind())))
		}
	}
	return errors.Join(errs...)
}

// apply applies objects of the release server-side. The result is never nil.
func (c *Client) apply(resources kube.ResourceList) (*kube.Result, error) {
	objs := make([]*unstructured.Unstructured, 0, len(resources))
	infos := make(map[manifest.ID]*resource.Info, len(resources))
	for _, info := range resources {
		obj, err := content(info)
		if err != nil {
			return &kube.Result{}, err
		}
		objs = append(objs, wanted(obj))
		infos[idOf(info)] = info
	}
	prepared, err := apply.Prepare(objs, apply.Options{Wishes: apply.NoWishes})
	if err != nil {
		return &kube.Result{}, err
	}
	plan := prepared.Plan(c.at.Drift, apply.Options{Owner: c.opts.Owner})
	if plan.Idle() {
		c.logf("none of %d object(s) has changed", len(resources))
		return &kube.Result{}, nil
	}
	changes, err := c.at.Engine.Apply(c.ctx, plan, apply.Request{Strict: c.opts.Strict})
	c.note(changes...)
	res := resultOf(changes, infos)
	c.logf("applied %d object(s): %d created, %d updated", len(resources), len(res.Created), len(res.Updated))
	if err != nil && c.ctx.Err() != nil {
		return res, c.interrupted()
	}
	return res, advised(err)
}

// resultOf returns what was done in the form of the SDK.
func resultOf(changes []apply.Change, infos map[manifest.ID]*resource.Info) *kube.Result {
	res := &kube.Result{}
	for _, change := range changes {
		info := infos[change.ID]
		if info == nil {
			continue
		}
		switch change.Effect {
		case apply.Created:
			res.Created.Append(info)
		case apply.Configured, apply.Recreated:
			res.Updated.Append(info)
		}
	}
	return res
}
