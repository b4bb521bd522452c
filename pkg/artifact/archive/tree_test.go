package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
)

// A new compressor, another way to cut, or another index changes the digest of every artifact.
// Then indexFormat has to change too, lest old and new parts meet in one archive.
func TestDigestOfATreeIsPinned(t *testing.T) {
	const want = "sha256:694502f42c17ccc9bcbc6139e29434d6ac27ebaf7ff929da13accbc7b0a160fa"
	h := artifact.SHA256.New()
	h.Write(manifestTree(500).with("large", noisy(300_000)).with("run", "#!").write(t, nil))
	if got := artifact.SHA256.Digest(h); got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
}

func TestTreeIsWhatAWriterWrites(t *testing.T) {
	tr := manifestTree(400).with("docs/large", noisy(300_000)).with("docs/small", "x").with("bin/run*", "#!").with("empty/", "")
	var want bytes.Buffer
	w := archive.NewWriter(&want, archive.Limits{})
	for _, n := range tr.nodes() {
		if n.Dir {
			w.Dir(n.Path)
			continue
		}
		content := tr[name(n)]
		w.File(n.Path, n.Executable, int64(len(content)), strings.NewReader(content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := tr.write(t, nil)
	if !bytes.Equal(gunzip(t, got), gunzip(t, want.Bytes())) {
		t.Error("the tar stream is another than that of a Writer")
	}
	// The recorded archive has a folder with its own entry for all of them.
	if most := want.Len() * 11 / 10; len(got) > most {
		t.Errorf("%d bytes, want at most %d, which is a tenth more than in one member", len(got), most)
	}
}

func TestCutsCostLittle(t *testing.T) {
	one, tr := new(bytes.Buffer), manifestTree(20_000)
	w := archive.NewWriter(one, archive.Limits{})
	for _, n := range tr.nodes() {
		w.File(n.Path, false, int64(len(tr[n.Path])), strings.NewReader(tr[n.Path]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, most := len(tr.write(t, nil)), one.Len()*11/10; got > most {
		t.Errorf("%d bytes, want at most %d, which is a tenth more than in one member", got, most)
	}
}

// TestBytesDoNotDependOnHistory changes a tree many times. Each archive is made from the one before,
// and must be what it would be without.
func TestBytesDoNotDependOnHistory(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 1))
		tr := manifestTree(1500)
		var last []byte
		for step := range 12 {
			for range 1 + random.IntN(5) {
				tr.change(random)
			}
			fresh := tr.write(t, nil)
			next := tr.write(t, last)
			if !bytes.Equal(next, fresh) {
				t.Fatalf("seed %d, step %d: %d bytes with, %d without an earlier archive, and not the same", seed, step, len(next), len(fresh))
			}
			last = next
		}
	}
}

// change changes one thing.
func (tr tree) change(random *rand.Rand) {
	paths := slices.Sorted(maps.Keys(tr))
	path := paths[random.IntN(len(paths))]
	content := fmt.Sprint("changed ", random.Uint64())
	switch random.IntN(8) {
	case 0:
		delete(tr, path)
	case 1:
		tr[path+"-new"] = content
	case 2:
		tr[fmt.Sprintf("new/%d/file", random.IntN(50))] = content
	case 3:
		tr[path] = content + noisy(200_000+random.IntN(200_000)) // large, or nearly
	case 4:
		for p := range tr {
			if strings.HasPrefix(p, path[:9]) {
				delete(tr, p)
			}
		}
		tr["last"] = content
	case 5:
		content = tr[path]
		delete(tr, path)
		tr[strings.TrimSuffix(path, "*")+".sh*"] = content
	default:
		tr[path] = content
	}
}

// TestCostFollowsTheChange counts the files that are asked for.
func TestCostFollowsTheChange(t *testing.T) {
	flat := make(tree)
	for i := range 20_000 {
		flat[fmt.Sprintf("%05d.yaml", i)] = fmt.Sprint("value: ", i)
	}
	deep := manifestTree(20_000)
	beside := manifestTree(2000).with("apps/003/base/large", noisy(1<<20))
	const most = 8 * 128 // files of a group, which has 128 on average
	tests := map[string]struct {
		why    string
		before tree
		path   string
		most   int
		forbid string
	}{
		"in folders":            {why: "a monorepo", before: deep, path: "apps/077/base/050.yaml", most: most},
		"in one folder":         {why: "folders are no limit to what must be read", before: flat, path: "10000.yaml", most: most},
		"a new file":            {why: "what follows moves, and stays what it is", before: deep, path: "apps/077/base/050a.yaml", most: most},
		"a new folder":          {why: "what follows moves, and stays what it is", before: deep, path: "apps/000/aaa/new", most: most},
		"beside a large file":   {why: "a picture costs more than all manifests", before: beside, path: "apps/003/base/000.yaml", most: most, forbid: "apps/003/base/large"},
		"nothing":               {why: "a commit may change what is ignored", before: deep, most: 0},
		"after what is no tree": {why: "that is a full write, and no more", before: nil, path: "apps/077/base/050.yaml", most: 20_000},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var last []byte
			after := maps.Clone(deep)
			if tc.before != nil {
				last, after = tc.before.write(t, nil), maps.Clone(tc.before)
			}
			if tc.path != "" {
				after[tc.path] = "changed"
			}
			src := after.source()
			var out bytes.Buffer
			if err := archive.WriteTree(&out, archive.Limits{}, after.nodes(), src, earlier(t, last)); err != nil {
				t.Fatal(err)
			}
			if n := len(src.opened); n > tc.most || tc.path != "" && !slices.Contains(src.opened, tc.path) {
				t.Errorf("%d files were read, want at most %d, with %q (%s)", n, tc.most, tc.path, tc.why)
			}
			if src.measured > tc.most {
				t.Errorf("the sizes of %d files were asked for, want at most %d (%s)", src.measured, tc.most, tc.why)
			}
			if slices.Contains(src.opened, tc.forbid) {
				t.Errorf("%q was read (%s)", tc.forbid, tc.why)
			}
		})
	}
}

func TestTreeRefuses(t *testing.T) {
	before := tree{"a": "1", "b": "2", "c": noisy(5000)}
	last := before.write(t, nil)
	many := archive.Limits{}
	tests := map[string]struct {
		why    string
		limits archive.Limits
		nodes  []archive.Node
		files  archive.Files
		is     error
		says   string
	}{
		"a path out of order":     {why: "the order is part of the bytes", limits: many, nodes: []archive.Node{{Path: "b"}, {Path: "a"}}, says: `"a" does not come after "b"`},
		"a path twice":            {why: "readers would disagree which one counts", nodes: []archive.Node{{Path: "a"}, {Path: "a"}}, says: `"a" does not come after "a"`},
		"a file as a directory":   {why: "cannot be unpacked", nodes: []archive.Node{{Path: "a"}, {Path: "a/b"}}, says: "is below the file"},
		"a parent":                {why: "escapes", nodes: []archive.Node{{Path: "../a"}}, says: "clean relative"},
		"too many, also copied":   {why: "a limit is one for what is copied", limits: archive.Limits{MaxFiles: 3}, is: archive.ErrTooLarge, says: "files and directories"},
		"too much, also copied":   {why: "a limit is one for what is copied", limits: archive.Limits{MaxUnpacked: 5001}, is: archive.ErrTooLarge, says: "the content exceeds"},
		"too large, also copied":  {why: "a limit is one for what is copied", limits: archive.Limits{MaxSize: 1000}, is: archive.ErrTooLarge, says: "the archive exceeds"},
		"a size that is not had":  {why: "the caller must learn of which file", nodes: []archive.Node{{Path: "a"}}, files: broken{size: errBoom}, is: errBoom, says: `"a"`},
		"content that is not had": {why: "the caller must learn of which file", nodes: []archive.Node{{Path: "a"}}, files: broken{open: errBoom}, is: errBoom, says: `"a"`},
		"content that is short":   {why: "the rest would be made up", nodes: []archive.Node{{Path: "a"}}, files: broken{}, says: "does not have the 5 bytes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			nodes, files, from := tc.nodes, tc.files, (*archive.Earlier)(nil)
			if nodes == nil {
				nodes, from = before.nodes(), earlier(t, last)
			}
			if files == nil {
				files = before.source()
			}
			err := archive.WriteTree(io.Discard, tc.limits, nodes, files, from)
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error = %v; want %v, %q (%s)", err, tc.is, tc.says, tc.why)
			}
		})
	}
	if err := archive.WriteTree(failing{errBoom}, archive.Limits{}, before.nodes(), before.source(), earlier(t, last)); !errors.Is(err, errBoom) {
		t.Errorf("error = %v, want that of the destination", err)
	}
}

