package followed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// watchTime is how long a watch is asked for. Each costs a request when it begins.
	watchTime = time.Hour
	// refusedPause is how long an object that we may not watch is left alone.
	refusedPause = 10 * time.Minute
)

var errNoObject = errors.New("watch delivered something that is no object")

// object is one that is followed. It is the store of its reflector.
type object struct {
	key  key
	tell func(users []User, labels map[string]string)
	stop context.CancelFunc

	mu       sync.Mutex
	users    map[User]time.Time // when they last read it
	listed   bool               // what there is was told
	watching bool               // and news of it comes in
	obj      client.Object      // nil: there is none
	version  string             // that the users know; "" of none
}

func newObject(key key, version string, tell func([]User, map[string]string)) *object {
	return &object{key: key, tell: tell, users: make(map[User]time.Time), version: version}
}

// use counts a use, and returns what is known of the object, if news of it comes in.
func (o *object) use(user User, now time.Time) (client.Object, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users[user] = now
	return o.obj, o.listed && o.watching
}

// forget drops a user, and reports whether it was the last.
func (o *object) forget(user User) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.users, user)
	return len(o.users) == 0
}

// forgetBefore drops the users of before a time, and reports whether none is left.
func (o *object) forgetBefore(since time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.users, func(_ User, used time.Time) bool { return used.Before(since) })
	return len(o.users) == 0
}

// follow watches the object until ctx ends, and tries again later if that is refused.
func (o *object) follow(ctx context.Context, c client.WithWatch) {
	for ctx.Err() == nil {
		o.reflect(ctx, c)
		select {
		case <-ctx.Done():
		case <-time.After(refusedPause):
		}
	}
}

// reflect watches the object until ctx ends or the API server refuses.
func (o *object) reflect(ctx context.Context, c client.WithWatch) {
	ctx, refuse := context.WithCancel(ctx)
	defer refuse()
	only := o.key.only()
	check := func(err error) error {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err) {
			refuse()
		}
		return err
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			list := o.key.kind.list()
			err := c.List(ctx, list, append(only, &client.ListOptions{Raw: &opts})...)
			o.heard(false) // what came in before has ended
			return list, check(err)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			w, err := c.Watch(ctx, o.key.kind.list(), append(only, &client.ListOptions{Raw: &opts})...)
			o.heard(err == nil)
			return w, check(err)
		},
	}
	cache.NewReflectorWithOptions(lw, nil, o, cache.ReflectorOptions{
		Name: "weir", TypeDescription: string(o.key.kind), MinWatchTimeout: watchTime,
	}).RunWithContext(ctx)
}

// heard notes whether news comes in.
func (o *object) heard(watching bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watching = watching
}

// Add implements cache.ReflectorStore.
func (o *object) Add(obj any) error { return o.set(obj) }

// Update implements cache.ReflectorStore.
func (o *object) Update(obj any) error { return o.set(obj) }

// Delete implements cache.ReflectorStore.
func (o *object) Delete(any) error {
	o.change(nil)
	return nil
}

// Replace implements cache.ReflectorStore.
func (o *object) Replace(list []any, _ string) error {
	o.mu.Lock()
	o.listed = true
	o.mu.Unlock()
	if len(list) == 0 {
		o.change(nil)
		return nil
	}
	return o.set(list[0])
}

// Resync implements cache.ReflectorStore.
func (o *object) Resync() error { return nil }

func (o *object) set(obj any) error {
	typed, ok := obj.(client.Object)
	if !ok {
		return errNoObject
	}
	o.change(typed)
	return nil
}

// change notes what there is now, and tells the users if they know something else.
func (o *object) change(obj client.Object) {
	o.mu.Lock()
	version := ""
	var labels map[string]string
	if o.obj != nil {
		labels = o.obj.GetLabels()
	}
	if obj != nil {
		version, labels = obj.GetResourceVersion(), obj.GetLabels()
		obj.SetManagedFields(nil) // nobody asks for them
	}
	news := version != o.version
	o.obj, o.version = obj, version
	users := slices.Collect(maps.Keys(o.users))
	o.mu.Unlock()
	if news {
		o.tell(users, labels)
	}
}
