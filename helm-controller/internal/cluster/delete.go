package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/metadata"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
)

const (
	// parallel bounds the deletions under way.
	parallel = 8
	// tries bounds how often an object is looked at again because it has changed between
	// a look at it and its deletion.
	tries = 5
)

// Delete implements kube.Interface. It deletes in the reverse order of application, as much
// as it can. What is gone already is fine, and what is of another release, or asks to be
// kept, stays.
func (c *Client) Delete(resources kube.ResourceList) (*kube.Result, []error) {
	return c.delete(resources, metav1.DeletePropagationBackground)
}

// DeleteWithPropagationPolicy implements kube.InterfaceDeletionPropagation. The SDK calls it
// to uninstall a release, by the manifest of the newest one.
func (c *Client) DeleteWithPropagationPolicy(resources kube.ResourceList, policy metav1.DeletionPropagation) (*kube.Result, []error) {
	earlier, err := c.earlier()
	if err != nil {
		return nil, []error{err}
	}
	all := union(resources, earlier)
	c.also = all[len(resources):]
	return c.delete(all, policy)
}

func (c *Client) delete(resources kube.ResourceList, policy metav1.DeletionPropagation) (*kube.Result, []error) {
	if err := c.alive(); err != nil {
		return nil, []error{err}
	}
	deleted, err := c.remove(resources, policy, c.removeOne)
	if err != nil {
		return &kube.Result{Deleted: deleted}, []error{err}
	}
	return &kube.Result{Deleted: deleted}, nil
}

// remover deletes one object, and reports whether it was there.
type remover func(metadata.Interface, *resource.Info, metav1.DeletionPropagation) (deleted bool, err error)

// remove deletes objects, those that others depend on last, and returns which it deleted.
func (c *Client) remove(resources kube.ResourceList, policy metav1.DeletionPropagation, one remover) (kube.ResourceList, error) {
	reader, err := c.conn.metadata()
	if err != nil {
		return nil, err
	}
	ordered := slices.Clone(resources)
	slices.SortStableFunc(ordered, func(a, b *resource.Info) int { return cmp.Compare(rank(b), rank(a)) })
	var mu sync.Mutex
	var errs []error
	gone := make(map[*resource.Info]bool)
	for start := 0; start < len(ordered); {
		end := start + 1
		for end < len(ordered) && rank(ordered[end]) == rank(ordered[start]) {
			end++
		}
		var g errgroup.Group
		g.SetLimit(parallel)
		for _, info := range ordered[start:end] {
			g.Go(func() error {
				deleted, err := one(reader, info, policy)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, err)
				}
				gone[info] = deleted
				return nil
			})
		}
		_ = g.Wait() // the functions report to errs
		start = end
	}
	var out kube.ResourceList
	for _, info := range ordered {
		if gone[info] {
			out.Append(info)
			c.noteDeleted(info)
		}
	}
	return out, c.joined(errs)
}

func rank(info *resource.Info) int { return manifest.Rank(info.Mapping.GroupVersionKind.GroupKind()) }