// broken is a file of five bytes that cannot be had.
type broken struct{ size, open error }

func (b broken) Size(int) (int64, error) { return 5, b.size }

func (b broken) Open(int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("abc")), b.open
}

// tree is the content of files by path. A star at the end is for those that are executable, a slash
// for folders.
type tree map[string]string

// manifestTree returns a tree of so many small files.
func manifestTree(n int) tree {
	tr := make(tree, n)
	manifests(func(path string, content []byte) {
		if len(tr) < n {
			tr[path] = string(content)
		}
	})
	return tr
}

func (tr tree) with(path, content string) tree {
	tr[path] = content
	return tr
}

// nodes returns the files and folders, in order. Folders that hold files are left out, but for some.
func (tr tree) nodes() []archive.Node {
	nodes := make([]archive.Node, 0, len(tr))
	for path, content := range tr {
		sum := sha256.Sum256([]byte(content))
		n := archive.Node{Path: strings.TrimRight(path, "*/"), Content: string(sum[:])}
		n.Executable, n.Dir = strings.HasSuffix(path, "*"), strings.HasSuffix(path, "/")
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b archive.Node) int { return archive.Compare(a.Path, b.Path) })
	return slices.CompactFunc(nodes, func(a, b archive.Node) bool { return a.Path == b.Path })
}

