package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	notDir := filepath.Join(dir, "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why  string
		opts Options
		says string
	}{
		"no directory":      {why: "the working directory is no default", opts: Options{}, says: "no storage directory"},
		"missing directory": {why: "a volume that was not mounted must not be papered over", opts: Options{Dir: filepath.Join(dir, "none")}, says: "does not exist: create it"},
		"a file":            {why: "a path that was mistyped", opts: Options{Dir: notDir}, says: "is not a directory"},
		"negative keep":     {why: "the flag takes any number", opts: Options{Dir: dir, Keep: -1}, says: "-1"},
		"negative ttl":      {why: "the flag takes any duration", opts: Options{Dir: dir, TTL: -1}, says: "-1ns"},
		"other algorithm":   {why: "it is too weak", opts: Options{Dir: dir, Algorithm: "md5"}, says: `"md5" is not supported`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(tc.opts); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Open(%+v) = %v; want %q (%s)", tc.opts, err, tc.says, tc.why)
			}
		})
	}
}

func TestPutStoresWhatWasWritten(t *testing.T) {
	for _, algorithm := range []artifact.Algorithm{"", artifact.SHA512} {
		s := open(t, Options{Algorithm: algorithm})
		path := at(t, "a.tar.gz")
		stored := put(t, s, path, "content")

		h := stored.Digest.Algorithm().New()
		io.WriteString(h, "content")
		want := Stored{Digest: stored.Digest.Algorithm().Digest(h), Size: 7}
		if diff := cmp.Diff(want, stored); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if got := read(t, s, path); got != "content" {
			t.Errorf("content = %q", got)
		}
		if !s.Has(path) || s.Has(at(t, "b.tar.gz")) {
			t.Error("Has is wrong")
		}
		for name, mode := range map[string]fs.FileMode{path.String(): 0o600, path.Dir().String(): 0o750 | fs.ModeDir} {
			info, err := s.root.Stat(name)
			if err != nil || info.Mode() != mode {
				t.Errorf("mode of %q = %v, %v; want %v", name, info.Mode(), err, mode)
			}
		}
		onlyFiles(t, s, path.String())
	}
}

func TestPutReplacesWithoutDisturbingReaders(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	put(t, s, path, "old")
	f, err := s.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	put(t, s, path, "newer")
	if got, err := io.ReadAll(f); string(got) != "old" {
		t.Errorf("a reader got %q, %v", got, err)
	}
	if got := read(t, s, path); got != "newer" {
		t.Errorf("content = %q", got)
	}
}

func TestFailedPutLeavesWhatWasThere(t *testing.T) {
	disk := func(f faulty) func(*os.File) file {
		return func(real *os.File) file { f.File = real; return &f }
	}
	big := strings.Repeat("x", 200_000) // more than is buffered
	tests := map[string]struct {
		why   string
		opts  Options
		wrap  func(*os.File) file
		write func(io.Writer) error
		is    error
	}{
		"the writer fails":            {why: "a fetch that was interrupted", write: func(w io.Writer) error { io.WriteString(w, big); return errBoom }, is: errBoom},
		"too large":                   {why: "the limit holds while writing", opts: Options{MaxSize: 1000}, write: text(big), is: ErrTooLarge},
		"too large, in small writes":  {why: "no single write exceeds the limit", opts: Options{MaxSize: 10}, write: func(w io.Writer) error { return errors.Join(text("123456")(w), text("123456")(w)) }, is: ErrTooLarge},
		"too large, and not reported": {why: "the writer may lose the error", opts: Options{MaxSize: 10}, write: func(w io.Writer) error { text(big)(w); return nil }, is: ErrTooLarge},
		"the disk is full":            {why: "while the content is written", wrap: disk(faulty{room: 100_000}), write: text(big), is: syscall.ENOSPC},
		"the disk is full at the end": {why: "buffers are flushed last", wrap: disk(faulty{room: 10}), write: text("twelve bytes"), is: syscall.ENOSPC},
		"the disk fails to sync":      {why: "delayed allocation reports it late", wrap: disk(faulty{room: 1 << 20, sync: syscall.EIO}), write: text(big), is: syscall.EIO},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := at(t, "a.tar.gz")
			s := open(t, Options{})
			old := put(t, s, path, "old")
			s = open(t, Options{Dir: s.opts.Dir, MaxSize: tc.opts.MaxSize})
			if tc.wrap != nil {
				s.wrap = tc.wrap
			}
			if _, err := s.Put(path, tc.write); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), path.String()) {
				t.Errorf("Put() = %v; want %v (%s)", err, tc.is, tc.why)
			}
			if got := read(t, s, path); got != "old" {
				t.Errorf("content = %q (%s)", got, tc.why)
			}
			if err := s.Verify(path, old.Digest, old.Size); err != nil {
				t.Error(err)
			}
			onlyFiles(t, s, path.String())
		})
	}
}

