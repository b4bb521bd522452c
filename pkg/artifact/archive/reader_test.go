package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"weir.dev/pkg/artifact/archive"
)

func TestReadReturnsWhatWasWritten(t *testing.T) {
	var out bytes.Buffer
	w := archive.NewWriter(&out, archive.Limits{})
	long := strings.Repeat("directory-with-a-long-name/", 20) + strings.Repeat("f", 200)
	w.File("a/run.sh", true, 2, strings.NewReader("#!"))
	w.File("a/ünïcode.yaml", false, 1, strings.NewReader("x"))
	w.File(`back\slash`, false, 0, strings.NewReader(""))
	w.File(long, false, 3, strings.NewReader("abc"))
	w.File("latin\xff1", false, 0, strings.NewReader(""))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []entry
	for _, e := range readAll(t, out.Bytes()) {
		if !e.Dir {
			got = append(got, e)
		}
	}
	want := []entry{
		{archive.Entry{Path: "a/run.sh", Executable: true, Size: 2}, "#!"},
		{archive.Entry{Path: "a/ünïcode.yaml", Size: 1}, "x"},
		{archive.Entry{Path: `back\slash`}, ""},
		{archive.Entry{Path: long, Size: 3}, "abc"},
		{archive.Entry{Path: "latin\xff1"}, ""},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestReadAccepts(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   []byte
		want []string
	}{
		"what GNU tar writes":     {why: "anyone can push an artifact", in: pack(t, dir("./"), dir("./a/"), reg("./a/b", "x")), want: []string{"a/", "a/b"}},
		"files only":              {why: "charts come that way", in: pack(t, reg("chart/Chart.yaml", "x")), want: []string{"chart/Chart.yaml"}},
		"symbolic links, by skip": {why: "a link could lead anywhere", in: pack(t, link("a", "/etc/passwd"), reg("b", "x")), want: []string{"b"}},
		"devices, by skip":        {why: "not content", in: pack(t, &member{tar.Header{Typeflag: tar.TypeChar, Name: "null"}, ""}, reg("b", "x")), want: []string{"b"}},
		"global headers, by skip": {why: "git archive writes one", in: pack(t, &member{tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}}, ""}, reg("b", "x")), want: []string{"b"}},
		"one path twice":          {why: "that is how tar updates a file", in: pack(t, reg("a", "1"), reg("a", "2")), want: []string{"a", "a"}},
		"several gzip members":    {why: "a writer may keep parts of an earlier archive", in: members(t, 100, 600), want: []string{"a", "b"}},
		"an empty member":         {why: "harmless", in: append(gz(nil), pack(t, reg("a", "x"))...), want: []string{"a"}},
		"padding after the end":   {why: "tar fills its last record", in: gz(append(tarball(t, reg("a", "x")), make([]byte, 9<<10)...)), want: []string{"a"}},
		"nothing":                 {why: "an empty tree", in: pack(t)},
		"GNU long names":          {why: "GNU tar does not write PAX", in: pack(t, &member{tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("n", 150), Format: tar.FormatGNU}, ""}), want: []string{strings.Repeat("n", 150)}},
		"times of its own":        {why: "only we zero them", in: pack(t, &member{tar.Header{Typeflag: tar.TypeReg, Name: "a", ModTime: time.Unix(1e9, 0)}, ""}), want: []string{"a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range readAll(t, tc.in) {
				got = append(got, e.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.why, diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	whole := pack(t, reg("a", "content"))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	deep := strings.Repeat("d/", 2500)
	tests := map[string]struct {
		why    string
		in     []byte
		limits archive.Limits
		is     error
		says   string
	}{
		"no archive":               {why: "a proxy's error page", in: []byte("<html>502</html>"), is: archive.ErrCorrupt},
		"nothing":                  {why: "an empty answer is no empty tree", in: nil, is: archive.ErrCorrupt},
		"gzip of something else":   {why: "a chart's values, say", in: gz([]byte(strings.Repeat("values: 1\n", 100))), is: archive.ErrCorrupt},
		"an empty gzip":            {why: "a tar archive has an end", in: gz(nil), is: archive.ErrCorrupt},
		"a wrong checksum":         {why: "bits rot", in: flipped, is: archive.ErrCorrupt},
		"garbage after gzip":       {why: "nobody would notice what it hides", in: append(bytes.Clone(whole), "garbage"...), is: archive.ErrCorrupt},
		"data after the tar":       {why: "nobody would notice what it hides", in: gz(append(tarball(t, reg("a", "x")), 'x')), is: archive.ErrCorrupt, says: "data after the end"},
		"a second tar":             {why: "readers disagree whether it counts", in: append(bytes.Clone(whole), whole...), is: archive.ErrCorrupt, says: "data after the end"},
		"endless padding":          {why: "costs time for nothing", in: gz(append(tarball(t), make([]byte, 2<<20)...)), is: archive.ErrCorrupt, says: "zeros"},
		"no end":                   {why: "cut between two entries, it looks whole", in: gz(tarball(t, reg("a", "x"))[:1024]), is: archive.ErrCorrupt, says: "unexpected EOF"},
		"half an end":              {why: "cut in the middle of the end", in: gz(tarball(t, reg("a", "x"))[:1536]), is: archive.ErrCorrupt, says: "unexpected EOF"},
		"a parent":                 {why: "escapes from the directory it is unpacked in", in: pack(t, reg("../a", "x")), is: archive.ErrCorrupt, says: "leaves"},
		"a parent inside":          {why: "not written by any tool without intent", in: pack(t, reg("a/../b", "x")), is: archive.ErrCorrupt, says: "leaves"},
		"an absolute path":         {why: "escapes from the directory it is unpacked in", in: pack(t, reg("/etc/passwd", "x")), is: archive.ErrCorrupt, says: "not relative"},
		"no path":                  {why: "names nothing", in: pack(t, reg("", "x")), is: archive.ErrCorrupt, says: "not relative"},
		"the root as a file":       {why: "the root is a directory", in: pack(t, reg("./.", "x")), is: archive.ErrCorrupt, says: "names no file"},
		"a hard link":              {why: "left out, a file would be missing without a word", in: pack(t, reg("a", "x"), &member{tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}, ""}), is: archive.ErrCorrupt, says: `hard link "b"`},
		"a very long path":         {why: "costs memory for every part", in: pack(t, reg(deep+"x", "")), is: archive.ErrTooLarge, says: "4096 bytes"},
		"too large an archive":     {why: "limit on compressed bytes", in: whole, limits: archive.Limits{MaxSize: int64(len(whole)) - 1}, is: archive.ErrTooLarge, says: "the archive exceeds"},
		"too much content":         {why: "a small download can fill a disk", in: pack(t, reg("a", strings.Repeat("x", 600)), reg("b", strings.Repeat("x", 600))), limits: archive.Limits{MaxUnpacked: 1000}, is: archive.ErrTooLarge, says: "the content exceeds the limit of 1000 bytes"},
		"too many entries":         {why: "an index holds each", in: pack(t, reg("a", ""), dir("b"), reg("b/c", "")), limits: archive.Limits{MaxFiles: 2}, is: archive.ErrTooLarge, says: "limit of 2 files and directories"},
		"too many skipped entries": {why: "they cost time as others do", in: pack(t, link("a", "x"), link("b", "x"), link("c", "x")), limits: archive.Limits{MaxFiles: 2}, is: archive.ErrTooLarge, says: "limit of 2 files and directories"},
		"heavy headers":            {why: "no limit on content sees them", in: pack(t, heavy("a"), heavy("b"), heavy("c")), is: archive.ErrTooLarge, says: "what surrounds the files"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := collect(tc.in, tc.limits)
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error = %v; want %v, %q (%s)", err, tc.is, tc.says, tc.why)
			}
		})
	}
}

