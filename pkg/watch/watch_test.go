package watch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/watch"
)

// later lets the time of a bubble pass.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// scene is a Set that runs, in a bubble of its own time.
type scene struct {
	t *testing.T
	*server
	*diary
	set *watch.Set
	end func() // stops the Set and waits until it has stopped
}

// stage plays a test in a bubble.
func stage(t *testing.T, s *server, play func(*scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sc := &scene{t: t, server: s, diary: newDiary(t)}
		sc.set = watch.NewSet(s.open, sc.diary, watch.Options{Selector: "owner"})
		sc.start()
		defer sc.end()
		play(sc)
	})
}

func (sc *scene) start() {
	ctx, cancel := context.WithCancel(sc.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := sc.set.Start(ctx); err != nil {
			sc.t.Errorf("Start: %v", err)
		}
	}()
	sc.end = func() { cancel(); <-ended }
	synctest.Wait()
}

// wants compares what the handler was told since the last call, once all is quiet.
func (sc *scene) wants(notes ...string) {
	sc.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(notes, sc.read(), cmpopts.EquateEmpty()); diff != "" {
		sc.t.Errorf("the handler was told (-want +got):\n%s", diff)
	}
}

func TestOneStreamForManyUsers(t *testing.T) {
	t.Parallel()
	stage(t, newServer("a"), func(sc *scene) {
		for range 3 {
			sc.set.Acquire(configMaps())
		}
		sc.wants("listed a at 10")
		for range 2 {
			if sc.set.Release(configMaps()) {
				t.Error("a use that is not the last counts as the last")
			}
		}
		sc.put("b")
		sc.wants("saw b 11")
		if n := sc.active(); n != 1 {
			t.Errorf("%d streams for 3 users, want 1", n)
		}
		if !sc.set.Release(configMaps()) {
			t.Error("the last use does not count as the last")
		}
		synctest.Wait()
		if n := sc.active(); n != 0 {
			t.Errorf("%d streams for nobody", n)
		}
		sc.put("c")
		sc.wants()
		if sc.set.Release(configMaps()) {
			t.Error("a use that never was counts as the last")
		}
		if diff := cmp.Diff([]string{"configmaps"}, sc.openings()); diff != "" {
			t.Errorf("opened (-want +got):\n%s", diff)
		}
	})
}

func TestEventsReachTheHandler(t *testing.T) {
	t.Parallel()
	stage(t, newServer("a", "b"), func(sc *scene) {
		sc.set.Acquire(configMaps())
		sc.wants("listed a,b at 10")
		sc.put("c")
		sc.put("a")
		sc.remove("b")
		sc.wants("saw c 11", "saw a 12", "lost b 13")
		for i, selector := range sc.selectors {
			if selector != "owner" {
				t.Errorf("request %d selects %q", i, selector)
			}
		}
	})
}

func TestAcquiredBeforeTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sc := &scene{t: t, server: newServer("a"), diary: newDiary(t)}
		sc.set = watch.NewSet(sc.open, sc.diary, watch.Options{})
		sc.set.Acquire(configMaps())
		sc.set.Acquire(secrets())
		if !sc.set.Release(secrets()) {
			t.Error("the only use does not count as the last")
		}
		sc.wants()
		sc.start()
		sc.wants("listed a at 10")
		sc.end()
		if diff := cmp.Diff([]string{"configmaps"}, sc.openings()); diff != "" {
			t.Errorf("opened (-want +got):\n%s", diff)
		}
	})
}

