package action

import (
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/definitions"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/inventory"
)

// takeInventory lists the objects of a release, and the definitions of its chart. What was
// there before an action that failed may be there still.
func (d *deed) takeInventory(all []*releases.Release) {
	set, unserved, err := cluster.Inventory(d.env.At, d.in.Release, all[len(all)-1].Manifest)
	if err != nil {
		d.result.Unlisted = err
		return
	}
	had := d.had()
	switch {
	case d.result.Err != nil:
		set = inventory.Union(had, set)
	case d.what == plan.Rollback:
		set = inventory.Union(d.definedBefore(had, all[:len(all)-1]), set)
		fallthrough
	default:
		set = inventory.Union(d.left(had, set), set)
	}
	d.result.Inventory, d.result.Unserved = inventory.Union(d.defined, set), unserved
}

// had returns the inventory of before the action; empty if there is none.
func (d *deed) had() inventory.Set {
	if before := d.in.HelmRelease.Status.Inventory; before != nil {
		if known, err := inventory.Decode(before.Entries); err == nil {
			return known
		}
	}
	return make(inventory.Set)
}

// sweep deletes what earlier actions have left of a release that was taken away. What it has
// now was dealt with by then.
func (d *deed) sweep(last *releases.Release) {
	if last == nil {
		return
	}
	now, _, err := cluster.Inventory(d.env.At, d.in.Release, last.Manifest)
	if err == nil { // else nobody can tell what is to stay
		d.left(d.had(), now)
	}
}

// left returns what has left the release and may be left in the cluster, and tells why. Nobody
// deletes definitions.
func (d *deed) left(had, now inventory.Set) inventory.Set {
	left, why := d.client.Left(inventory.Difference(had, definitions.In(had)), now)
	d.result.Left = why
	return left
}

// definedBefore returns the definitions that earlier releases have left: what an inventory
// has of them, but for those that are objects of these releases, which a rollback deletes.
func (d *deed) definedBefore(had inventory.Set, earlier []*releases.Release) inventory.Set {
	out := definitions.In(had)
	for _, r := range earlier {
		listed, _, err := cluster.Inventory(d.env.At, d.in.Release, r.Manifest)
		if err != nil {
			continue // so that one too many is known
		}
		for id := range listed {
			delete(out, id)
		}
	}
	return out
}