// joined returns one error with the text of all, in an order that does not depend on which
// request was answered first.
func (c *Client) joined(errs []error) error {
	if len(errs) > 0 && c.ctx.Err() != nil {
		return c.interrupted()
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// noteDeleted remembers the deletion of an object of the release.
func (c *Client) noteDeleted(info *resource.Info) {
	if !isHook(info) {
		c.note(apply.Change{ID: idOf(info), Effect: apply.Deleted})
	}
}

// isHook reports whether an object is one of a hook.
func isHook(info *resource.Info) bool {
	obj, ok := info.Object.(metav1.Object)
	if !ok {
		return false
	}
	_, hook := obj.GetAnnotations()[release.HookAnnotation]
	return hook
}

// errUnseen is given to an object that one may not even look for.
var errUnseen = errors.New("could not be looked for")

// removeStale deletes an object that has left the release, unless one may not look for it,
// as where an upgrade has failed because of it. Helm goes on then, too: no later upgrade
// could succeed otherwise.
func (c *Client) removeStale(reader metadata.Interface, info *resource.Info, policy metav1.DeletionPropagation) (deleted bool, err error) {
	if deleted, err = c.removeOne(reader, info, policy); errors.Is(err, errUnseen) {
		c.logf("it may be left: %s", err)
		c.leave(info, err)
		return false, nil
	}
	return deleted, err
}

// removeOne deletes one object if it exists and is not somebody else's. It looks first,
// because only the live object tells, and deletes just what it saw.
func (c *Client) removeOne(reader metadata.Interface, info *resource.Info, policy metav1.DeletionPropagation) (deleted bool, err error) {
	id := idOf(info)
	switch {
	case info.Name == "": // the API server names it anew each time
		return false, nil
	case !served(info):
		c.settled(id, false)
		c.logf("%s is gone: its kind is not served any more", id)
		return false, nil
	}
	helper, err := c.conn.helper(info)
	if err != nil {
		return false, err
	}
	for n := 0; ; n++ {
		live, err := reader.Resource(info.Mapping.Resource).Namespace(info.Namespace).Get(c.ctx, info.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			c.at.Drift.Forget(id)
			c.settled(id, false)
			return false, nil
		case apierrors.IsForbidden(err):
			return false, fmt.Errorf("%s %w: %w", id, errUnseen, err)
		case err != nil:
			return false, fmt.Errorf("%s could not be looked for: %w", id, err)
		case !c.mayRemove(info, live):
			c.at.Drift.Forget(id)
			c.settled(id, false)
			return false, nil
		}
		c.at.Drift.Forget(id) // or its end would look like drift
		remains, err := removeSeen(helper, info, live, policy)
		switch {
		case apierrors.IsConflict(err) && n < tries:
			continue // changed since we looked: look again
		case err != nil && !apierrors.IsNotFound(err):
			return false, fmt.Errorf("%s could not be deleted: %w", id, err)
		}
		c.settled(id, remains)
		c.logf("deleted %s", id)
		return true, nil
	}
}

// mayRemove reports whether an object is to be deleted as it was found.
func (c *Client) mayRemove(info *resource.Info, live metav1.Object) bool {
	switch {
	case others(live, c.opts.Release):
		c.logf("%s stays: it is of release %s/%s by now", idOf(info),
			live.GetAnnotations()[annotationReleaseNamespace], live.GetAnnotations()[annotationReleaseName])
		return false
	case !isHook(info) && keep(live):
		c.logf("%s stays: its annotation %s asks for that", idOf(info), kube.ResourcePolicyAnno)
		return false
	default:
		return true
	}
}

// removeSeen deletes an object if it is still as it was seen, and reports whether it
// remains for a while.
func removeSeen(helper *resource.Helper, info *resource.Info, live metav1.Object, policy metav1.DeletionPropagation) (remains bool, err error) {
	uid, version := live.GetUID(), live.GetResourceVersion()
	answer, err := helper.DeleteWithOptions(info.Namespace, info.Name, &metav1.DeleteOptions{
		PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
	})
	if err != nil || answer == nil {
		return false, err
	}
	return answer.GetObjectKind().GroupVersionKind().Kind != "Status", nil
}

// settled remembers whether an object that was to be deleted still exists.
func (c *Client) settled(id manifest.ID, remains bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remains[id] = remains
}

// WaitForDelete implements kube.InterfaceExt: it waits for the end of objects that were
// deleted before, which most of them have found by then. Of a release that was uninstalled, the
// SDK knows the objects of the newest version only.
func (c *Client) WaitForDelete(resources kube.ResourceList, timeout time.Duration) error {
	if err := c.alive(); err != nil {
		return err
	}
	if len(resources) > 0 && !isHook(resources[0]) {
		resources = union(resources, c.also)
	}
	left := c.remaining(resources)
	var open []health.Verdict
	err := c.await(c.at.Lone, left, timeout, nil, func(verdicts []health.Verdict) (bool, error) {
		open = existing(left, verdicts)
		return len(open) == 0, nil
	})
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("not deleted after %s: %s", seconds(timeout), list(open))
	}
	return err
}

// remaining returns those of the objects that were deleted and yet existed.
func (c *Client) remaining(resources kube.ResourceList) []health.Awaited {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []health.Awaited
	for _, info := range resources {
		if id := idOf(info); c.remains[id] {
			out = append(out, health.Awaited{ID: id, Resource: info.Mapping.Resource})
		}
	}
	return out
}

// existing returns the awaited objects that are not known to be gone.
func existing(awaited []health.Awaited, verdicts []health.Verdict) []health.Verdict {
	known := make(map[manifest.ID]health.Verdict, len(verdicts))
	for _, v := range verdicts {
		known[v.ID] = v
	}
	var out []health.Verdict
	for _, a := range awaited {
		v, open := known[a.ID]
		if !open {
			v = health.Verdict{ID: a.ID, Status: health.Current}
		}
		if v.Status != health.NotFound {
			out = append(out, v)
		}
	}
	return out
}
