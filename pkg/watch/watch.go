// Package watch follows the objects of API resources without keeping them: a
// handler takes from each what it needs. One stream serves a resource, however
// many ask for it, and ends when the last of them lets go.
package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// refusedPause is how long a resource that we may not watch is left alone.
const refusedPause = 10 * time.Minute

// Source lists and watches one resource. The clients of client-go for metadata
// and for whole objects are such.
type Source interface {
	List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error)
}

// Handler is told what happens to the objects of a resource. Its methods are
// called one at a time for a resource, and must not block.
type Handler interface {
	// Saw tells the state of an object that is new or changed.
	Saw(resource schema.GroupVersionResource, obj metav1.Object)
	// Lost tells that an object is gone, or no longer selected.
	Lost(resource schema.GroupVersionResource, obj metav1.Object)
	// Listed tells all objects there are at a resource version; what is not among
	// them was gone by then. Until then, nothing is known of the resource.
	Listed(resource schema.GroupVersionResource, objs []metav1.Object, version string)
	// Refused tells that the resource may not be watched, or is not served: what
	// was known of it is no longer kept current. It may be told again and again;
	// Listed ends it.
	Refused(resource schema.GroupVersionResource, err error)
}

// Set is the resources that are being watched.
type Set struct {
	open    func(schema.GroupVersionResource) Source
	handler Handler
	opts    Options

	mu      sync.Mutex
	ctx     context.Context // of Start; nil before and after
	streams map[schema.GroupVersionResource]*stream
	ended   map[schema.GroupVersionResource]<-chan struct{} // by the latest stream
	running sync.WaitGroup
}

// Options say which objects of a resource are of interest.
type Options struct {
	Selector string // of labels; empty means all objects
}

// stream is one resource.
type stream struct {
	users int
	stop  context.CancelFunc
}

// NewSet returns a Set that opens each resource by open.
func NewSet(open func(schema.GroupVersionResource) Source, handler Handler, opts Options) *Set {
	return &Set{
		open: open, handler: handler, opts: opts,
		streams: make(map[schema.GroupVersionResource]*stream),
		ended:   make(map[schema.GroupVersionResource]<-chan struct{}),
	}
}

// Start runs the streams until ctx ends. Resources that were acquired before are
// watched from then on.
func (s *Set) Start(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	for resource, st := range s.streams {
		s.launch(resource, st)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.ctx = nil // no stream begins any more
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// Acquire makes sure that a resource is watched, until Release is called as often.
func (s *Set) Acquire(resource schema.GroupVersionResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.streams[resource]
	if !ok {
		st = &stream{}
		s.streams[resource] = st
		s.launch(resource, st)
	}
	st.users++
}

// Release ends one use of a resource, and reports whether that was the last.
func (s *Set) Release(resource schema.GroupVersionResource) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.streams[resource]
	if !ok {
		return false
	}
	if st.users--; st.users > 0 {
		return false
	}
	delete(s.streams, resource)
	if st.stop != nil {
		st.stop()
	}
	return true
}

// launch starts the stream of a resource, if the set runs. It begins when an earlier
// one of the same resource has ended: late news must not overtake. The lock is held.
func (s *Set) launch(resource schema.GroupVersionResource, st *stream) {
	if s.ctx == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	st.stop = cancel
	before, ended := s.ended[resource], make(chan struct{})
	s.ended[resource] = ended
	s.running.Go(func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		s.follow(ctx, resource)
	})
}

// follow watches a resource, and tries again later if that is refused.
func (s *Set) follow(ctx context.Context, resource schema.GroupVersionResource) {
	for ctx.Err() == nil {
		s.reflect(ctx, resource)
		select {
		case <-ctx.Done():
		case <-time.After(refusedPause):
		}
	}
}

// reflect hands the events of a resource to the handler until ctx ends or the
// API server refuses.
func (s *Set) reflect(ctx context.Context, resource schema.GroupVersionResource) {
	ctx, refuse := context.WithCancel(ctx)
	defer refuse()
	source := s.open(resource)
	ended := func() bool { return ctx.Err() != nil }
	check := func(err error) {
		switch {
		case ended(): // nobody asks any more
		case refused(err):
			s.handler.Refused(resource, err)
			refuse()
		case apierrors.IsNotFound(err): // its definition may come back: the reflector asks again soon
			s.handler.Refused(resource, err)
		}
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = s.opts.Selector
			list, err := source.List(ctx, opts)
			check(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
			opts.LabelSelector = s.opts.Selector
			w, err := source.Watch(ctx, opts)
			check(err)
			return w, err
		},
	}
	cache.NewReflectorWithOptions(lw, nil, &sink{resource: resource, handler: s.handler, ended: ended}, cache.ReflectorOptions{
		Name: "weir", TypeDescription: resource.String(),
	}).RunWithContext(ctx)
}

// refused reports whether trying again soon is of no use.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err)
}

// sink is a store that stores nothing.
type sink struct {
	resource schema.GroupVersionResource
	handler  Handler
	ended    func() bool // by refusal, too: a list that was under way must not undo that
}

var errNoObject = errors.New("watch delivered something that is no object")

func (s *sink) Add(obj any) error { return s.tell(obj, s.handler.Saw) }

func (s *sink) Update(obj any) error { return s.tell(obj, s.handler.Saw) }

func (s *sink) Delete(obj any) error { return s.tell(obj, s.handler.Lost) }

func (s *sink) tell(obj any, handle func(schema.GroupVersionResource, metav1.Object)) error {
	o, ok := obj.(metav1.Object)
	if !ok {
		return errNoObject
	}
	if !s.ended() {
		handle(s.resource, o)
	}
	return nil
}

func (s *sink) Replace(list []any, version string) error {
	objs := make([]metav1.Object, 0, len(list))
	for _, item := range list {
		o, ok := item.(metav1.Object)
		if !ok {
			return errNoObject
		}
		objs = append(objs, o)
	}
	if !s.ended() {
		s.handler.Listed(s.resource, objs, version)
	}
	return nil
}

func (s *sink) Resync() error { return nil }
