package watch_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"weir.dev/pkg/watch"
)

// TestMain turns off what client-go does about errors besides logging them: it slows
// down callers by comparing the time of their bubble with that of another, which may
// take 26 years.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil
	os.Exit(m.Run())
}

// configMaps is the resource that most tests watch.
func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

func secrets() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
}

// object is the metadata of an object at a version.
func object(name string, version int) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "apps", ResourceVersion: strconv.Itoa(version)}}
}

// server is an API server with one resource, whatever that is called.
type server struct {
	mu         sync.Mutex
	version    int
	objects    map[string]int // name to version
	listFault  error
	watchFault error

	opened    []string // resources that were opened
	selectors []string // of all requests
	lists     int
	streams   []*apiwatch.RaceFreeFakeWatcher
}

func newServer(names ...string) *server {
	s := &server{version: 10, objects: make(map[string]int)}
	for _, name := range names {
		s.objects[name] = 10
	}
	return s
}

// open implements what a watch.Set opens resources by.
func (s *server) open(r schema.GroupVersionResource) watch.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, r.Resource)
	return s
}

// List implements watch.Source.
func (s *server) List(_ context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	s.selectors = append(s.selectors, opts.LabelSelector)
	if s.listFault != nil {
		return nil, s.listFault
	}
	list := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.version)}}
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		list.Items = append(list.Items, *object(name, s.objects[name]))
	}
	return list, nil
}

// Watch implements watch.Source. Initial events are not served, as by an API
// server of some age: the client lists.
func (s *server) Watch(_ context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.selectors = append(s.selectors, opts.LabelSelector)
	if s.watchFault != nil {
		return nil, s.watchFault
	}
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents {
		return nil, apierrors.NewBadRequest("sendInitialEvents is not known")
	}
	w := apiwatch.NewRaceFreeFake()
	s.streams = append(s.streams, w)
	return w, nil
}

// put changes an object and tells the watchers.
func (s *server) put(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	_, known := s.objects[name]
	s.objects[name] = s.version
	for _, w := range s.streams {
		if known {
			w.Modify(object(name, s.version))
		} else {
			w.Add(object(name, s.version))
		}
	}
}

// remove deletes an object and tells the watchers.
func (s *server) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	delete(s.objects, name)
	for _, w := range s.streams {
		w.Delete(object(name, s.version))
	}
}

// expire changes an object while the watchers do not look, and tells them that
// they have missed something.
func (s *server) expire(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.objects[name] = s.version
	gone := apierrors.NewResourceExpired("too old resource version").Status()
	for _, w := range s.streams {
		w.Error(&gone)
	}
}

// answer makes lists and watches fail, or succeed again.
func (s *server) answer(list, watch error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listFault, s.watchFault = list, watch
}

// active returns how many streams are open.
func (s *server) active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, w := range s.streams {
		if !w.IsStopped() {
			n++
		}
	}
	return n
}

// openings returns the resources that were opened since the start.
func (s *server) openings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.opened)
}

// diary is a handler that notes what it is told.
type diary struct {
	t     testing.TB
	block chan struct{} // if set, Saw waits for it

	mu    sync.Mutex
	notes []string
	busy  map[schema.GroupVersionResource]bool
}

func newDiary(t testing.TB) *diary {
	return &diary{t: t, busy: make(map[schema.GroupVersionResource]bool)}
}

func (d *diary) Saw(r schema.GroupVersionResource, obj metav1.Object) {
	defer d.enter(r)()
	if d.block != nil {
		<-d.block
	}
	d.note("saw " + obj.GetName() + " " + obj.GetResourceVersion())
}

func (d *diary) Lost(r schema.GroupVersionResource, obj metav1.Object) {
	defer d.enter(r)()
	d.note("lost " + obj.GetName() + " " + obj.GetResourceVersion())
}

func (d *diary) Listed(r schema.GroupVersionResource, objs []metav1.Object, version string) {
	defer d.enter(r)()
	var names []string
	for _, o := range objs {
		names = append(names, o.GetName())
	}
	slices.Sort(names)
	d.note("listed " + strings.Join(names, ",") + " at " + version)
}

func (d *diary) Refused(r schema.GroupVersionResource, err error) {
	defer d.enter(r)()
	d.note("refused: " + string(apierrors.ReasonForError(err)))
}

// enter fails the test if the handler is called for a resource while it is busy
// with it.
func (d *diary) enter(r schema.GroupVersionResource) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[r] {
		d.t.Errorf("the handler is called twice at a time for %s", r.Resource)
	}
	d.busy[r] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy[r] = false
	}
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, s)
}

// read returns the notes since the last call, those that repeat each other once.
func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	notes := slices.Compact(d.notes)
	d.notes = nil
	return notes
}
