package tags

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

const image = "registry.example.com/app"

func name(name string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: name} }

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, repo types.NamespacedName, tags ...string) List {
	t.Helper()
	list, err := s.Put(repo, image, tags)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// get returns the tags of an object, nil if there is no list.
func get(t *testing.T, s *Store, repo types.NamespacedName, image string) []string {
	t.Helper()
	list, ok, err := s.Get(repo, image)
	if err != nil {
		t.Fatal(err)
	}
	if ok != (list.Revision != "") || ok != (list.Tags != nil) {
		t.Errorf("Get(%s) = %v, %t", repo, list, ok)
	}
	return list.Tags
}

// many are so many tags.
func many(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("main-%08x-%07d", i*2654435761, i)
	}
	return tags
}

func TestListsArePutInOrder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		in, want []string
	}{
		"none":            {why: "that is something else than not to know", want: []string{}},
		"one":             {in: []string{"1.0"}, want: []string{"1.0"}},
		"the last first":  {in: []string{"a", "c", "b"}, want: []string{"c", "b", "a"}},
		"each of it once": {why: "a page may begin with the end of the last one", in: []string{"a", "b", "a"}, want: []string{"b", "a"}},
	}
	for what, tc := range tests {
		dir := t.TempDir()
		s := open(t, dir)
		in := slices.Clone(tc.in)
		list := put(t, s, name("app"), in...)
		if diff := cmp.Diff(tc.want, list.Tags); diff != "" {
			t.Errorf("%s: list (-want +got), %s:\n%s", what, tc.why, diff)
		}
		if diff := cmp.Diff(tc.in, in); diff != "" {
			t.Errorf("%s: the tags that were given have changed:\n%s", what, diff)
		}
		for where, s := range map[string]*Store{"the same process": s, "the next one": open(t, dir)} {
			if diff := cmp.Diff(tc.want, get(t, s, name("app"), image)); diff != "" {
				t.Errorf("%s: list (-want +got) in %s, %s:\n%s", what, where, tc.why, diff)
			}
		}
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	first := put(t, s, name("one"), "b", "a")
	if again := put(t, s, name("two"), "a", "b"); again.Revision != first.Revision {
		t.Errorf("equal lists have the revisions %s and %s", first.Revision, again.Revision)
	}
	if other := put(t, s, name("two"), "ab"); other.Revision == first.Revision {
		t.Error("different lists have the same revision")
	}
	const want = "sha256:c4a78e5bdf318c857b19a6ae4678d9fc8ab0d9bf2b7dd11b41a06c4c1047d943" // of "b\na"
	if first.Revision != want {
		t.Errorf("the revision is %s; want %s, the digest of a tag a line", first.Revision, want)
	}
}

// TestAnEqualListIsNotWritten, and yet it is known when it was found.
func TestAnEqualListIsNotWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { return at }
	put(t, s, name("app"), "1.0", "1.1")
	written := inode(t, s, "app")
	at = at.Add(time.Hour)
	put(t, s, name("app"), "1.1", "1.0")
	if inode(t, s, "app") != written {
		t.Error("an equal list was written")
	}
	next := open(t, dir)
	for where, s := range map[string]*Store{"the same process": s, "the next one": next} {
		if scan, ok := s.Scanned(name("app"), image); !ok || !scan.Time.Equal(at) {
			t.Errorf("in %s, the last scan was %v, %t; want at %s", where, scan, ok, at)
		}
	}
	put(t, next, name("app"), "1.1", "1.0")
	if inode(t, s, "app") != written {
		t.Error("after a restart, an equal list was written")
	}
	put(t, s, name("app"), "1.2")
	if inode(t, s, "app") == written {
		t.Error("another list was not written")
	}
}

// inode tells files apart that replace each other.
func inode(t *testing.T, s *Store, object string) uint64 {
	t.Helper()
	info, err := os.Stat(s.path(name(object)))
	if err != nil {
		t.Fatal(err)
	}
	return inodeOf(info)
}

func TestAnotherImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), name("app"), "1.0")
	s := open(t, dir)
	const other = "registry.example.com/other"
	for range 2 { // from the file, and from memory
		if got := get(t, s, name("app"), other); got != nil {
			t.Errorf("the tags of another image are %v", got)
		}
		if _, ok := s.Scanned(name("app"), other); ok {
			t.Error("another image is known")
		}
		if got := get(t, s, name("app"), image); !slices.Equal(got, []string{"1.0"}) {
			t.Errorf("the tags are %v", got)
		}
	}
	if _, err := s.Put(name("app"), other, []string{"1.0"}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, name("app"), image); got != nil {
		t.Errorf("the tags of the image before are %v", got)
	}
	if got := get(t, s, name("other"), image); got != nil {
		t.Errorf("an object that was not scanned has the tags %v", got)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, name("app"), "1.0")
	put(t, s, name("kept"), "2.0")
	for range 2 { // it may be repeated
		if err := s.Delete(name("app")); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, s, name("app"), image); got != nil {
		t.Errorf("an object that is gone has the tags %v", got)
	}
	if got := get(t, s, name("kept"), image); !slices.Equal(got, []string{"2.0"}) {
		t.Errorf("the other has the tags %v", got)
	}
	if err := s.Delete(name("kept")); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	for above, want := range map[int]bool{defaultCompressAbove: true, 0: true, 10 << 20: false} {
		s := open(t, t.TempDir())
		s.CompressAbove = above
		tags := many(10_000)
		put(t, s, name("app"), tags...)
		content, err := os.ReadFile(s.path(name("app")))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.HasPrefix(content, gzipMagic); got != want {
			t.Errorf("above %d bytes: compressed is %t, want %t", above, got, want)
		}
		if text := len(strings.Join(tags, "\n")); want && len(content) > text*2/3 {
			t.Errorf("%d bytes were compressed to %d", text, len(content))
		}
		s.shared.forget(name("app"))
		if got := get(t, s, name("app"), image); len(got) != len(tags) {
			t.Errorf("above %d bytes: %d tags were read, want %d", above, len(got), len(tags))
		}
	}
}

// TestListsAreShared: a thousand policies need no thousand copies.
func TestListsAreShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), name("app"), many(1000)...)
	s := open(t, dir)
	var readers sync.WaitGroup
	got := make([][]string, 50)
	for i := range got {
		readers.Go(func() {
			list, _, err := s.Get(name("app"), image)
			if err != nil {
				t.Error(err)
			}
			got[i] = list.Tags
		})
	}
	readers.Wait()
	for _, tags := range got {
		if len(tags) != 1000 || &tags[0] != &got[0][0] {
			t.Fatal("two readers have lists of their own")
		}
	}
}

// TestMemoryIsBounded: of many lists, the last ones are kept, and of one that is too
// large, that one.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	s.shared = newShared(200_000)
	for i := range 20 {
		put(t, s, name(fmt.Sprintf("app-%d", i)), many(1000)...) // about 40 kB each
	}
	if n := len(s.shared.loans); n < 3 || n > 5 || s.shared.size > 200_000 {
		t.Errorf("%d lists of %d bytes are in memory", n, s.shared.size)
	}
	if _, ok := s.shared.get(name("app-19"), image); !ok {
		t.Error("the last list is not in memory")
	}
	put(t, s, name("large"), many(20_000)...)
	if _, ok := s.shared.get(name("large"), image); !ok || len(s.shared.loans) != 1 {
		t.Errorf("%d lists are in memory beside a large one, or it is not: %t", len(s.shared.loans), ok)
	}
	put(t, s, name("small"), "1.0")
	if len(s.shared.loans) != 1 || s.shared.size > 200_000 {
		t.Errorf("%d lists of %d bytes are in memory after a large one", len(s.shared.loans), s.shared.size)
	}
	if got := get(t, s, name("app-0"), image); len(got) != 1000 {
		t.Errorf("a list that is not in memory has %d tags", len(got))
	}
}

// TestManyTags: a list of 100,000 tags is two things in memory, its text and its parts.
func TestManyTags(t *testing.T) { // alone, since it counts what is allocated
	dir := t.TempDir()
	tags := many(100_000)
	put(t, open(t, dir), name("app"), tags...)
	s := open(t, dir)
	if scan, ok := s.Scanned(name("app"), image); !ok || len(s.shared.loans) != 0 {
		t.Errorf("after a restart, %v, %t is known, and %d lists are in memory; want none", scan, ok, len(s.shared.loans))
	}
	got := get(t, s, name("app"), image)
	if len(got) != len(tags) || s.shared.size > maxShared {
		t.Errorf("%d tags of %d bytes; want %d", len(got), s.shared.size, len(tags))
	}
	allocated := testing.AllocsPerRun(1, func() { listOf(strings.Join(got, "\n")) })
	if allocated > 20 {
		t.Errorf("a list is made of %.0f things", allocated)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file was taken for a folder")
	}
}
