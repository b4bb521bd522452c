package health_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"weir.dev/pkg/health"
	"weir.dev/pkg/watch"
)

// TestMain turns off what client-go does about errors besides logging them: it slows
// down callers by comparing the time of their bubble with that of another, which may
// take 26 years.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil
	os.Exit(m.Run())
}

// barred is a source that may not be watched. Its objects may be read, by name.
type barred struct {
	mu      sync.Mutex
	refusal error // of lists and watches
	fault   error // of reads
	objects map[string]*unstructured.Unstructured
	reads   []string
}

func newBarred(objs ...*unstructured.Unstructured) *barred {
	b := &barred{objects: make(map[string]*unstructured.Unstructured), refusal: forbidden("watch")}
	for _, obj := range objs {
		b.put(obj)
	}
	return b
}

func forbidden(verb string) error {
	return apierrors.NewForbidden(widgets("v1").GroupResource(), "", errors.New("no right to "+verb))
}

func (b *barred) open(watch.Key) watch.Source { return b }

func (b *barred) put(obj *unstructured.Unstructured) {
	obj.SetLabels(map[string]string{"owner": "x"})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[obj.GetName()] = obj
}

// answer makes lists and watches, and reads, fail.
func (b *barred) answer(refusal, fault error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusal, b.fault = refusal, fault
}

// read returns the names of objects that were read since the last call.
func (b *barred) read() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	reads := b.reads
	b.reads = nil
	slices.Sort(reads)
	return strings.Join(reads, " ")
}

// List implements watch.Source.
func (b *barred) List(context.Context, metav1.ListOptions) (runtime.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusal != nil {
		return nil, b.refusal
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "WidgetList"}}
	list.SetResourceVersion("20")
	for _, obj := range b.objects {
		list.Items = append(list.Items, *obj.DeepCopy())
	}
	return list, nil
}

// Watch implements watch.Source.
func (b *barred) Watch(_ context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.refusal != nil:
		return nil, b.refusal
	case opts.SendInitialEvents != nil && *opts.SendInitialEvents:
		return nil, apierrors.NewBadRequest("sendInitialEvents is not known")
	}
	return apiwatch.NewRaceFreeFake(), nil
}

// Get implements watch.Getter.
func (b *barred) Get(_ context.Context, _, name string) (metav1.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads = append(b.reads, name)
	if b.fault != nil {
		return nil, b.fault
	}
	obj, ok := b.objects[name]
	if !ok {
		return nil, apierrors.NewNotFound(widgets("v1").GroupResource(), name)
	}
	return obj.DeepCopy(), nil
}

// looking is a Watcher that may not watch, in a bubble of its own time.
type looking struct {
	*health.Watcher
	*barred
	t     *testing.T
	mu    sync.Mutex
	woken int
	told  int
}

// look plays a test in a bubble.
func look(t *testing.T, b *barred, opts health.Options, play func(*looking)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &looking{barred: b, t: t}
		opts.Refused = func(watch.Key, error) { l.note(&l.told) }
		l.Watcher = health.NewWatcher(b.open, opts, func(types.NamespacedName) { l.note(&l.woken) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Start() fails: %v", err)
			}
		}()
		play(l)
	})
}

func (l *looking) note(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

// count returns a number, which is 0 from then on.
func (l *looking) count(n *int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := *n
	*n = 0
	return was
}

// after lets time pass and compares the open verdicts of owner o, and what was read.
func (l *looking) after(d time.Duration, verdicts, reads string) {
	l.t.Helper()
	<-time.After(d)
	synctest.Wait()
	var got []string
	for _, v := range l.Check(owner("o")) {
		got = append(got, fmt.Sprintf("%s %s: %s", v.ID.Name, v.Status, v.Message))
	}
	if s := strings.Join(got, ", "); s != verdicts {
		l.t.Errorf("verdicts are %q, want %q", s, verdicts)
	}
	if s := l.read(); s != reads {
		l.t.Errorf("read were %q, want %q", s, reads)
	}
}

const looked = "(it may not be watched, so it is looked at every 5s)"

func TestLooksAtWhatMayNotBeWatched(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]health.Options{"by label": {Selector: "owner"}, "lone": {Lone: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look(t, newBarred(widget("a", 11, "False"), widget("other", 11, "True")), opts, func(l *looking) {
				l.after(20*time.Second, "", "")
				l.Await(owner("o"), []health.Awaited{awaited("a", "10")})
				l.after(time.Second, "a InProgress: so it is "+looked, "a")
				if woken, told := l.count(&l.woken), l.count(&l.told); woken != 1 || told != 1 {
					t.Errorf("woken %d times, told of the refusal %d times; want once each", woken, told)
				}
				l.after(10*time.Second, "a InProgress: so it is "+looked, "a a")
				if woken := l.count(&l.woken); woken != 0 {
					t.Errorf("woken %d times, and nothing is new", woken)
				}
				l.put(widget("a", 12, "True"))
				l.after(5*time.Second, "", "a")
				if woken := l.count(&l.woken); woken != 1 {
					t.Errorf("woken %d times, want once for a change", woken)
				}
				l.Await(owner("o"), []health.Awaited{awaited("a", "20")})
				l.after(0, "a InProgress: the change is yet to be seen", "")
				l.Await(owner("o"), nil)
				l.after(20*time.Second, "", "")
			})
		})
	}
}

