package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRegistryListsInPages: the registry that is used leaves out where a list goes on, by
// which a scan would find its first page only.
func TestRegistryListsInPages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		tags  int
		query string
		pages int
	}{
		"what does not fill a page":      {why: "it is all there is", tags: 3, query: "n=4", pages: 1},
		"what fills a page exactly":      {why: "there is nothing behind it", tags: 4, query: "n=4", pages: 1},
		"what fills two, and a bit":      {why: "each tag comes once", tags: 9, query: "n=4", pages: 3},
		"what fills two exactly":         {why: "the last one has no link", tags: 8, query: "n=4", pages: 2},
		"what is not asked for in pages": {why: "nobody wants a link", tags: 9, query: "", pages: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			var want []string
			for i := range tc.tags {
				want = append(want, fmt.Sprintf("1.0.%d", i))
				if err := r.push(t.Context(), "team/app", want[i]); err != nil {
					t.Fatal(err)
				}
			}
			got, pages := list(t, r, "/v2/team/app/tags/list?"+tc.query)
			if diff := cmp.Diff(want, got); diff != "" || pages != tc.pages {
				t.Errorf("%d pages, want %d (%s); the tags, -want +got:\n%s", pages, tc.pages, tc.why, diff)
			}
			if requests, scans := r.requests.Load(), r.scans.Load(); requests != int64(tc.pages) || scans != 1 {
				t.Errorf("counted are %d requests and %d scans; want %d and 1: pushes do not count", requests, scans, tc.pages)
			}
		})
	}
}

func TestRegistryHasOnlyWhatWasPushed(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	resp, err := http.Get("http://" + r.host + "/v2/nothing/tags/list?n=4")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || resp.Header.Get("Link") != "" {
		t.Errorf("the answer is %s with link %q; want that there is no such image", resp.Status, resp.Header.Get("Link"))
	}
	if err := r.push(t.Context(), "app", "no/tag"); err == nil {
		t.Error("what the registry refuses was pushed")
	}
	if err := r.scanned(t.Context(), 2, time.Millisecond); err == nil {
		t.Error("one scan was taken for two")
	}
}

func newRegistry(t *testing.T) *images {
	t.Helper()
	r, err := startRegistry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// list follows the links of a list of tags, but not for ever.
func list(t *testing.T, r *images, next string) (tags []string, pages int) {
	t.Helper()
	for next != "" && pages < 10 {
		resp, err := http.Get("http://" + r.host + next)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(text, &page); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		tags, pages = append(tags, page.Tags...), pages+1
		target, _, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
		if _, err := url.Parse(target); err != nil {
			t.Fatal(err)
		}
		next = target
	}
	return tags, pages
}

func TestStages(t *testing.T) {
	t.Parallel()
	began := time.Now()
	after := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	first := since(began, [5]time.Time{after(1000), after(1010), after(1030), after(1060), after(1100)})
	second := since(began, [5]time.Time{after(3000), after(3030), after(3090), after(3180), after(3300)})
	if first.total() != 1100*time.Millisecond || second.total() != 3300*time.Millisecond {
		t.Errorf("in all, %s and %s; want what lies between begin and end", first.total(), second.total())
	}
	const want = "stages: scan 2.000 s, policy 0.020 s, commit 0.040 s, artifact 0.060 s, applied 0.080 s; from the scan on, all take 0.200 s"
	if got := stageNote([]stages{first, second}); got != want {
		t.Errorf("the note is\n%q, want\n%q", got, want)
	}
}

// TestTagsRise: each round pushes a tag that is selected.
func TestTagsRise(t *testing.T) {
	t.Parallel()
	var before []int
	for i := range 2 * mostTags {
		var now [3]int
		if _, err := fmt.Sscanf(manyTag(i), "%d.%d.%d", &now[0], &now[1], &now[2]); err != nil {
			t.Fatal(err)
		}
		if slices.Compare(before, now[:]) >= 0 {
			t.Fatalf("tag %d is %v, and the one before it %v", i, now, before)
		}
		before = now[:]
	}
}

func TestMarkedFiles(t *testing.T) {
	t.Parallel()
	for files, want := range map[int]int{20_000: mostMarked, 60: mostMarked, 20: 20} {
		m := monorepo{files: files}
		marked := m.markedFiles(&images{host: "127.0.0.1:5000"})
		if len(marked) != want {
			t.Errorf("of %d files, %d have a marker; want %d", files, len(marked), want)
		}
		for path, text := range marked {
			const line = `image: 127.0.0.1:5000/mono-image:0.1.0 # {"$imagepolicy": "flux-system:mono-image"}`
			if strings.Count(text, line) != 1 || strings.Contains(text, "NAME") {
				t.Fatalf("%s has no such marker, or was not filled in:\n%s", path, text)
			}
		}
	}
}
