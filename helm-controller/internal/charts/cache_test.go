package charts_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/helm-controller/internal/charts"
)

func TestOneDownloadAndParseHoweverManyAsk(t *testing.T) {
	t.Parallel()
	data := pack(t, simple())
	began, answer := make(chan struct{}, 100), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-answer
		_, _ = w.Write(data)
	})
	c := newCache(t, charts.Options{})

	var asked sync.WaitGroup
	for range 100 {
		asked.Go(func() {
			got, err := c.Get(t.Context(), s.URL, digestOf(data))
			if err != nil {
				t.Errorf("Get() fails: %v", err)
				return
			}
			defer got.Release()
			if got.Helm().Name() != "demo" {
				t.Errorf("the chart is %q", got.Helm().Name())
			}
		})
	}
	<-began
	close(answer)
	asked.Wait()
	get(t, c, s.URL, digestOf(data)).Release()

	want := charts.Stats{Parses: 1, Hits: 100, Charts: 1, Bytes: c.Stats().Bytes}
	if diff := cmp.Diff(want, c.Stats()); diff != "" || s.requests.Load() != 1 {
		t.Errorf("%d requests; -want +got\n%s", s.requests.Load(), diff)
	}
	if c.Stats().Bytes == 0 {
		t.Error("an unused chart takes no room")
	}
}

func TestWhatIsUsedIsKept(t *testing.T) {
	t.Parallel()
	filler := strings.Repeat("x", 100<<10)
	var digests []string
	archives := map[string][]byte{}
	for i := range 4 {
		data := pack(t, with(simple(), map[string]string{"demo/filler": filler + strconv.Itoa(i)}))
		archives["/"+strconv.Itoa(i)] = data
		digests = append(digests, digestOf(data))
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(archives[r.URL.Path]) })
	c := newCache(t, charts.Options{Idle: 250 << 10}) // two of them
	take := func(i int) *charts.Chart { return get(t, c, s.URL+"/"+strconv.Itoa(i), digests[i]) }

	used := take(0)
	for i := 1; i < 4; i++ {
		take(i).Release()
	}
	if got := c.Stats(); got.Evictions != 1 || got.Charts != 3 || got.Bytes > 250<<10 {
		t.Errorf("with one chart in use and three unused: %+v", got)
	}
	before := s.requests.Load()
	for _, i := range []int{0, 3, 2} {
		take(i).Release()
	}
	if got := s.requests.Load() - before; got != 0 {
		t.Errorf("charts that were in use, or used last, were downloaded again: %d requests", got)
	}
	used.Release()
	used.Release()
	take(1).Release()
	if got := s.requests.Load() - before; got != 1 {
		t.Errorf("%d requests for the chart that was evicted", got)
	}
	if used.Helm().Name() != "demo" {
		t.Error("a released chart is gone while somebody still has it")
	}
}

func TestNothingIsKeptWithoutRoom(t *testing.T) {
	t.Parallel()
	data := pack(t, simple())
	s := serve(t, content(data))
	c := newCache(t, charts.Options{Idle: -1})
	for range 3 {
		get(t, c, s.URL, digestOf(data)).Release()
	}
	if got := c.Stats(); got.Parses != 3 || got.Charts != 0 || got.Bytes != 0 {
		t.Errorf("stats = %+v", got)
	}
}

func TestFailuresOfTheServer(t *testing.T) {
	t.Parallel()
	data := pack(t, simple())
	tests := map[string]struct {
		why    string
		handle func(http.ResponseWriter, *http.Request)
		is     error
		says   string
	}{
		"not there":      {why: "the source has moved on: wait for it", handle: http.NotFound, is: charts.ErrNotFound},
		"something else": {why: "the source has moved on: wait for it", handle: content(pack(t, with(simple(), map[string]string{"demo/x": "x"}))), is: charts.ErrDigest},
		"no archive":     {why: "a page of some proxy is not the artifact", handle: content([]byte("<html>")), is: charts.ErrDigest},
		"broken":         {why: "the server may come back", handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, says: "502"},
		"refused":        {why: "the user must know", handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, says: "403"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tc.handle)
			c := newCache(t, charts.Options{})
			for range 2 { // the second may go better, so it is tried
				_, err := c.Get(t.Context(), s.URL, digestOf(data))
				if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) || errors.Is(err, charts.ErrInvalid) {
					t.Errorf("error = %v; want %v, %q (%s)", err, tc.is, tc.says, tc.why)
				}
			}
			if got := s.requests.Load(); got != 2 {
				t.Errorf("%d requests for two Gets", got)
			}
			if got := c.Stats(); got.Parses != 0 || got.Charts != 0 {
				t.Errorf("stats = %+v", got)
			}
		})
	}
}

func TestWhatIsNoChartIsReadOnce(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"an archive": pack(t, map[string]string{"demo/values.yaml": "a: b"}),
		"no archive": []byte("just some text"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, content(data))
			c := newCache(t, charts.Options{})
			for range 10 {
				if _, err := c.Get(t.Context(), s.URL, digestOf(data)); !errors.Is(err, charts.ErrInvalid) {
					t.Errorf("error = %v", err)
				}
			}
			if got := s.requests.Load(); got != 1 {
				t.Errorf("%d requests", got)
			}
		})
	}
}

func TestAnotherServerIsAsked(t *testing.T) {
	t.Parallel()
	data := pack(t, simple())
	began, answer := make(chan struct{}), make(chan struct{})
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-answer
		w.WriteHeader(http.StatusNotFound)
	})
	good := serve(t, content(data))
	c := newCache(t, charts.Options{})

	failed := make(chan error)
	go func() {
		_, err := c.Get(t.Context(), bad.URL, digestOf(data))
		failed <- err
	}()
	<-began
	got := make(chan error)
	go func() {
		chart, err := c.Get(t.Context(), good.URL, digestOf(data))
		if err == nil {
			chart.Release()
		}
		got <- err
	}()
	waitFor(t, func() bool { return c.Stats().Hits == 1 })
	close(answer)
	if err := <-failed; !errors.Is(err, charts.ErrNotFound) {
		t.Errorf("the server without the chart: %v", err)
	}
	if err := <-got; err != nil {
		t.Errorf("the server with the chart was not asked: %v", err)
	}
}

func TestDownloadEndsWithTheLastWhoWaits(t *testing.T) {
	t.Parallel()
	data := pack(t, simple())
	began, ended := make(chan struct{}), make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	c := newCache(t, charts.Options{})
	ask := func(ctx context.Context, to chan<- error) {
		_, err := c.Get(ctx, s.URL, digestOf(data))
		to <- err
	}
	gone := errors.New("no longer needed")
	first, leave := context.WithCancelCause(t.Context())
	second, leaveToo := context.WithCancelCause(t.Context())
	a, b := make(chan error), make(chan error)
	go ask(first, a)
	<-began
	go ask(second, b)
	waitFor(t, func() bool { return c.Stats().Hits == 1 })

	leave(gone)
	if err := <-a; !errors.Is(err, gone) {
		t.Errorf("error = %v; want why it was given up", err)
	}
	select {
	case <-ended:
		t.Error("the download ended while somebody waited for it")
	default:
	}
	leaveToo(gone)
	if err := <-b; !errors.Is(err, gone) {
		t.Errorf("error = %v; want why it was given up", err)
	}
	<-ended
}

// waitFor polls until something has happened in another goroutine.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not happen in time")
		case <-time.After(time.Millisecond):
		}
	}
}
