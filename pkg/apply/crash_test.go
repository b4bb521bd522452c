package apply_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

var errCut = errors.New("the connection is cut")

// cuts are the ways in which a connection may break at the k-th request: before the
// API server has seen it, or before it could answer.
func cuts() map[string]func(c *cluster, k int64) (count *atomic.Int64) {
	return map[string]func(*cluster, int64) *atomic.Int64{
		"before the request": func(c *cluster, k int64) *atomic.Int64 {
			var n atomic.Int64
			c.Traffic.Break(func(testplane.Request) error {
				if n.Add(1) >= k {
					return errCut
				}
				return nil
			})
			return &n
		},
		"before the answer": func(c *cluster, k int64) *atomic.Int64 {
			var n atomic.Int64
			c.before = func(*http.Request) error {
				if n.Add(1) > k {
					return errCut // and it stays so
				}
				return nil
			}
			c.after = func(*http.Request) error {
				if n.Load() >= k {
					return errCut
				}
				return nil
			}
			return &n
		},
	}
}

// mend repairs the connection.
func (c *cluster) mend() {
	c.Traffic.Break(nil)
	c.before, c.after = nil, nil
}

// several are objects of different ranks that nobody else writes to.
func (c *cluster) several(suffix string) []*unstructured.Unstructured {
	c.t.Helper()
	return c.read(strings.ReplaceAll(`
{apiVersion: v1, kind: ServiceAccount, metadata: {name: robotSUFFIX, namespace: NS}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: aSUFFIX, namespace: NS}, data: {key: value}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: bSUFFIX, namespace: NS}, data: {key: value}}
---
{apiVersion: v1, kind: Service, metadata: {name: appSUFFIX, namespace: NS}, spec: {ports: [{port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: appSUFFIX, namespace: NS}, spec: {defaultBackend: {service: {name: appSUFFIX, port: {number: 80}}}}}
`, "SUFFIX", suffix))
}

// present returns which of the objects exist.
func (c *cluster) present(objs []*unstructured.Unstructured) inventory.Set {
	c.t.Helper()
	out := make(inventory.Set)
	for _, obj := range objs {
		if c.live(obj) != nil {
			out[manifest.IDOf(obj)] = obj.GroupVersionKind().Version
		}
	}
	return out
}

// Wherever the connection breaks, nothing exists that the plan's inventory does not
// tell, and the same plan completes the work.
func TestApplyWithoutConnection(t *testing.T) {
	t.Parallel()
	for name, cut := range cuts() {
		for _, req := range []apply.Request{{}, {Force: true}} {
			t.Run(fmt.Sprintf("%s force=%t", name, req.Force), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				for k := int64(1); ; k++ {
					c.restart()
					objs := c.several(fmt.Sprint("-", k))
					p := c.plan(objs...)
					n := cut(c, k)
					changes, err := c.engine.Apply(t.Context(), p, req)
					c.mend()
					if n.Load() < k {
						if err != nil {
							t.Errorf("nothing was cut, but Apply() fails: %v", err)
						}
						if want := int64(len(c.Traffic.Requests())) + 1; k != want {
							t.Errorf("cut %d times, want one for each request and %d", k, want)
						}
						return
					}
					checkCut(t, c, p, objs, changes, err)
				}
			})
		}
	}
}

// Objects that others depend on are there before those.
func TestApplyInOrder(t *testing.T) {
	t.Parallel()
	// What a workload may need is written together, between what that needs and the rest.
	for _, needed := range []string{"configmaps", "services"} {
		c := newCluster(t)
		c.inOrder("serviceaccounts", needed, "ingresses")
		c.apply(apply.Request{}, c.several("")...)
	}
}

// inOrder fails the test if the resources are not taken one after the other: with all
// writes to one answered before anything but a dry run is asked about the next.
func (c *cluster) inOrder(resources ...string) {
	var mu sync.Mutex
	open := make(map[int]int) // writes under way, by the place of the resource
	last := 0
	place := func(req *http.Request) int {
		return slices.IndexFunc(resources, func(r string) bool { return strings.Contains(req.URL.Path, "/"+r+"/") })
	}
	dry := func(req *http.Request) bool { return req.URL.Query().Get("dryRun") != "" }
	write := func(req *http.Request) bool { return req.Method != http.MethodGet && !dry(req) }
	c.before = func(req *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		at := place(req)
		if dry(req) || at < 0 {
			return nil
		}
		for other, n := range open {
			if n > 0 && other < at {
				c.t.Errorf("%s %s while %d writes to %s are under way", req.Method, req.URL.Path, n, resources[other])
			}
		}
		if at < last {
			c.t.Errorf("%s %s after something was asked about %s", req.Method, req.URL.Path, resources[last])
		}
		last = at
		if write(req) {
			open[at]++
		}
		return nil
	}
	c.after = func(req *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if write(req) {
			open[place(req)]--
		}
		return nil
	}
}