func TestEveryTruncationIsNoticed(t *testing.T) {
	recorded, err := os.ReadFile("testdata/fleet.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	for name, whole := range map[string][]byte{"recorded": recorded, "several members": members(t, 512, 1024, 1536, 2048, 2560)} {
		for n := range whole {
			if _, err := collect(whole[:n], archive.Limits{}); !errors.Is(err, archive.ErrCorrupt) {
				t.Errorf("%s: the first %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
	}
}

func TestReadTellsWhoFailed(t *testing.T) {
	whole := pack(t, reg("a", "content"), reg("b", strings.Repeat("x", 10_000)))
	cut := io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
	swallow := func(_ archive.Entry, r io.Reader) error { io.Copy(io.Discard, r); return errBoom }

	tests := map[string]struct {
		why string
		in  io.Reader
		fn  func(archive.Entry, io.Reader) error
		is  error
		not error
	}{
		"the source":              {why: "a broken connection may be tried again", in: iotest.ErrReader(errBoom), fn: skip, is: errBoom, not: archive.ErrCorrupt},
		"the source, in a file":   {why: "an archive that is cut and a connection that is cut look alike", in: cut, fn: skip, is: io.ErrUnexpectedEOF, not: archive.ErrCorrupt},
		"the function":            {why: "a full disk says nothing about the archive", in: bytes.NewReader(whole), fn: func(archive.Entry, io.Reader) error { return errBoom }, is: errBoom, not: archive.ErrCorrupt},
		"nobody, if nobody reads": {why: "the function may skip content", in: bytes.NewReader(whole), fn: skip},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := archive.Read(tc.in, archive.Limits{}, tc.fn)
			if !errors.Is(err, tc.is) || tc.not != nil && errors.Is(err, tc.not) {
				t.Errorf("error = %v; want %v, not %v (%s)", err, tc.is, tc.not, tc.why)
			}
		})
	}

	t.Run("the archive, through the function", func(t *testing.T) {
		long := pack(t, &member{tar.Header{Typeflag: tar.TypeReg, Name: "a"}, noisy(200_000)})
		err := archive.Read(bytes.NewReader(long[:len(long)/2]), archive.Limits{}, swallow)
		if !errors.Is(err, archive.ErrCorrupt) || errors.Is(err, errBoom) {
			t.Errorf("error = %v, want the archive's", err)
		}
	})
}

func FuzzRead(f *testing.F) {
	recorded, err := os.ReadFile("testdata/fleet.tar.gz")
	if err != nil {
		f.Fatal(err)
	}
	// The fuzzer changes the tar stream; it would hardly ever get past a gzip checksum.
	for _, seed := range [][]byte{gunzip(f, recorded), tarball(f, reg("../a", "x")), tarball(f, link("a", "b"), reg(strings.Repeat("long/", 60)+"f", "c")), tarball(f, dir("a/"), reg("a/b", noisy(700))), {}} {
		f.Add(seed, false)
	}
	f.Add(recorded, true)
	limits := archive.Limits{MaxSize: 1 << 20, MaxUnpacked: 1 << 20, MaxFiles: 100}
	f.Fuzz(func(t *testing.T, in []byte, compressed bool) {
		if !compressed {
			in = gz(in)
		}
		var total int64
		got, err := collect(in, limits)
		for _, e := range got {
			total += e.Size
			if e.Path == "" || e.Path[0] == '/' || e.Path == "." || strings.Contains("/"+e.Path+"/", "/../") || e.Dir && e.Size > 0 {
				t.Errorf("entry %+v", e.Entry)
			}
		}
		if total > limits.MaxUnpacked || len(got) > limits.MaxFiles {
			t.Errorf("%d entries with %d bytes", len(got), total)
		}
		if err != nil && !errors.Is(err, archive.ErrCorrupt) && !errors.Is(err, archive.ErrTooLarge) {
			t.Errorf("error without a kind: %v", err)
		}
	})
}

func skip(archive.Entry, io.Reader) error { return nil }

type member struct {
	header  tar.Header
	content string
}

func reg(path, content string) *member {
	return &member{tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644}, content}
}

