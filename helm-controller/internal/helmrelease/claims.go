package helmrelease

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
)

// stored is where a release is stored, and its name.
type stored struct {
	in              tenant.Runner // what watches the storage of the cluster
	namespace, name string
}

// claims say which HelmRelease is at a release, with a run or with an action. Others wait
// meanwhile: what they would find is the middle of something. They are safe for concurrent use.
type claims struct {
	wake func(types.NamespacedName) // asks for a run, and does not block

	mu sync.Mutex
	by map[stored]*claim
}

// claim is that of one HelmRelease, whose run and action may both have it.
type claim struct {
	owner   object
	times   int
	waiting map[types.NamespacedName]bool
}

func newClaims(wake func(types.NamespacedName)) *claims {
	return &claims{wake: wake, by: make(map[stored]*claim)}
}

// take claims a release for an owner, until free is called. If another has claimed it, it is
// returned who, and a run of the owner is asked for when that has ended.
func (c *claims) take(of stored, owner object) (free func(), other types.NamespacedName, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, claimed := c.by[of]
	if claimed && now.owner != owner {
		now.waiting[owner.NamespacedName] = true
		return nil, now.owner.NamespacedName, false
	}
	if !claimed {
		now = &claim{owner: owner, waiting: make(map[types.NamespacedName]bool)}
		c.by[of] = now
	}
	now.times++
	return sync.OnceFunc(func() { c.free(of, now) }), types.NamespacedName{}, true
}

// free ends a claim that was taken once.
func (c *claims) free(of stored, now *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.times--; now.times > 0 {
		return
	}
	delete(c.by, of)
	for name := range now.waiting {
		c.wake(name)
	}
}

// claim has a release be of this run alone, and ends the run if another HelmRelease is at it.
func (r *Reconciler) claim(s *scope, at plan.Place) error {
	free, other, ok := r.claims.take(storedAt(s, at), s.object())
	if !ok {
		return loop.Wait(helmv2.ReasonPendingRelease, r.opts.RequeueDependency, "release %s/%s: %s works on it", at.Namespace, at.Name, another(s.hr, other))
	}
	s.claimed = append(s.claimed, free)
	return nil
}

// keepClaim has the claim of a run last as long as a job that it has started.
func (r *Reconciler) keepClaim(s *scope, at plan.Place, b *job) {
	if free, _, ok := r.claims.take(storedAt(s, at), s.object()); ok {
		b.atEnd(free)
	}
}

func storedAt(s *scope, at plan.Place) stored {
	return stored{in: s.at.Extra, namespace: at.Storage, name: at.Name}
}
