package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestExpired(t *testing.T) {
	// aged lists files by the seconds that they are old.
	type aged map[string]int
	tests := map[string]struct {
		why     string
		files   aged
		current string
		keep    int
		want    []string
	}{
		"nothing":                   {why: "an object's first run", keep: 2},
		"only the current":          {why: "what is advertised stays, however old", files: aged{"a": 9999}, current: "a", keep: 2},
		"two young ones":            {why: "consumers may still fetch the one before", files: aged{"a": 10, "b": 0}, current: "b", keep: 2},
		"one too old":               {why: "the time is over, though the count is not", files: aged{"a": 61, "b": 0}, current: "b", keep: 2, want: []string{"a"}},
		"one of exactly the age":    {why: "only older ones go", files: aged{"a": 60, "b": 0}, current: "b", keep: 2},
		"a burst":                   {why: "the count is exceeded, though all are young", files: aged{"a": 30, "b": 20, "c": 10, "d": 0}, current: "d", keep: 2, want: []string{"a", "b"}},
		"a burst, all kept but one": {why: "the current one counts", files: aged{"a": 30, "b": 20, "c": 0}, current: "c", keep: 2, want: []string{"a"}},
		"old and too many":          {why: "both rules at once", files: aged{"a": 90, "b": 30, "c": 20, "d": 0}, current: "d", keep: 2, want: []string{"a", "b"}},
		"old ones suffice":          {why: "the count is kept by what the age took", files: aged{"a": 90, "b": 80, "c": 20, "d": 0}, current: "d", keep: 2, want: []string{"a", "b"}},
		"the current is the oldest": {why: "a newer one was stored but never advertised", files: aged{"a": 500, "b": 20, "c": 10}, current: "a", keep: 2, want: []string{"b"}},
		"keep one":                  {why: "the smallest number to keep", files: aged{"a": 1, "b": 0}, current: "b", keep: 1, want: []string{"a"}},
		"no current":                {why: "the status was lost; the count alone holds", files: aged{"a": 30, "b": 20, "c": 10}, keep: 2, want: []string{"a"}},
		"the current is missing":    {why: "it is not among what is kept", files: aged{"a": 30, "b": 20}, current: "x", keep: 2},
		"equally old":               {why: "two runs must agree on which goes", files: aged{"c": 30, "a": 30, "b": 30, "d": 0}, current: "d", keep: 2, want: []string{"a", "b"}},
		"from the future":           {why: "clocks are set back", files: aged{"a": -500, "b": 0}, current: "b", keep: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var files []stored
			for name, age := range tc.files { // in any order, as a directory lists them
				files = append(files, stored{name, noon.Add(-time.Duration(age) * time.Second)})
			}
			var got []string
			for _, f := range expired(files, tc.current, noon, time.Minute, tc.keep) {
				got = append(got, f.name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
		})
	}
}

func TestCollectRemovesWhatExpired(t *testing.T) {
	s := open(t, Options{})
	var paths []artifact.Path
	for i, age := range []time.Duration{time.Hour, 40 * time.Second, 20 * time.Second, 0} {
		path := at(t, fmt.Sprintf("%d.tar.gz", i))
		put(t, s, path, "x")
		leaveLock(t, s, path)
		mustAge(t, s, path, age)
		paths = append(paths, path)
	}
	current, dir := paths[3], paths[3].Dir()
	if err := s.Link(current, "latest.tar.gz"); err != nil {
		t.Fatal(err)
	}
	if err := s.root.WriteFile(dir.String()+"/"+tempPrefix+"crashed", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 0} {
		got, err := s.Collect(t.Context(), dir, current, noon)
		if got != want || err != nil {
			t.Errorf("Collect() = %d, %v; want %d", got, err, want)
		}
		onlyFiles(t, s,
			paths[2].String(), paths[2].String()+".lock",
			current.String(), current.String()+".lock",
			dir.String()+"/latest.tar.gz",
		)
	}
	if len(s.known.files) != 2 {
		t.Errorf("%d files are remembered, want those that are left", len(s.known.files))
	}
}

func TestCollectOfNothing(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	if n, err := s.Collect(t.Context(), path.Dir(), path, noon); n != 0 || err != nil {
		t.Errorf("Collect() = %d, %v", n, err)
	}
}

func TestCollectRefusesACurrentElsewhere(t *testing.T) {
	s := open(t, Options{})
	other, err := artifact.ParsePath("gitrepository/flux-system/other/a.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context(), at(t, "a.tar.gz").Dir(), other, noon); err == nil {
		t.Error("everything of the object would have been removed")
	}
}

func TestCollectIsBounded(t *testing.T) {
	s := open(t, Options{})
	current := at(t, "current.tar.gz")
	put(t, s, current, "x")
	const surplus = collectFiles + 50
	for i := range surplus {
		if err := s.root.WriteFile(fmt.Sprintf("%s/%04d.tar.gz", current.Dir(), i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	first, err := s.Collect(t.Context(), current.Dir(), current, later)
	if err != nil || first < collectFiles-1 || first > collectFiles {
		t.Errorf("Collect() = %d, %v; want about %d", first, err, collectFiles)
	}
	second, err := s.Collect(t.Context(), current.Dir(), current, later)
	if err != nil || first+second != surplus {
		t.Errorf("Collect() = %d, %v after %d of %d", second, err, first, surplus)
	}
	onlyFiles(t, s, current.String())
}

func TestCollectLeavesWhatWasReplaced(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	put(t, s, path, "old")
	mustAge(t, s, path, time.Hour)
	listed := stored{path.File(), noon.Add(-time.Hour)}
	put(t, s, path, "new")
	if ok, err := s.removeIfUnchanged(path.String(), listed); ok || err != nil {
		t.Errorf("removeIfUnchanged() = %v, %v", ok, err)
	}
	if got := read(t, s, path); got != "new" {
		t.Errorf("content = %q", got)
	}
}

// mustAge makes an artifact look as if it was stored some time before noon.
func mustAge(t testing.TB, s *Store, path artifact.Path, age time.Duration) {
	t.Helper()
	when := noon.Add(-age)
	if err := s.root.Chtimes(path.String(), when, when); err != nil {
		t.Fatal(err)
	}
}
