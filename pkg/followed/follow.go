// Package followed reads Secrets, ConfigMaps and ServiceAccounts, and follows those that are used:
// whoever reads one again asks nobody, and is told when it changes. Each is watched by
// itself, so that no more of them are in memory than are used.
//
// Where the API server refuses the watch, every read asks it.
package followed

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// idle is how long an object is followed that nobody reads.
	idle = 6 * time.Hour
	// sweepEvery is how often such objects are looked for.
	sweepEvery = 10 * time.Minute
)

// User is an object that reads others.
type User struct {
	Kind string
	types.NamespacedName
}

// Objects are those that are read. They are safe for concurrent use.
type Objects struct {
	client client.WithWatch
	now    func() time.Time
	told   labels.Selector // whose changes are told

	mu      sync.Mutex
	ctx     context.Context // of Start; nil before and after
	all     map[key]*object
	wake    map[string]func(types.NamespacedName) // by the kind of users
	running sync.WaitGroup
}

// New returns Objects that are read by c, which has no cache.
func New(c client.WithWatch) *Objects {
	return &Objects{client: c, now: time.Now, told: labels.Everything(), all: make(map[key]*object), wake: make(map[string]func(types.NamespacedName))}
}

// Manage returns Objects that a manager runs, and that are read by its connection.
func Manage(m manager.Manager) (*Objects, error) {
	c, err := client.NewWithWatch(m.GetConfig(), client.Options{HTTPClient: m.GetHTTPClient(), Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("following objects: %w", err)
	}
	o := New(c)
	return o, m.Add(o)
}

// TellOnly restricts whose changes wake those who have read them, to be called before
// Start. What else has changed is read anew by whoever runs next.
func (o *Objects) TellOnly(s labels.Selector) { o.told = s }

// Start implements manager.Runnable: it follows what is read until ctx ends. Outside of
// that, every read asks the API server.
func (o *Objects) Start(ctx context.Context) error {
	o.mu.Lock()
	o.ctx = ctx
	o.mu.Unlock()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			o.Sweep()
		}
	}
	o.mu.Lock()
	o.ctx = nil
	o.all = make(map[key]*object)
	o.mu.Unlock()
	o.running.Wait()
	return nil
}

// Sweep stops to follow what nobody has read for long.
func (o *Objects) Sweep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	since := o.now().Add(-idle)
	for key, object := range o.all {
		if object.forgetBefore(since) {
			object.stop()
			delete(o.all, key)
		}
	}
}

// Forget ends the use of all objects by one that is gone.
func (o *Objects) Forget(user User) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, object := range o.all {
		if object.forget(user) {
			object.stop()
			delete(o.all, key)
		}
	}
}

// Wake is a source of requests for users of a kind: for each of them, when what it read
// has changed.
func (o *Objects) Wake(kind string) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.wake[kind] = func(name types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: name}) }
		return nil
	})
}

// For returns a reader for a user. If fresh, it reads what there is right now, as
// someone who has just changed it expects.
func (o *Objects) For(user User, fresh bool) client.Reader {
	return reader{Reader: o.client, objects: o, user: user, fresh: fresh}
}

// Beside returns a reader for an object of a kind that does not insist on what there is
// right now: what it reads counts as read by the object, too.
func (o *Objects) Beside(kind, namespace, name string) client.Reader {
	return o.For(User{Kind: kind, NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}, false)
}

// reader reads for one user. It follows no lists, and no objects of other kinds.
type reader struct {
	client.Reader
	objects *Objects
	user    User
	fresh   bool
}

func (r reader) Get(ctx context.Context, name client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	kind, ok := kindOf(obj)
	if !ok {
		return r.Reader.Get(ctx, name, obj, opts...)
	}
	key := key{kind: kind, name: name}
	if !r.fresh {
		if known, ok := r.objects.known(key, r.user); ok {
			return key.copy(known, obj)
		}
	}
	err := r.Reader.Get(ctx, name, obj, opts...)
	switch {
	case err == nil:
		r.objects.follow(key, r.user, obj.GetResourceVersion())
	case apierrors.IsNotFound(err):
		r.objects.follow(key, r.user, "") // until it comes
	}
	return err
}

// known returns the state of an object that is followed, which counts as a use of it.
func (o *Objects) known(key key, user User) (state client.Object, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	object, ok := o.all[key]
	if !ok {
		return nil, false
	}
	return object.use(user, o.now())
}

// follow begins to follow an object that was read in a version.
func (o *Objects) follow(key key, user User, version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx == nil {
		return
	}
	object, ok := o.all[key]
	if !ok {
		object = newObject(key, version, o.tell)
		o.all[key] = object
		ctx, cancel := context.WithCancel(o.ctx)
		object.stop = cancel
		o.running.Go(func() { object.follow(ctx, o.client) })
	}
	object.use(user, o.now())
}

// tell wakes the users of an object that has changed.
func (o *Objects) tell(users []User, l map[string]string) {
	if !o.told.Matches(labels.Set(l)) {
		return
	}
	for _, user := range users {
		o.mu.Lock()
		wake := o.wake[user.Kind]
		o.mu.Unlock()
		if wake != nil {
			wake(user.NamespacedName)
		}
	}
}
