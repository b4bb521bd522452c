package speed_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"weir.dev/deploy/cli/internal/kinds"
)

// page is how many objects the command asks for by one request.
const page = 500

// testGetAll: what `get all -A` adds to the time of the API server.
func testGetAll(t *testing.T, p *plane) {
	if err := p.fill(t.Context(), *objects); err != nil {
		t.Fatal(err)
	}
	all := kinds.All()
	first := p.weir(t, "get", "all", "-A") // which also remembers what is served
	if first.code != 0 || strings.Count(first.out, "\n") != len(all)*(*objects+2)-1 {
		t.Fatalf("ended with %d, %d lines, and said %s", first.code, strings.Count(first.out, "\n"), first.said)
	}
	pages := (*objects + page - 1) / page
	if again := p.weir(t, "get", "all", "-A"); again.requests[http.MethodGet] != len(all)*pages || len(again.requests) != 1 {
		t.Errorf("asked %v, want %d pages of %d kinds", again.requests, pages, len(all))
	}
	if *rounds == 1 {
		return
	}
	var size int64
	floor := func(limit int) spent {
		return measure(t, func() (err error) { size, err = p.listAll(t.Context(), all, limit); return err })
	}
	paged, whole := floor(page), floor(0)
	stop := profile(t, "get-all")
	verb := measure(t, func() error { p.weir(t, "get", "all", "-A"); return nil })
	stop()
	beyond := spent{verb.time - min(paged.time, whole.time), verb.cpu - min(paged.cpu, whole.cpu)}
	report(t, fmt.Sprintf("weir get all -A, %d objects of each of %d kinds, %.1f MB", *objects, len(all), float64(size)/1e6),
		line(fmt.Sprintf("the lists alone, %d objects a page", page), paged),
		line("the lists alone, in one piece", whole),
		line("weir get all -A", verb),
		line("beyond the API server's own time (goal: 1 s)", beyond),
	)
}

// profile profiles this process until it is stopped, if profiles are wanted.
func profile(t *testing.T, name string) (stop func()) {
	t.Helper()
	if *profiles == "" {
		return func() {}
	}
	f, err := os.Create(filepath.Join(*profiles, name+".pprof"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		t.Fatal(err)
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// listAll lists all objects of kinds at the same time, in pages or, if limit is 0, at once, and
// returns how many bytes that were.
func (p *plane) listAll(ctx context.Context, all []kinds.Kind, limit int) (int64, error) {
	sizes := make([]int64, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, k := range all {
		g.Go(func() error {
			next := ""
			for {
				path := "/apis/" + k.GVK.GroupVersion().String() + "/" + k.Plural
				if limit > 0 {
					path += fmt.Sprintf("?limit=%d&continue=%s", limit, next)
				}
				data, err := p.do(ctx, http.MethodGet, path, "", nil)
				if err != nil {
					return err
				}
				sizes[i] += int64(len(data))
				if next = continued(data); limit == 0 || next == "" {
					return nil
				}
			}
		})
	}
	err := g.Wait()
	var sum int64
	for _, s := range sizes {
		sum += s
	}
	return sum, err
}

// continued returns where a list goes on, without reading all of it: the metadata of a list
// come before its items.
func continued(data []byte) string {
	head := string(data[:min(len(data), 4096)])
	_, rest, ok := strings.Cut(head, `"continue":"`)
	if !ok {
		return ""
	}
	token, _, _ := strings.Cut(rest, `"`)
	return token
}
