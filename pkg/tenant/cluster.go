package tenant

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/health"
	"weir.dev/pkg/watch"
)

// cluster is one that is worked on.
type cluster struct {
	key       string
	config    *rest.Config // where it is
	http      *http.Client // as its own identity
	mapper    meta.RESTMapper
	transport *rotating // of a remote one
	version   string    // of the credentials of a remote one

	drift  *drift.Watcher
	health *health.Watcher
	extra  Runner            // nil if there is none
	kept   sync.Map          // see Place.Keep
	places map[string]*Place // by user
	stop   func()
}

// newCluster returns a cluster that is reached by hc, which authenticates.
func newCluster(name string, cfg *rest.Config, hc *http.Client, mapper meta.RESTMapper, opts Options) (*cluster, error) {
	meta, err := metadata.NewForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, err
	}
	objects, err := watch.NewLean(cfg, hc)
	if err != nil {
		return nil, err
	}
	c := &cluster{config: cfg, http: hc, mapper: mapper, places: make(map[string]*Place)}
	c.drift = drift.New(watch.Metadata(meta), drift.Options{
		Manager: opts.Apply.Manager, Override: opts.Apply.Override, Wishes: opts.Apply.Wishes,
		OwnerName: opts.OwnerName, OwnerNamespace: opts.OwnerNamespace, Wake: opts.Wake,
		Refused: once(func(r schema.GroupVersionResource, err error) { opts.Refused(name, r, err) }),
	})
	c.health = health.NewWatcher(watch.Objects(objects), health.Options{Selector: opts.OwnerName}, opts.Wake)
	if opts.Extra != nil {
		c.extra = opts.Extra(name, watch.Metadata(meta))
	}
	return c, nil
}

// once returns a function that calls tell the first time for each resource.
func once(tell func(schema.GroupVersionResource, error)) func(schema.GroupVersionResource, error) {
	var told sync.Map
	return func(r schema.GroupVersionResource, err error) {
		if _, again := told.LoadOrStore(r, true); !again {
			tell(r, err)
		}
	}
}

// newRemote returns a cluster that is yet to get its credentials.
func newRemote(key string, r Remote, opts Options) (*cluster, error) {
	where := &rest.Config{Host: r.Config.Host, APIPath: r.Config.APIPath, UserAgent: r.Config.UserAgent, QPS: -1} // the server sets the pace
	transport := &rotating{}
	hc := &http.Client{Transport: transport}
	mapper, err := apiutil.NewDynamicRESTMapper(where, timely(hc, remotePatience))
	if err != nil {
		return nil, err
	}
	c, err := newCluster(r.Name, where, hc, mapper, opts)
	if err != nil {
		return nil, err
	}
	c.key, c.transport = key, transport
	return c, nil
}

// renew has the credentials of r be used from now on.
func (c *cluster) renew(r Remote) error {
	if c.version == r.Version && c.transport.now.Load() != nil {
		return nil
	}
	next, err := rest.TransportFor(r.Config)
	if err != nil {
		return err
	}
	c.transport.now.Store(&next)
	c.version = r.Version
	return nil
}

// place returns where a user works in the cluster.
func (c *cluster) place(user string, opts Options) (*Place, error) {
	if p, ok := c.places[user]; ok {
		return p, nil
	}
	hc := as(persist(timely(c.http, c.patience())), user)
	engine, err := apply.New(c.config, hc, c.mapper, c.drift, opts.Apply)
	if err != nil {
		return nil, err
	}
	objects, err := watch.NewLean(c.config, hc)
	if err != nil {
		return nil, fmt.Errorf("connecting as %q: %w", user, err)
	}
	p := &Place{
		Engine: engine, Drift: c.drift, Health: c.health, Extra: c.extra, cluster: c, user: user, http: hc,
		Lone: health.NewWatcher(watch.Objects(objects), health.Options{Lone: true, Refused: c.unwatched(user, opts)}, opts.Wake),
	}
	c.places[user] = p
	return p, nil
}

// patience is how long the cluster may take to answer a request.
func (c *cluster) patience() time.Duration {
	if c.transport != nil {
		return remotePatience
	}
	return localPatience
}

// unwatched tells once for each resource that a user may not watch objects of it.
func (c *cluster) unwatched(user string, opts Options) func(watch.Key, error) {
	if opts.Unwatched == nil {
		return nil
	}
	tell := once(func(r schema.GroupVersionResource, err error) { opts.Unwatched(c.key, user, r, err) })
	return func(of watch.Key, err error) { tell(of.Resource, err) }
}

// rotating is a transport that can be replaced while it is used.
type rotating struct {
	now atomic.Pointer[http.RoundTripper]
}

// RoundTrip implements http.RoundTripper.
func (r *rotating) RoundTrip(req *http.Request) (*http.Response, error) {
	return (*r.now.Load()).RoundTrip(req)
}