func TestLooksAtMoreThatMayNotBeWatched(t *testing.T) {
	t.Parallel()
	look(t, newBarred(widget("a", 11, "True")), health.Options{Selector: "owner"}, func(l *looking) {
		l.Await(owner("o"), []health.Awaited{awaited("a", "")})
		l.after(time.Second, "", "a")
		l.Await(owner("o"), []health.Awaited{awaited("a", ""), awaited("b", "")})
		l.after(time.Second, "b NotFound: ", "b")
		l.put(widget("b", 12, "True"))
		l.after(5*time.Second, "", "a b")
		bare := widget("b", 13, "True")
		l.put(bare)
		bare.SetLabels(nil)
		l.after(5*time.Second, "b NotFound: ", "a b") // no owner is named, so a watch would not tell it
	})
}

func TestMayNeitherWatchNorRead(t *testing.T) {
	t.Parallel()
	b := newBarred(widget("a", 11, "True"))
	b.answer(forbidden("watch"), forbidden("get"))
	look(t, b, health.Options{Lone: true}, func(l *looking) {
		l.Await(owner("o"), []health.Awaited{awaited("a", "")})
		barredSays := "a Unknown: may neither be watched nor read: " + forbidden("get").Error()
		l.after(time.Second, barredSays, "a")
		l.after(time.Minute, barredSays, "") // asking again soon is of no use
		l.answer(forbidden("watch"), nil)
		<-time.After(11 * time.Minute)
		synctest.Wait()
		if l.read() == "" {
			t.Error("rights are not looked at again with the watch")
		}
		l.after(5*time.Second, "", "a")
	})
}

func TestWatchesAgainWhenItMay(t *testing.T) {
	t.Parallel()
	look(t, newBarred(widget("a", 11, "False")), health.Options{Selector: "owner"}, func(l *looking) {
		l.Await(owner("o"), []health.Awaited{awaited("a", "")})
		l.after(time.Second, "a InProgress: so it is "+looked, "a")
		l.answer(nil, nil)
		<-time.After(11 * time.Minute)
		synctest.Wait()
		l.read()
		l.after(time.Minute, "a InProgress: so it is", "")
	})
}

func TestLookThatFailsTellsNothing(t *testing.T) {
	t.Parallel()
	look(t, newBarred(widget("a", 11, "True")), health.Options{Lone: true}, func(l *looking) {
		l.answer(forbidden("watch"), errors.New("connection refused"))
		l.Await(owner("o"), []health.Awaited{awaited("a", "")})
		l.after(time.Second, "a Unknown: may not be watched: "+forbidden("watch").Error(), "a")
		l.answer(forbidden("watch"), nil)
		l.after(5*time.Second, "", "a")
		l.answer(forbidden("watch"), errors.New("connection refused"))
		l.after(5*time.Second, "", "a")
	})
}

// A kind that is not served has no objects, so there is nothing to look at.
func TestKindThatIsNotServed(t *testing.T) {
	t.Parallel()
	b := newBarred(widget("a", 11, "True"))
	b.answer(apierrors.NewNotFound(widgets("v1").GroupResource(), ""), nil)
	look(t, b, health.Options{Lone: true}, func(l *looking) {
		l.Await(owner("o"), []health.Awaited{awaited("a", "")})
		l.after(time.Second, "a NotFound: its kind is not served", "")
		l.after(10*time.Second, "a NotFound: its kind is not served", "")
		if woken, told := l.count(&l.woken), l.count(&l.told); woken != 1 || told != 0 {
			t.Errorf("woken %d times, told of a refusal %d times; want 1 and 0", woken, told)
		}
		l.answer(nil, nil)
		l.after(2*time.Minute, "", "")
		if woken := l.count(&l.woken); woken != 1 {
			t.Errorf("woken %d times when the kind is served, want once", woken)
		}
	})
}