// checkCut checks what was left when Apply was cut off, and carries the plan out.
func checkCut(t *testing.T, c *cluster, p apply.Plan, objs []*unstructured.Unstructured, changes []apply.Change, err error) {
	t.Helper()
	if !errors.Is(err, errCut) {
		t.Errorf("Apply() fails by %v", err)
	}
	there := c.present(objs)
	if !p.Inventory.Contains(there) {
		t.Errorf("the inventory has not all of %v", there.IDs())
	}
	for _, ch := range changes {
		if _, ok := there[ch.ID]; ch.Effect == apply.Created && !ok {
			t.Errorf("%s is said to be created, and does not exist", ch.ID)
		}
	}
	for _, id := range c.tracker.applied {
		if _, ok := there[id]; !ok {
			t.Errorf("the tracker was told of %s, which does not exist", id)
		}
	}
	if _, err := c.engine.Apply(t.Context(), p, apply.Request{}); err != nil {
		t.Errorf("the same plan again: %v", err)
	}
	if diff := cmp.Diff(p.Inventory, c.present(objs)); diff != "" {
		t.Errorf("objects differ (-want +got):\n%s", diff)
	}
	if !c.plan(objs...).Idle() {
		t.Error("the plan is not carried out")
	}
}

// Also in the middle of a recreation: the object is the old one, gone, or the new.
func TestForceWithoutConnection(t *testing.T) {
	t.Parallel()
	frozen := func(k int64, value string) string {
		return "{apiVersion: v1, kind: ConfigMap, metadata: {name: m-" + fmt.Sprint(k) + ", namespace: NS}, immutable: true, data: {key: " + value + "}}"
	}
	for name, cut := range cuts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			c := newCluster(t)
			for k := int64(1); ; k++ {
				c.restart()
				from, to := c.read(frozen(k, "old"))[0], c.read(frozen(k, "new"))[0]
				c.apply(apply.Request{}, from)
				p := c.plan(to)
				c.Traffic.Reset()
				n := cut(c, k)
				_, err := c.engine.Apply(t.Context(), p, apply.Request{Force: true})
				c.mend()
				state := "gone"
				if live := c.live(to); live != nil {
					state, _, _ = unstructured.NestedString(live.Object, "data", "key")
				}
				seen[state] = true
				if n.Load() < k {
					if err != nil || state != "new" {
						t.Errorf("nothing was cut, but the object is %s: %v", state, err)
					}
					break
				}
				if !errors.Is(err, errCut) {
					t.Errorf("Apply() fails by %v", err)
				}
				if strings.Contains(err.Error(), "recreation failed after deletion") && state == "old" {
					t.Errorf("the error is %s, but the old object is there", err)
				}
				if got := effects(c.apply(apply.Request{Force: true}, to)); len(got) != 1 {
					t.Errorf("effects are %q", got)
				}
				if got := c.live(to).Object["data"]; !cmp.Equal(got, map[string]any{"key": "new"}) {
					t.Errorf("the second try leaves %v", got)
				}
			}
			if want := map[string]bool{"old": true, "gone": true, "new": true}; !cmp.Equal(seen, want) {
				t.Errorf("the object was seen as %v, want all of %v", seen, want)
			}
		})
	}
}

// Wherever the connection breaks, what still exists is among what is left.
func TestPruneWithoutConnection(t *testing.T) {
	t.Parallel()
	for name, cut := range cuts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			for k := int64(1); ; k++ {
				c.restart()
				objs := c.several(fmt.Sprint("-", k))
				c.apply(apply.Request{}, objs...)
				stale := c.plan(objs...).Inventory
				n := cut(c, k)
				pruned, err := c.engine.Prune(t.Context(), stale, c.isOurs)
				c.mend()
				if n.Load() < k {
					if err != nil || len(pruned.Left) != 0 || len(pruned.Changes) != len(objs) {
						t.Errorf("nothing was cut, but Prune() leaves %v: %v", pruned.Left.IDs(), err)
					}
					return
				}
				if !errors.Is(err, errCut) {
					t.Errorf("Prune() fails by %v", err)
				}
				if there := c.present(objs); !pruned.Left.Contains(there) {
					t.Errorf("%v exist, but only %v are said to be left", there.IDs(), pruned.Left.IDs())
				}
				for _, ch := range pruned.Changes {
					if _, left := pruned.Left[ch.ID]; left {
						t.Errorf("%s is both %s and left", ch.ID, ch.Effect)
					}
				}
				if again, err := c.engine.Prune(t.Context(), pruned.Left, c.isOurs); err != nil || len(again.Left) != 0 {
					t.Errorf("the second try leaves %v: %v", again.Left.IDs(), err)
				}
				if there := c.present(objs); len(there) != 0 {
					t.Errorf("%v exist still", there.IDs())
				}
			}
		})
	}
}
