package tenant

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/health"
	"weir.dev/pkg/watch"
)

// Options say how clusters are worked on.
type Options struct {
	// Apply is for the engines of all places, but for the labels of owners.
	Apply apply.Config
	// OwnerName and OwnerNamespace are the labels that name the owner of an object.
	OwnerName, OwnerNamespace string
	// Wake is called, without blocking, when an owner has something to look at.
	Wake func(owner types.NamespacedName)
	// Refused is called once for each resource of a cluster that may not be watched.
	// The name of this cluster is empty.
	Refused func(cluster string, resource schema.GroupVersionResource, err error)
	// Unwatched is called once for each resource of which a user may not watch objects
	// by itself, so that their health is looked at every few seconds; may be nil.
	Unwatched func(cluster, user string, resource schema.GroupVersionResource, err error)
	// Extra makes what is to run as long as a cluster is worked on, besides what is here;
	// nil means nothing. It opens resources by the identity that the cluster is reached
	// with, so that only the metadata of objects is transferred.
	Extra func(cluster string, open func(schema.GroupVersionResource) watch.Source) Runner
}

// Runner is what runs until its context ends.
type Runner interface {
	Start(ctx context.Context) error
}

// Place is where the objects of an owner are: a cluster, and as whom it is worked on.
type Place struct {
	Engine *apply.Engine
	// Drift and Health watch the objects that carry owner labels.
	Drift  *drift.Watcher
	Health *health.Watcher
	// Lone watches objects one by one, as the tenant.
	Lone *health.Watcher
	// Extra is what Options.Extra made for the cluster; nil if there is no such.
	Extra Runner

	cluster *cluster
	user    string
	http    *http.Client // as the user
	members int
	stop    context.CancelFunc // of Lone; nil while it is not run
}

// ErrPlace says that nothing can be made to work on objects with, in a cluster of which it is
// known how it is reached.
var ErrPlace = errors.New("making a place to work in")

// Config says how the cluster is reached as the tenant, for what makes connections of its
// own. It is complete without HTTP, shares its connections, and shows no credentials.
func (p *Place) Config() *rest.Config {
	of := p.cluster.config
	return &rest.Config{
		Host: hostOf(of), APIPath: of.APIPath, UserAgent: of.UserAgent, QPS: of.QPS, Burst: of.Burst,
		Transport: p.http.Transport, Timeout: p.http.Timeout,
		WarningHandler: of.WarningHandler, WarningHandlerWithContext: of.WarningHandlerWithContext,
	}
}

// hostOf returns the host of a configuration with the scheme, which what it says of TLS
// may decide.
func hostOf(cfg *rest.Config) string {
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return cfg.Host // nothing reaches that
	}
	return u.String()
}

// HTTP returns the client of all requests to the cluster as the tenant. Each must be
// answered in time, but for those that watch.
func (p *Place) HTTP() *http.Client { return p.http }

// User is the name by which the API server knows the tenant; "" is whoever the cluster is
// reached as.
func (p *Place) User() string { return p.user }

// Keep returns what is kept under a key for the cluster of the place, as long as it is worked
// on. It is made when it is first asked for; others may make one that is dropped.
func (p *Place) Keep(key any, make func() any) any {
	if kept, ok := p.cluster.kept.Load(key); ok {
		return kept
	}
	kept, _ := p.cluster.kept.LoadOrStore(key, make())
	return kept
}

// Mapper knows what the cluster serves.
func (p *Place) Mapper() meta.RESTMapper { return p.cluster.mapper }

// Resource returns the API resource of a kind, and whether its objects are in namespaces.
func (p *Place) Resource(gvk schema.GroupVersionKind) (r schema.GroupVersionResource, namespaced bool, err error) {
	m, err := p.cluster.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return schema.GroupVersionResource{}, false, err
	}
	return m.Resource, m.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// Remote is another cluster.
type Remote struct {
	// Name is that of what says how to reach it.
	Name string
	// Config says how to reach it.
	Config *rest.Config
	// Version changes with the credentials in Config.
	Version string
}

