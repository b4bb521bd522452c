package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
)

func TestLayoutIsTheRecordedOne(t *testing.T) {
	recorded, err := os.ReadFile("testdata/fleet.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	want := gunzip(t, recorded)
	got := gunzip(t, writeTree(t, os.DirFS("testdata/fleet"), nil))
	if !bytes.Equal(got, want) {
		t.Errorf("the tar stream of the tree has %d bytes and differs from the recorded one of %d bytes", len(got), len(want))
	}
}

func TestGzipHeaderIsEmpty(t *testing.T) {
	want := []byte{0x1f, 0x8b, 8, 0 /* flags */, 0, 0, 0, 0 /* time */, 4 /* fastest */, 255 /* system unknown */}
	if got := writeTree(t, fstest.MapFS{"a": {}}, nil); !bytes.HasPrefix(got, want) {
		t.Errorf("archive starts with % x, want % x", got[:len(want)], want)
	}
}

// A new compressor, or a new version of it, changes the digest of every artifact, and every consumer
// applies everything again. That may be worth it, but must not happen unnoticed.
func TestDigestIsPinned(t *testing.T) {
	const want = "sha256:cda98f540c121f95507e5aa6bf539560f40831a1417d699857831dd7c277e13c"
	h := artifact.SHA256.New()
	h.Write(writeTree(t, os.DirFS("testdata/fleet"), nil))
	if got := artifact.SHA256.Digest(h); got != want {
		t.Errorf("digest of the archive of testdata/fleet = %s, want %s", got, want)
	}
}

func TestBytesDoNotDependOnHowContentArrives(t *testing.T) {
	big := strings.Repeat("apiVersion: v1\nkind: ConfigMap\n", 10_000)
	tree := fstest.MapFS{"a/big.yaml": {Data: []byte(big)}, "a/small.yaml": {Data: []byte("x")}, "empty": {}}
	want := writeTree(t, tree, nil)
	for name, arrive := range map[string]func(io.Reader) io.Reader{
		"byte by byte":   iotest.OneByteReader,
		"in halves":      iotest.HalfReader,
		"with its end":   iotest.DataErrReader,
		"all in one":     func(r io.Reader) io.Reader { b, _ := io.ReadAll(r); return bytes.NewReader(b) },
		"without a fuss": func(r io.Reader) io.Reader { return r },
	} {
		if got := writeTree(t, tree, arrive); !bytes.Equal(got, want) {
			t.Errorf("content that arrives %s gives other bytes", name)
		}
	}
}

func TestCompareIsTheOrderOfAWalk(t *testing.T) {
	tree := fstest.MapFS{}
	for _, path := range []string{"a/b/c", "a/b.txt", "a/b-c/d", "a/b c/d", "a.txt", "a-b", "a0", "A/x", "b", "ä/x", "ä.x", "a/bb/x"} {
		tree[path] = &fstest.MapFile{}
	}
	last := ""
	err := fs.WalkDir(tree, ".", func(path string, _ fs.DirEntry, err error) error {
		if path == "." {
			return err
		}
		if archive.Compare(path, last) <= 0 || archive.Compare(last, path) >= 0 || archive.Compare(path, path) != 0 {
			t.Errorf("the walk has %q after %q", path, last)
		}
		last = path
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriterAddsDirectories(t *testing.T) {
	tests := map[string]struct {
		why   string
		write func(*archive.Writer)
		want  []string
	}{
		"none for an empty archive": {
			why:   "a source may have nothing left after its ignore rules",
			write: func(*archive.Writer) {},
		},
		"above a file, once": {
			why: "callers that walk a commit know files only",
			write: func(w *archive.Writer) {
				file(w, "a/b/c/1")
				file(w, "a/b/c/2")
				file(w, "a/b/d/3")
				file(w, "a/x")
				file(w, "b")
				file(w, "c/d")
			},
			want: []string{"a/", "a/b/", "a/b/c/", "a/b/c/1", "a/b/c/2", "a/b/d/", "a/b/d/3", "a/x", "b", "c/", "c/d"},
		},
		"as told": {
			why: "a directory whose files were all ignored is in Flux's archive",
			write: func(w *archive.Writer) {
				w.Dir("a")
				w.Dir("a/empty")
				file(w, "a/f")
				w.Dir("z/y")
			},
			want: []string{"a/", "a/empty/", "a/f", "z/", "z/y/"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := archive.NewWriter(&out, archive.Limits{})
			tc.write(w)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range readAll(t, out.Bytes()) {
				got = append(got, e.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	tests := map[string]struct {
		why    string
		limits archive.Limits
		write  func(*archive.Writer) error
		is     error
		says   string
	}{
		"the same path twice":       {why: "readers would disagree which one counts", write: files("a", "a"), says: `"a" does not come after "a"`},
		"a path out of order":       {why: "the order is part of the bytes", write: files("b", "a"), says: `"a" does not come after "b"`},
		"the order of a Git tree":   {why: "Git sorts a directory as if its name ended in a slash", write: files("a.txt", "a/b"), says: `"a/b" does not come after "a.txt"`},
		"a file as a directory":     {why: "cannot be unpacked", write: files("a", "a/b"), says: `"a/b" is below the file "a"`},
		"a directory that was left": {why: "its header stands further up", write: func(w *archive.Writer) error { file(w, "a/b/c"); return w.Dir("a/b") }, says: "does not come after"},
		"an absolute path":          {why: "escapes", write: files("/a"), says: "clean relative"},
		"a parent":                  {why: "escapes", write: files("a/../../b"), says: "clean relative"},
		"a dot":                     {why: "two spellings of one path", write: files("./a"), says: "clean relative"},
		"a trailing slash":          {why: "two spellings of one path", write: files("a/"), says: "clean relative"},
		"no path":                   {why: "names nothing", write: files(""), says: "clean relative"},
		"a NUL":                     {why: "tar ends a name there", write: files("a\x00b"), says: "NUL"},
		"a very long path":          {why: "readers refuse it", write: files(strings.Repeat("a/", 3000) + "b"), is: archive.ErrTooLarge, says: "4096 bytes"},
		"content that is too short": {why: "the rest would be made up", write: sized("a", 5, "abcd"), says: `"a" does not have the 5 bytes`},
		"content that is too long":  {why: "the rest would be lost", write: sized("a", 3, "abcd"), says: `"a" does not have the 3 bytes`},
		"a negative size":           {why: "not a size", write: sized("a", -1, ""), says: "negative"},
		"content that fails": {
			why:   "the caller must learn which file it was",
			write: func(w *archive.Writer) error { return w.File("a", false, 5, iotest.ErrReader(errBoom)) },
			is:    errBoom, says: `"a"`,
		},
		"too many entries":     {why: "the root counts too", limits: archive.Limits{MaxFiles: 3}, write: files("a/b", "c"), is: archive.ErrTooLarge, says: "limit of 3 files and directories"},
		"too much content":     {why: "before any of it is read", limits: archive.Limits{MaxUnpacked: 5}, write: files("a", "b"), is: archive.ErrTooLarge, says: "the content exceeds the limit of 5 bytes"},
		"too large an archive": {why: "compressed bytes count, as in the status", limits: archive.Limits{MaxSize: 20}, write: files("a", "b"), is: archive.ErrTooLarge, says: "the archive exceeds the limit of 20 bytes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := archive.NewWriter(io.Discard, tc.limits)
			first := tc.write(w)
			err := w.Close()
			if first != nil && !errors.Is(err, first) {
				t.Errorf("Close() = %v after %v", err, first)
			}
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error = %v; want %v, %q (%s)", err, tc.is, tc.says, tc.why)
			}
			if again := w.File("zzz", false, 0, strings.NewReader("")); again == nil {
				t.Error("a file was added after an error")
			}
		})
	}
}

func TestWriterReportsItsDestination(t *testing.T) {
	w := archive.NewWriter(failing{errBoom}, archive.Limits{})
	err := w.File("a", false, 4<<20, &noise{})
	if !errors.Is(err, errBoom) {
		t.Errorf("File() = %v, want %v", err, errBoom)
	}
	if err := w.Close(); !errors.Is(err, errBoom) {
		t.Errorf("Close() = %v, want %v", err, errBoom)
	}
}

func TestClosedWriterTakesNothing(t *testing.T) {
	w := archive.NewWriter(io.Discard, archive.Limits{})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.File("a", false, 0, strings.NewReader("")); err == nil {
		t.Error("a file was added after Close")
	}
}

var errBoom = errors.New("boom")

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// noise is content that does not compress, the same each time.
type noise struct{ state uint64 }

func (n *noise) Read(p []byte) (int, error) {
	for i := range p {
		n.state = n.state*6364136223846793005 + 1442695040888963407
		p[i] = byte(n.state >> 56)
	}
	return len(p), nil
}

func file(w *archive.Writer, path string) error {
	return w.File(path, false, 3, strings.NewReader("abc"))
}

func files(paths ...string) func(*archive.Writer) error {
	return func(w *archive.Writer) error {
		for _, path := range paths {
			if err := file(w, path); err != nil {
				return err
			}
		}
		return nil
	}
}

func sized(path string, size int64, content string) func(*archive.Writer) error {
	return func(w *archive.Writer) error { return w.File(path, false, size, strings.NewReader(content)) }
}

// writeTree archives a tree in the order of its walk.
func writeTree(t testing.TB, tree fs.FS, arrive func(io.Reader) io.Reader) []byte {
	t.Helper()
	var out bytes.Buffer
	w := archive.NewWriter(&out, archive.Limits{})
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if d.IsDir() {
			return w.Dir(path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f, err := tree.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var content io.Reader = f
		if arrive != nil {
			content = arrive(f)
		}
		return w.File(path, info.Mode()&0o100 != 0, info.Size(), content)
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gunzip(t testing.TB, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// entry is what a reader saw of one entry.
type entry struct {
	archive.Entry
	content string
}

func (e entry) String() string {
	if e.Dir {
		return e.Path + "/"
	}
	return e.Path
}

func collect(b []byte, limits archive.Limits) ([]entry, error) {
	var got []entry
	err := archive.Read(bytes.NewReader(b), limits, func(e archive.Entry, r io.Reader) error {
		content, err := io.ReadAll(r)
		if err == nil && int64(len(content)) != e.Size {
			err = fmt.Errorf("%d bytes of %+v", len(content), e)
		}
		got = append(got, entry{e, string(content)})
		return err
	})
	return got, err
}

func readAll(t testing.TB, b []byte) []entry {
	t.Helper()
	got, err := collect(b, archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