func name(n archive.Node) string {
	if n.Executable {
		return n.Path + "*"
	}
	return n.Path
}

// source gives the files of a tree, and counts how often it is asked.
type source struct {
	tree     tree
	nodes    []archive.Node
	opened   []string
	measured int
}

func (tr tree) source() *source { return &source{tree: tr, nodes: tr.nodes()} }

func (s *source) Size(i int) (int64, error) {
	s.measured++
	return int64(len(s.tree[name(s.nodes[i])])), nil
}

func (s *source) Open(i int) (io.ReadCloser, error) {
	s.opened = append(s.opened, s.nodes[i].Path)
	return io.NopCloser(strings.NewReader(s.tree[name(s.nodes[i])])), nil
}

// write archives a tree, going on from an earlier archive if there is one.
func (tr tree) write(t testing.TB, last []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := archive.WriteTree(&out, archive.Limits{}, tr.nodes(), tr.source(), earlier(t, last)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func earlier(t testing.TB, last []byte) *archive.Earlier {
	t.Helper()
	if last == nil {
		return nil
	}
	e, err := archive.ReadEarlier(bytes.NewReader(last), int64(len(last)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestTreeOfTheRecordedArchive: the layout is that of a Writer, which is Flux's.
func TestTreeOfTheRecordedArchive(t *testing.T) {
	recorded, err := os.ReadFile("testdata/fleet.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	tr := make(tree)
	err = fs.WalkDir(os.DirFS("testdata/fleet"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile("testdata/fleet/" + path)
		tr[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gunzip(t, recorded), gunzip(t, tr.write(t, nil))); diff != "" {
		t.Errorf("the tar stream (-recorded +got):\n%s", diff)
	}
}
