package health_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"weir.dev/pkg/health"
	"weir.dev/pkg/watch"
)

// sources are the resources of an API server that has nothing but what a test puts
// there.
type sources struct {
	mu  sync.Mutex
	all map[watch.Key]*source
}

func newSources() *sources { return &sources{all: make(map[watch.Key]*source)} }

func (s *sources) of(r schema.GroupVersionResource) *source { return s.at(whole(r)) }

func (s *sources) at(key watch.Key) *source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[key] == nil {
		s.all[key] = &source{objects: make(map[string]*unstructured.Unstructured), streams: make(map[*stream]bool)}
	}
	return s.all[key]
}

func (s *sources) source(key watch.Key) watch.Source { return s.at(key) }

// start returns a Watcher that runs until the test ends.
func (s *sources) start(t *testing.T) *health.Watcher {
	return s.startWith(t, health.Options{Selector: "owner"})
}

// startWith is start with other options.
func (s *sources) startWith(t *testing.T, opts health.Options) *health.Watcher {
	w := health.NewWatcher(s.source, opts, func(types.NamespacedName) {})
	run(t, w)
	return w
}

// run runs a Watcher until the test ends.
func run(t *testing.T, w *health.Watcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Start() fails: %v", err)
		}
	})
}

// source is one resource. It serves streams that begin with all objects, as API
// servers do today.
type source struct {
	mu       sync.Mutex
	objects  map[string]*unstructured.Unstructured
	streams  map[*stream]bool
	count    int
	selected []string
}

// set makes objects all that there are.
func (s *source) set(objs ...*unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.objects)
	for _, obj := range objs {
		s.put(obj)
	}
}

// send makes obj known.
func (s *source) send(obj *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(obj)
}

func (s *source) put(obj *unstructured.Unstructured) {
	s.objects[obj.GetName()] = obj
	for st := range s.streams {
		st.add(apiwatch.Event{Type: apiwatch.Modified, Object: obj.DeepCopy()})
	}
}

// open is how many streams there are.
func (s *source) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// opened is how many streams there were.
func (s *source) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// selectors are the label selectors of all streams there were.
func (s *source) selectors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.selected
}

func (s *source) List(context.Context, metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "WidgetList"}}
	list.SetResourceVersion("1")
	for _, obj := range s.objects {
		list.Items = append(list.Items, *obj.DeepCopy())
	}
	return list, nil
}

func (s *source) Watch(_ context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &stream{source: s, events: make(chan apiwatch.Event), more: make(chan struct{}, 1), ended: make(chan struct{})}
	s.streams[st] = true
	s.count++
	s.selected = append(s.selected, opts.LabelSelector)
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents {
		for _, obj := range s.objects {
			st.add(apiwatch.Event{Type: apiwatch.Added, Object: obj.DeepCopy()})
		}
		st.add(apiwatch.Event{Type: apiwatch.Bookmark, Object: endOfList(s.count)})
	}
	go st.pump()
	return st, nil
}

// endOfList is by what an API server says that all objects have been sent.
func endOfList(version int) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetAPIVersion("example.com/v1")
	obj.SetKind("Widget")
	obj.SetResourceVersion(strconv.Itoa(version))
	obj.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return obj
}

// stream is one watch. Whoever puts something in does not wait for it to be read.
type stream struct {
	source *source
	events chan apiwatch.Event
	more   chan struct{}
	ended  chan struct{}
	once   sync.Once

	mu    sync.Mutex
	queue []apiwatch.Event
}

func (s *stream) add(e apiwatch.Event) {
	s.mu.Lock()
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// pump hands the events over until the stream is stopped.
func (s *stream) pump() {
	defer close(s.events)
	for {
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, e := range queue {
			select {
			case s.events <- e:
			case <-s.ended:
				return
			}
		}
		select {
		case <-s.more:
		case <-s.ended:
			return
		}
	}
}

func (s *stream) ResultChan() <-chan apiwatch.Event { return s.events }

func (s *stream) Stop() {
	s.once.Do(func() {
		close(s.ended)
		s.source.mu.Lock()
		defer s.source.mu.Unlock()
		delete(s.source.streams, s)
	})
}
