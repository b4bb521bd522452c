package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string) *Mirror {
	t.Helper()
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func folderOf(t *testing.T, m *Mirror, namespace, name string) *Folder {
	t.Helper()
	f, err := m.Folder(namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// put keeps content under a name.
func put(f *Folder, name, content string) error {
	return f.Put(func(w io.Writer) (string, error) {
		_, err := io.WriteString(w, content)
		return name, err
	})
}

func read(t *testing.T, f *Folder, name string) string {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// names are those of all files below a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, filepath.ToSlash(path[len(dir)+1:]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNameTellsStatesApart(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, in := range [][3]string{{"o", "k", "e"}, {"o2", "k", "e"}, {"o", "k2", "e"}, {"o", "k", "e2"}, {"ok", "", "e"}, {"", "ok", "e"}, {"o", "ke", ""}} {
		name := Name(in[0], in[1], in[2])
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %s have the same name", in, other)
		}
		seen[name] = fmt.Sprintf("%q", in)
	}
}

func TestWhatIsKeptSurvives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := open(t, dir)
	f := folderOf(t, m, "ns", "fleet")
	if _, ok := f.Size("a"); ok {
		t.Error("something is kept before it was put")
	}
	for name, content := range map[string]string{"a": "content", "empty": ""} {
		if err := put(f, name, content); err != nil {
			t.Fatal(err)
		}
	}
	again := folderOf(t, open(t, dir), "ns", "fleet")
	if n, ok := again.Size("a"); !ok || n != 7 || read(t, again, "a") != "content" {
		t.Errorf("after another Open, %d bytes: %t", n, ok)
	}
	if n, ok := again.Size("empty"); !ok || n != 0 {
		t.Errorf("an empty object has %d bytes: %t", n, ok)
	}
	if _, ok := folderOf(t, m, "ns", "other").Size("a"); ok {
		t.Error("another folder has it too")
	}
}

func TestPutKeepsNothingHalf(t *testing.T) {
	t.Parallel()
	cause := errors.New("cut")
	tests := map[string]struct {
		why  string
		wrap func(io.Writer) io.Writer
		err  error // of what writes
		disk bool
		want error
	}{
		"the source fails":  {err: cause, want: cause},
		"the disk is full":  {wrap: full, want: syscall.ENOSPC, disk: true},
		"full, not noticed": {why: "who writes may not pass the error on", wrap: full, err: nil, want: syscall.ENOSPC, disk: true},
		"full and another":  {why: "the disk is the cause", wrap: full, err: cause, want: syscall.ENOSPC, disk: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m := open(t, dir)
			if tc.wrap != nil {
				m.wrap = tc.wrap
			}
			err := folderOf(t, m, "ns", "fleet").Put(func(w io.Writer) (string, error) {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 2*buffer))
				return "a", tc.err
			})
			var disk *DiskError
			if !errors.Is(err, tc.want) || errors.As(err, &disk) != tc.disk {
				t.Errorf("Put: %v; want %v, of the disk: %t (%s)", err, tc.want, tc.disk, tc.why)
			}
			if left := names(t, dir); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

func full(w io.Writer) io.Writer { return fullWriter{} }

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestPutWithoutAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "ns"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var disk *DiskError
	if err := put(folderOf(t, m, "ns", "fleet"), "a", "x"); !errors.As(err, &disk) {
		t.Errorf("Put: %v; want a DiskError", err)
	}
}

func TestRetain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := folderOf(t, open(t, dir), "ns", "fleet")
	if n, err := f.Retain(func(string) bool { return false }); n != 0 || err != nil {
		t.Errorf("Retain of nothing: %d, %v", n, err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := put(f, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ns", "fleet", tempPrefix+"1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err) // what a crash leaves
	}
	n, err := f.Retain(func(name string) bool { return name == "b" })
	if n != 3 || err != nil {
		t.Errorf("Retain: %d, %v; want 3 removed", n, err)
	}
	if diff := cmp.Diff([]string{"ns/fleet/b"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := open(t, dir)
	for _, name := range []string{"a", "b"} {
		if err := put(folderOf(t, m, "ns", name), "x", "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(m.Remove("ns", "a"), m.Remove("ns", "a"), m.Remove("other", "a")); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if diff := cmp.Diff([]string{"ns/b/x"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := m.Remove("ns", "b"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ns")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the namespace is left: %v", err)
	}
	for _, bad := range [][2]string{{"..", "x"}, {"ns", ".."}, {"", "x"}, {"a/b", "x"}, {"ns", ".tmp"}} {
		if err := m.Remove(bad[0], bad[1]); err == nil {
			t.Errorf("%q is taken for an object", bad)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := open(t, dir)
	busy, err := m.Folder("ns", "busy")
	if err != nil {
		t.Fatal(err)
	}
	keep := func(name string) {
		f, err := m.Folder("ns", name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := put(f, "x", "x"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"known", "gone", "busy"} {
		keep(name)
	}
	sweep := func() (int, error) {
		return m.Sweep(func() (map[string]bool, error) {
			keep("new")
			return map[string]bool{"ns/known": true, "ns/new": true}, nil
		})
	}
	if n, err := sweep(); n != 1 || err != nil {
		t.Errorf("Sweep: %d, %v; want one removed", n, err)
	}
	want := []string{"ns/busy/x", "ns/known/x", "ns/new/x"}
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	busy.Close()
	if n, err := sweep(); n != 1 || err != nil || slices.Contains(names(t, dir), "ns/busy/x") {
		t.Errorf("Sweep of what is not in use any more: %d, %v", n, err)
	}
	cause := errors.New("no list")
	if _, err := m.Sweep(func() (map[string]bool, error) { return nil, cause }); !errors.Is(err, cause) || len(names(t, dir)) == 0 {
		t.Errorf("Sweep without a list: %v, and %q are left; want the error, and all", err, names(t, dir))
	}
}