func TestExpiredWatchListsAgain(t *testing.T) {
	t.Parallel()
	stage(t, newServer("a"), func(sc *scene) {
		sc.set.Acquire(configMaps())
		sc.wants("listed a at 10")
		sc.expire("b")
		later(time.Minute)
		sc.wants("listed a,b at 11")
		sc.put("b")
		sc.wants("saw b 12")
		if n := sc.active(); n != 1 {
			t.Errorf("%d streams, want 1", n)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	group := schema.GroupResource{Resource: "configmaps"}
	errWhy := errors.New("no")
	tests := map[string]struct {
		why         string
		list, watch error
		want        string
		soon        bool // it is asked again within a minute
	}{
		"to list":             {why: "RBAC says no", list: apierrors.NewForbidden(group, "", errWhy), want: "refused: Forbidden"},
		"to watch":            {why: "RBAC may allow the one only", watch: apierrors.NewForbidden(group, "", errWhy), want: "refused: Forbidden"},
		"without credentials": {why: "a token has expired", list: apierrors.NewUnauthorized("no"), watch: apierrors.NewUnauthorized("no"), want: "refused: Unauthorized"},
		"what has no watch":   {why: "some APIs are virtual", watch: apierrors.NewMethodNotSupported(group, "watch"), want: "refused: MethodNotAllowed"},
		"what is not served":  {why: "its definition is gone and may come back", list: apierrors.NewNotFound(group, ""), watch: apierrors.NewNotFound(group, ""), want: "refused: NotFound", soon: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage(t, newServer("a"), func(sc *scene) {
				sc.answer(tc.list, tc.watch)
				sc.set.Acquire(configMaps())
				synctest.Wait()
				if told := sc.read(); len(told) == 0 || told[len(told)-1] != tc.want {
					t.Errorf("the handler was told %q, want %q (%s)", told, tc.want, tc.why)
				}
				sc.answer(nil, nil)
				later(time.Minute)
				if asked := len(sc.read()) > 0; asked != tc.soon {
					t.Errorf("asked again within a minute: %v, want %v (%s)", asked, tc.soon, tc.why)
				}
				later(10 * time.Minute)
				sc.put("b")
				synctest.Wait()
				if told := sc.read(); len(told) == 0 || told[len(told)-1] != "saw b 11" {
					t.Errorf("the handler was told %q when it may watch again (%s)", told, tc.why)
				}
			})
		})
	}
}

func TestRefusedWhileWatching(t *testing.T) {
	t.Parallel()
	stage(t, newServer("a"), func(sc *scene) {
		sc.set.Acquire(configMaps())
		sc.wants("listed a at 10")
		forbidden := apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no"))
		sc.answer(forbidden, forbidden)
		sc.expire("a")
		later(time.Minute)
		sc.wants("refused: Forbidden")
		if n := sc.active(); n != 0 {
			t.Errorf("%d streams are open that were refused", n)
		}
	})
}

// TestStreamsOfAResourceDoNotMix: what an earlier stream tells late must not come
// after the list of a later one.
func TestStreamsOfAResourceDoNotMix(t *testing.T) {
	t.Parallel()
	stage(t, newServer("a"), func(sc *scene) {
		sc.set.Acquire(configMaps())
		sc.wants("listed a at 10")
		sc.block = make(chan struct{})
		sc.put("a")
		synctest.Wait() // the handler is at work on a
		sc.set.Release(configMaps())
		sc.set.Acquire(configMaps())
		sc.wants()
		close(sc.block)
		sc.wants("saw a 11", "listed a at 11")
		if n := sc.active(); n != 1 {
			t.Errorf("%d streams, want 1", n)
		}
	})
}

func TestEnd(t *testing.T) {
	t.Parallel()
	stage(t, newServer("a"), func(sc *scene) {
		sc.set.Acquire(configMaps())
		sc.wants("listed a at 10")
		sc.end()
		if n := sc.active(); n != 0 {
			t.Errorf("Start has returned while %d streams are open", n)
		}
		sc.put("a")
		sc.set.Acquire(secrets())
		sc.wants()
		if diff := cmp.Diff([]string{"configmaps"}, sc.openings()); diff != "" {
			t.Errorf("opened (-want +got):\n%s", diff)
		}
	})
}

// TestManyUsersAtOnce is for the race detector: users come and go while the Set
// ends.
func TestManyUsersAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer("a")
	set := watch.NewSet(s.open, newDiary(t), watch.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := set.Start(ctx); err != nil {
			t.Errorf("Start: %v", err)
		}
	}()
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for range 50 {
				set.Acquire(configMaps())
				set.Acquire(secrets())
				set.Release(secrets())
				set.Release(configMaps())
			}
			if i == 0 {
				cancel()
			}
		})
	}
	users.Wait()
	<-ended
	if n := s.active(); n != 0 {
		t.Errorf("%d streams are open after the end", n)
	}
}
