package health_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/health"
)

// The same object may be applied by another version of its API from one day on.
func TestResourceOfAnAwaitedObjectChanges(t *testing.T) {
	t.Parallel()
	sources := newSources()
	w := sources.start(t)
	old, now := awaited("a", ""), awaited("a", "")
	old.Resource, now.Resource = widgets("v1beta1"), widgets("v1")

	sources.of(old.Resource).set(widget("a", 11, "True"))
	w.Await(owner("o"), []health.Awaited{old})
	eventually(t, "the old resource is seen", func() bool { return len(w.Check(owner("o"))) == 0 })

	sources.of(now.Resource).set(widget("a", 12, "True"))
	w.Await(owner("o"), []health.Awaited{now})
	eventually(t, "the new resource is seen", func() bool { return len(w.Check(owner("o"))) == 0 })
	eventually(t, "the old resource is let go", func() bool { return sources.of(old.Resource).open() == 0 })

	w.Await(owner("o"), nil)
	eventually(t, "the new resource is let go", func() bool { return sources.of(now.Resource).open() == 0 })
}

func TestWatcherSharesStreams(t *testing.T) {
	t.Parallel()
	sources := newSources()
	v1 := sources.of(widgets("v1"))
	v1.set(widget("a", 11, "True"), widget("b", 11, "False"))
	w := sources.start(t)
	w.Await(owner("o"), []health.Awaited{awaited("a", ""), awaited("b", "")})
	w.Await(owner("p"), []health.Awaited{awaited("a", "")})
	eventually(t, "both owners know", func() bool {
		return len(w.Check(owner("p"))) == 0 && len(w.Check(owner("o"))) == 1
	})
	v1.send(widget("b", 12, "True"))
	eventually(t, "the change is seen", func() bool { return len(w.Check(owner("o"))) == 0 })
	if got := v1.opened(); got != 1 {
		t.Errorf("%d streams were opened for one resource, want 1", got)
	}
	if got := v1.selectors(); !slices.Equal(got, []string{"owner"}) {
		t.Errorf("objects are selected by %q, want the label of owners", got)
	}
	w.Await(owner("o"), nil)
	if v1.open() != 1 {
		t.Error("the stream ended, but somebody waits still")
	}
	w.Await(owner("p"), nil)
	eventually(t, "the stream ends with the last who waits", func() bool { return v1.open() == 0 })
	w.Await(owner("o"), []health.Awaited{awaited("b", "")})
	eventually(t, "another stream begins", func() bool { return len(w.Check(owner("o"))) == 0 })
	if got := v1.opened(); got != 2 {
		t.Errorf("%d streams were opened, want 2", got)
	}
}

// What is awaited before the start is watched from the start on.
func TestAwaitBeforeStart(t *testing.T) {
	t.Parallel()
	sources := newSources()
	sources.of(widgets("v1")).set(widget("a", 11, "True"))
	woken := make(chan types.NamespacedName, 1)
	w := health.NewWatcher(sources.source, health.Options{Selector: "owner"}, func(o types.NamespacedName) { woken <- o })
	w.Await(owner("o"), []health.Awaited{awaited("a", "")})
	run(t, w)
	select {
	case got := <-woken:
		if got != owner("o") || len(w.Check(owner("o"))) != 0 {
			t.Errorf("woke %s, and the verdicts are %v", got, w.Check(owner("o")))
		}
	case <-time.After(time.Minute):
		t.Error("nobody was woken")
	}
}

// Owners come and go while objects change; at the end all is known and let go.
func TestWatcherConcurrently(t *testing.T) {
	t.Parallel()
	sources := newSources()
	w := sources.start(t)
	var g sync.WaitGroup
	for n := range 4 {
		g.Go(func() {
			for i := range 100 {
				a := awaited(fmt.Sprintf("w%d", (n+i)%3), "")
				a.Resource = widgets(fmt.Sprintf("v%d", i%2))
				w.Await(owner(strconv.Itoa(n)), []health.Awaited{a})
				w.Check(owner(strconv.Itoa(n)))
				sources.of(a.Resource).send(widget(a.ID.Name, 11+i, []string{"True", "False"}[i%2]))
			}
		})
	}
	g.Wait()
	for n := range 4 {
		w.Await(owner(strconv.Itoa(n)), []health.Awaited{awaited("w0", "")})
	}
	sources.of(widgets("v1")).set(widget("w0", 1000, "True"))
	for n := range 4 {
		eventually(t, "all is well", func() bool { return len(w.Check(owner(strconv.Itoa(n)))) == 0 })
		w.Await(owner(strconv.Itoa(n)), nil)
	}
	for _, v := range []string{"v0", "v1"} {
		eventually(t, "all streams have ended", func() bool { return sources.of(widgets(v)).open() == 0 })
	}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}