func TestPutsOfOnePathTakeTurns(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	var mu sync.Mutex
	writing, most := 0, 0
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			content := strings.Repeat(fmt.Sprint(i), 1000)
			stored, err := s.Put(path, func(w io.Writer) error {
				mu.Lock()
				writing++
				most = max(most, writing)
				mu.Unlock()
				defer func() { mu.Lock(); writing--; mu.Unlock() }()
				return text(content)(w)
			})
			if err != nil || stored.Size != int64(len(content)) {
				t.Errorf("Put() = %+v, %v", stored, err)
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d writers at once", most)
	}
	if len(s.turns.busy) > 0 {
		t.Errorf("%d paths are remembered as busy", len(s.turns.busy))
	}
	onlyFiles(t, s, path.String())
}

func TestZeroPathIsRefused(t *testing.T) {
	s := open(t, Options{})
	var path artifact.Path
	_, putErr := s.Put(path, text(""))
	_, openErr := s.Open(path)
	_, allErr := s.RemoveAll(path.Dir())
	_, collectErr := s.Collect(t.Context(), path.Dir(), path, noon)
	for what, err := range map[string]error{
		"Put": putErr, "Open": openErr, "RemoveAll": allErr, "Collect": collectErr, "Remove": s.Remove(path),
		"Link": s.Link(path, "latest.tar.gz"), "Verify": s.Verify(path, digestOf(""), 0),
	} {
		if err == nil {
			t.Errorf("%s took it", what)
		}
	}
	if s.Has(path) {
		t.Error("Has found it")
	}
}

func TestLinkLeadsToTheArtifact(t *testing.T) {
	s := open(t, Options{})
	first, second := at(t, "1.tgz"), at(t, "2.tgz")
	put(t, s, first, "1")
	put(t, s, second, "2")
	for _, path := range []artifact.Path{first, second, second} {
		if err := s.Link(path, "latest.tar.gz"); err != nil {
			t.Fatal(err)
		}
		got, err := fs.ReadFile(s.FS(), path.Dir().String()+"/latest.tar.gz")
		if err != nil || string(got)+".tgz" != path.File() {
			t.Errorf("latest is %q, %v; want that of %q", got, err, path)
		}
	}
	onlyFiles(t, s, first.String(), second.String(), first.Dir().String()+"/latest.tar.gz")
	if err := s.Link(at(t, "none.tgz"), "latest.tar.gz"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := s.Link(first, "../latest.tar.gz"); err == nil {
		t.Error("a link outside of the object's directory")
	}
}

func TestOpenSweepsLeftovers(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	put(t, s, path, "content")
	dir := path.Dir().String() + "/"
	for _, name := range []string{tempPrefix + "crashed", dir + tempPrefix + "crashed"} {
		if err := s.root.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.root.Symlink("a.tar.gz", dir+tempPrefix+"link"); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: s.opts.Dir})
	onlyFiles(t, s, path.String())
	if got := read(t, s, path); got != "content" {
		t.Errorf("content = %q", got)
	}
}

func TestOpenSkipsWhatItMayNotRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir})
}

