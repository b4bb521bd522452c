// Package watch follows the objects of API resources without keeping them: a
// handler takes from each what it needs. One stream serves all who ask for the same,
// however many, and ends when the last of them lets go.
package watch

import (
	"context"
	"errors"
	"fmt"
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

// Subject is what a stream is about: a resource, or a Key. Its text is for logs.
type Subject interface {
	comparable
	fmt.Stringer
}

// HandlerOf is told what happens to the objects of a subject. Its methods are called
// one at a time for a subject, and must not block.
type HandlerOf[S Subject] interface {
	// Saw tells the state of an object that is new or changed.
	Saw(of S, obj metav1.Object)
	// Lost tells that an object is gone, or no longer selected.
	Lost(of S, obj metav1.Object)
	// Listed tells all objects there are at a resource version; what is not among
	// them was gone by then. Until then, nothing is known of the subject.
	Listed(of S, objs []metav1.Object, version string)
	// Refused tells that the subject may not be watched, or is not served: what
	// was known of it is no longer kept current. It may be told again and again;
	// Listed ends it.
	Refused(of S, err error)
}

// Streams are the subjects that are being watched.
type Streams[S Subject] struct {
	open    func(S) Source
	handler HandlerOf[S]
	opts    Options

	mu      sync.Mutex
	ctx     context.Context // of Start; nil before and after
	streams map[S]*stream
	ended   map[S]<-chan struct{} // by the latest stream, until it has ended
	running sync.WaitGroup
}

// Set is the resources that are being watched, each with all its objects.
type Set = Streams[schema.GroupVersionResource]

// Handler is told what happens to the objects of resources.
type Handler = HandlerOf[schema.GroupVersionResource]

// Options say which objects of a subject are of interest.
type Options struct {
	Selector string // of labels; empty means all objects
}

// stream is one subject.
type stream struct {
	users int
	stop  context.CancelFunc
}

// NewSet returns a Set that opens each resource by open.
func NewSet(open func(schema.GroupVersionResource) Source, handler Handler, opts Options) *Set {
	return NewStreams(open, handler, opts)
}

// NewStreams returns Streams that open each subject by open.
func NewStreams[S Subject](open func(S) Source, handler HandlerOf[S], opts Options) *Streams[S] {
	return &Streams[S]{
		open: open, handler: handler, opts: opts,
		streams: make(map[S]*stream),
		ended:   make(map[S]<-chan struct{}),
	}
}

// Start runs the streams until ctx ends. Subjects that were acquired before are
// watched from then on.
func (s *Streams[S]) Start(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	for of, st := range s.streams {
		s.launch(of, st)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.ctx = nil // no stream begins any more
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// Acquire makes sure that a subject is watched, until Release is called as often.
func (s *Streams[S]) Acquire(of S) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.streams[of]
	if !ok {
		st = &stream{}
		s.streams[of] = st
		s.launch(of, st)
	}
	st.users++
}

// Release ends one use of a subject, and reports whether that was the last.
func (s *Streams[S]) Release(of S) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.streams[of]
	if !ok {
		return false
	}
	if st.users--; st.users > 0 {
		return false
	}
	delete(s.streams, of)
	if st.stop != nil {
		st.stop()
	}
	return true
}

// launch starts the stream of a subject, if streams run. It begins when an earlier
// one of the same subject has ended: late news must not overtake. The lock is held.
func (s *Streams[S]) launch(of S, st *stream) {
	if s.ctx == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	st.stop = cancel
	before, ended := s.ended[of], make(chan struct{})
	s.ended[of] = ended
	s.running.Go(func() {
		defer s.conclude(of, ended)
		if before != nil {
			<-before
		}
		s.follow(ctx, of)
	})
}

// conclude tells that a stream has ended.
func (s *Streams[S]) conclude(of S, ended chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(ended)
	if s.ended[of] == ended {
		delete(s.ended, of) // nobody has followed it, and perhaps nobody will
	}
}

// follow watches a subject, and tries again later if that is refused.
func (s *Streams[S]) follow(ctx context.Context, of S) {
	for ctx.Err() == nil {
		s.reflect(ctx, of)
		select {
		case <-ctx.Done():
		case <-time.After(refusedPause):
		}
	}
}

// reflect hands the events of a subject to the handler until ctx ends or the
// API server refuses.
func (s *Streams[S]) reflect(ctx context.Context, of S) {
	ctx, refuse := context.WithCancel(ctx)
	defer refuse()
	source := s.open(of)
	ended := func() bool { return ctx.Err() != nil }
	check := func(err error) {
		switch {
		case ended(): // nobody asks any more
		case refused(err):
			s.handler.Refused(of, err)
			refuse()
		case apierrors.IsNotFound(err): // its definition may come back: the reflector asks again soon
			s.handler.Refused(of, err)
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
	cache.NewReflectorWithOptions(lw, nil, &sink[S]{of: of, handler: s.handler, ended: ended}, cache.ReflectorOptions{
		Name: "weir", TypeDescription: of.String(),
	}).RunWithContext(ctx)
}

// refused reports whether trying again soon is of no use.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err)
}

// sink is a store that stores nothing.
type sink[S Subject] struct {
	of      S
	handler HandlerOf[S]
	ended   func() bool // by refusal, too: a list that was under way must not undo that
}

var errNoObject = errors.New("watch delivered something that is no object")

func (s *sink[S]) Add(obj any) error { return s.tell(obj, s.handler.Saw) }

func (s *sink[S]) Update(obj any) error { return s.tell(obj, s.handler.Saw) }

func (s *sink[S]) Delete(obj any) error { return s.tell(obj, s.handler.Lost) }

func (s *sink[S]) tell(obj any, handle func(S, metav1.Object)) error {
	o, ok := obj.(metav1.Object)
	if !ok {
		return errNoObject
	}
	if !s.ended() {
		handle(s.of, o)
	}
	return nil
}

func (s *sink[S]) Replace(list []any, version string) error {
	objs := make([]metav1.Object, 0, len(list))
	for _, item := range list {
		o, ok := item.(metav1.Object)
		if !ok {
			return errNoObject
		}
		objs = append(objs, o)
	}
	if !s.ended() {
		s.handler.Listed(s.of, objs, version)
	}
	return nil
}

func (s *sink[S]) Resync() error { return nil }
