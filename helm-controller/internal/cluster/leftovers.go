package cluster

import (
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/inventory"
)

// leftover is an object that has left the release and may still exist.
type leftover struct {
	version string // of its kind
	err     error
}

// leave remembers an object that could not be looked for.
func (c *Client) leave(info *resource.Info, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unseen[idOf(info)] = leftover{version: info.Mapping.GroupVersionKind.Version, err: err}
}

// Left returns the objects that have left the release and may be left in the cluster, and why.
// Of an inventory of before, it deletes what is in the release no more and was left by an
// earlier action, now that it may perhaps be deleted.
func (c *Client) Left(had, now inventory.Set) (inventory.Set, error) {
	left, why := c.unseenOnes()
	earlier := c.untouched(had, now)
	for id := range left {
		delete(earlier, id)
	}
	if len(earlier) == 0 {
		return left, why
	}
	pruned, err := c.at.Engine.Prune(c.ctx, earlier, c.isOurs)
	return inventory.Union(pruned.Left, left), errors.Join(why, err)
}

// unseenOnes returns what this action could not look for.
func (c *Client) unseenOnes() (inventory.Set, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := make(inventory.Set, len(c.unseen))
	var errs []error
	for id, l := range c.unseen {
		left[id] = l.version
		errs = append(errs, l.err)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return left, errors.Join(errs...)
}

// untouched returns what an inventory of before has, and neither the release nor anything that
// this action has dealt with. An object whose kind was not served when it was listed may be in
// the release in another place.
func (c *Client) untouched(had, now inventory.Set) inventory.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	type named struct{ group, kind, name string }
	present := make(map[named]bool, len(now))
	for id := range now {
		present[named{id.Group, id.Kind, id.Name}] = true
	}
	out := make(inventory.Set)
	for id, version := range had {
		if _, dealt := c.remains[id]; !dealt && !present[named{id.Group, id.Kind, id.Name}] {
			out[id] = version
		}
	}
	return out
}

// isOurs reports whether an object says that it is of the release, and does not ask to be kept.
func (c *Client) isOurs(live metav1.Object) bool {
	labels := live.GetLabels()
	return labels[helmv2.LabelName] == c.opts.Owner.Name && labels[helmv2.LabelNamespace] == c.opts.Owner.Namespace &&
		claimed(live) && !others(live, c.opts.Release) && !keep(live)
}
