package tags

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDamage: what is not as it was written is no list, and the next scan makes it anew.
func TestDamage(t *testing.T) {
	t.Parallel()
	damages := map[string]func(content []byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"cut":             func(c []byte) []byte { return c[:len(c)-1] },
		"half":            func(c []byte) []byte { return c[:len(c)/2] },
		"another byte":    func(c []byte) []byte { c[len(c)-1]++; return c },
		"zeros":           func(c []byte) []byte { clear(c); return c },
		"more":            func(c []byte) []byte { return append(c, "\n9.9"...) },
		"something else":  func([]byte) []byte { return []byte("<html>") },
		"of no gzip":      func([]byte) []byte { return append([]byte{}, gzipMagic...) },
		"another version": func(c []byte) []byte { return bytes.Replace(c, []byte(magic), []byte("weir tags 9"), 1) },
	}
	for what, damage := range damages {
		for form, above := range map[string]int{"plain": 1 << 20, "compressed": 0} {
			if form == "compressed" && (what == "more" || what == "another version") {
				continue // what follows the end of what is compressed, or is inside of it, is another matter
			}
			dir := t.TempDir()
			s := open(t, dir)
			s.CompressAbove = above
			put(t, s, name("app"), "1.0", "1.1")
			content, err := os.ReadFile(s.path(name("app")))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.path(name("app")), damage(content), 0o600); err != nil {
				t.Fatal(err)
			}
			next := open(t, dir)
			if got := get(t, next, name("app"), image); got != nil {
				t.Errorf("%s, %s: the tags are %v", what, form, got)
			}
			if _, ok := next.Scanned(name("app"), image); ok {
				t.Errorf("%s, %s: it counts as scanned", what, form)
			}
			put(t, next, name("app"), "1.1", "1.0")
			if got := get(t, open(t, dir), name("app"), image); !slices.Equal(got, []string{"1.1", "1.0"}) {
				t.Errorf("%s, %s: after the next scan, the tags are %v", what, form, got)
			}
		}
	}
}

// TestAFileThatIsLost: the next scan has to find out.
func TestAFileThatIsLost(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, name("app"), "1.0")
	if err := os.Remove(s.path(name("app"))); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Scanned(name("app"), image); ok {
		t.Error("it counts as scanned")
	}
	put(t, s, name("app"), "1.0")
	if _, ok := s.Scanned(name("app"), image); !ok {
		t.Error("it was not written")
	}
}

// TestACrashWhileWriting leaves the list before.
func TestACrashWhileWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, name("app"), "1.0")
	if err := os.WriteFile(s.path(name("app"))+".part", []byte(magic+"\nhalf"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := open(t, dir)
	if got := get(t, next, name("app"), image); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("the tags are %v", got)
	}
	put(t, next, name("app"), "1.1")
	if got := get(t, open(t, dir), name("app"), image); !slices.Equal(got, []string{"1.1"}) {
		t.Errorf("the tags are %v", got)
	}
}

// TestWhatCannotBeWritten leaves the list before, and is tried again.
func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, name("app"), "1.0")
	part := s.path(name("app")) + ".part"
	if err := os.Mkdir(part, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(name("app"), image, []string{"1.1"}); err == nil {
		t.Fatal("the list was written where it cannot be")
	}
	if got := get(t, s, name("app"), image); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("the tags are %v", got)
	}
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	put(t, s, name("app"), "1.1")
	if got := get(t, s, name("app"), image); !slices.Equal(got, []string{"1.1"}) {
		t.Errorf("the tags are %v", got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, above := range []int{0, 1 << 20} {
		for _, tags := range [][]string{nil, {"1.0"}, many(100)} {
			var content bytes.Buffer
			list, text := newList(tags)
			if err := encode(&content, above, image, list.Revision, text); err != nil {
				f.Fatal(err)
			}
			f.Add(content.Bytes())
		}
	}
	f.Add([]byte("weir tags 1\n\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, err := decode(bytes.NewReader(content))
		if err != nil {
			return
		}
		// What is taken is a list like any other.
		var again bytes.Buffer
		if err := encode(&again, 0, found.image, found.list.Revision, strings.Join(found.list.Tags, "\n")); err != nil {
			t.Fatal(err)
		}
		same, err := decode(&again)
		if diff := cmp.Diff(found.list, same.list); err != nil || diff != "" || same.image != found.image {
			t.Errorf("written again: %v (-before +after)\n%s", err, diff)
		}
	})
}