// Clusters are those that are worked on. They are safe for concurrent use.
type Clusters struct {
	opts  Options
	local *cluster

	mu      sync.Mutex
	ctx     context.Context // of Start; nil before and after
	remote  map[string]*cluster
	places  map[types.NamespacedName]*Place // of the owners
	running sync.WaitGroup
}

// New returns Clusters that know this one: how to reach it, and what it serves.
func New(cfg *rest.Config, hc *http.Client, mapper meta.RESTMapper, opts Options) (*Clusters, error) {
	opts.Apply.OwnerName, opts.Apply.OwnerNamespace = opts.OwnerName, opts.OwnerNamespace
	local, err := newCluster("", cfg, hc, mapper, opts)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return &Clusters{
		opts: opts, local: local,
		remote: make(map[string]*cluster), places: make(map[types.NamespacedName]*Place),
	}, nil
}

// Start watches until ctx ends.
func (c *Clusters) Start(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	c.watch(c.local)
	for _, other := range c.remote {
		c.watch(other)
	}
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.ctx = nil // nothing begins any more
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// Enter returns the place in this cluster where an owner works as a user; "" is the
// controller itself. The place of before is left, and if it was in another cluster, what
// was applied there is no longer watched.
func (c *Clusters) Enter(owner types.NamespacedName, user string) (*Place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enter(owner, c.local, user)
}

// EnterRemote is Enter for another cluster. New credentials take the place of those of
// before, and what is known of the cluster stays.
func (c *Clusters) EnterRemote(owner types.NamespacedName, r Remote, user string) (*Place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := r.Name + " " + r.Config.Host
	in, known := c.remote[key]
	var err error
	if !known {
		in, err = newRemote(key, r, c.opts)
	}
	if err == nil {
		err = in.renew(r)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster of %s: %w", r.Name, err)
	}
	if !known {
		c.remote[key] = in
		c.watch(in)
	}
	return c.enter(owner, in, user)
}

// At returns the place of an owner, nil if it has none.
func (c *Clusters) At(owner types.NamespacedName) *Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.places[owner]
}

// Leave ends the work of an owner: what was applied for it is no longer watched.
func (c *Clusters) Leave(owner types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(owner, nil)
}

// enter makes a place the one of owner. The lock is held.
func (c *Clusters) enter(owner types.NamespacedName, in *cluster, user string) (*Place, error) {
	before := c.places[owner]
	if before != nil && before.cluster == in && before.user == user {
		return before, nil
	}
	place, err := in.place(user, c.opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlace, err)
	}
	place.members++
	c.watchLone(place)
	c.leave(owner, in)
	c.places[owner] = place
	return place, nil
}

// leave ends the work of an owner at its place. What was applied there is still its own if
// it goes on in the same cluster. The lock is held.
func (c *Clusters) leave(owner types.NamespacedName, next *cluster) {
	place := c.places[owner]
	if place == nil {
		return
	}
	delete(c.places, owner)
	if place.cluster != next {
		place.Drift.ForgetAll(owner)
	}
	place.Health.Await(owner, nil)
	place.Lone.Await(owner, nil)
	if place.members--; place.members > 0 {
		return
	}
	if place.stop != nil {
		place.stop()
	}
	in := place.cluster
	delete(in.places, place.user)
	if len(in.places) > 0 || in == c.local {
		return
	}
	delete(c.remote, in.key)
	if in.stop != nil {
		in.stop()
	}
}

// watch begins to watch a cluster, if Start runs. The lock is held.
func (c *Clusters) watch(in *cluster) {
	if c.ctx == nil {
		return
	}
	ctx, stop := context.WithCancel(c.ctx)
	in.stop = stop
	c.running.Go(func() { _ = in.drift.Start(ctx) }) // they end with ctx, and return nil
	c.running.Go(func() { _ = in.health.Start(ctx) })
	if in.extra != nil {
		c.running.Go(func() { _ = in.extra.Start(ctx) })
	}
	for _, place := range in.places {
		c.watchLone(place)
	}
}

// watchLone begins to watch what a tenant names, if Start runs. The lock is held.
func (c *Clusters) watchLone(place *Place) {
	if c.ctx == nil || place.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(c.ctx)
	place.stop = stop
	c.running.Go(func() { _ = place.Lone.Start(ctx) })
}