func dir(path string) *member {
	return &member{tar.Header{Typeflag: tar.TypeDir, Name: path, Mode: 0o755}, ""}
}

func link(path, target string) *member {
	return &member{tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target}, ""}
}

// heavy is an entry without content whose header is as large as the format allows.
func heavy(path string) *member {
	return &member{tar.Header{Typeflag: tar.TypeReg, Name: path, PAXRecords: map[string]string{"weir.x": strings.Repeat("x", 1<<19)}}, ""}
}

func noisy(n int) string {
	b := make([]byte, n)
	(&noise{}).Read(b)
	return string(b)
}

// tarball returns a tar stream as other programs than ours may write it.
func tarball(t testing.TB, ms ...*member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range ms {
		m.header.Size = int64(len(m.content))
		if err := w.WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, m.content)
	}
	w.Close()
	return out.Bytes()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func pack(t testing.TB, ms ...*member) []byte {
	t.Helper()
	return gz(tarball(t, ms...))
}

// members returns a small archive, its tar stream cut at the given positions and each piece
// compressed for itself.
func members(t testing.TB, cuts ...int) []byte {
	t.Helper()
	stream := tarball(t, reg("a", strings.Repeat("1", 300)), reg("b", "2"))
	var out []byte
	from := 0
	for _, to := range append(cuts, len(stream)) {
		out = append(out, gz(stream[from:to])...)
		from = to
	}
	return out
}