func TestOpenLeavesWhatIsBeingWritten(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	_, err := s.Put(path, func(w io.Writer) error {
		standby := open(t, Options{Dir: s.opts.Dir})
		if _, err := standby.Collect(t.Context(), path.Dir(), artifact.Path{}, noon); err != nil {
			t.Error(err)
		}
		return text("content")(w)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, path); got != "content" {
		t.Errorf("content = %q", got)
	}
}

func TestRemove(t *testing.T) {
	s := open(t, Options{})
	a, b := at(t, "a.tar.gz"), at(t, "b.tar.gz")
	put(t, s, a, "a")
	put(t, s, b, "b")
	leaveLock(t, s, a)
	for range 2 {
		if err := s.Remove(a); err != nil {
			t.Fatal(err)
		}
		onlyFiles(t, s, b.String())
	}
	if _, err := s.Open(a); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open() = %v, want %v", err, ErrNotFound)
	}
	for _, want := range []bool{true, false} {
		if got, err := s.RemoveAll(b.Dir()); got != want || err != nil {
			t.Errorf("RemoveAll() = %v, %v; want %v", got, err, want)
		}
	}
	onlyFiles(t, s)
	if len(s.known.files) > 0 {
		t.Errorf("%d removed files are remembered", len(s.known.files))
	}
}

func TestFSShowsArtifactsOnly(t *testing.T) {
	s := open(t, Options{})
	a := at(t, "a.tar.gz")
	put(t, s, a, "a")
	dir := a.Dir().String()
	if err := s.root.WriteFile(dir+"/"+tempPrefix+"x", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.root.Mkdir(".hidden", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.root.WriteFile(".hidden/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := s.FS()
	if err := fstest.TestFS(files, a.String()); err != nil {
		t.Error(err)
	}
	if err := s.root.Symlink(outside, dir+"/latest.tar.gz"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir + "/" + tempPrefix + "x", ".hidden", ".hidden/x", dir + "/latest.tar.gz", dir + "/none"} {
		if _, err := files.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open(%q) = %v, want %v", name, err, fs.ErrNotExist)
		}
	}
	if _, err := files.Open("../secret"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Open of a parent: %v", err)
	}
	d, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var names []string
	for {
		entries, err := d.(fs.ReadDirFile).ReadDir(1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(entries) != 1 {
			t.Fatalf("ReadDir(1) = %v, %v", entries, err)
		}
		names = append(names, entries[0].Name())
	}
	if len(names) != 2 {
		t.Errorf("the listing has %q", names)
	}
}

var errBoom = errors.New("boom")

// faulty is a disk that has room for some bytes, and may fail to sync.
type faulty struct {
	*os.File
	room int
	sync error
}

func (f *faulty) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n, _ := f.File.Write(p[:f.room])
		f.room = 0
		return n, syscall.ENOSPC
	}
	f.room -= len(p)
	return f.File.Write(p)
}

func (f *faulty) Sync() error { return f.sync }

// open opens a store in its own directory, or in the given one.
func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func at(t testing.TB, file string) artifact.Path {
	t.Helper()
	path, err := artifact.ParsePath("gitrepository/flux-system/fleet/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func text(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

func put(t testing.TB, s *Store, path artifact.Path, content string) Stored {
	t.Helper()
	stored, err := s.Put(path, text(content))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func read(t testing.TB, s *Store, path artifact.Path) string {
	t.Helper()
	f, err := s.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return content.String()
}

func digestOf(content string) artifact.Digest {
	h := artifact.SHA256.New()
	io.WriteString(h, content)
	return artifact.SHA256.Digest(h)
}

// leaveLock leaves what a Flux installation would beside an artifact.
func leaveLock(t testing.TB, s *Store, path artifact.Path) {
	t.Helper()
	if err := s.root.WriteFile(path.String()+lockSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// onlyFiles fails unless these and no others are on disk, whatever kind of file they are.
func onlyFiles(t testing.TB, s *Store, want ...string) {
	t.Helper()
	var got []string
	err := fs.WalkDir(s.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files on disk: -want +got\n%s", diff)
	}
}
