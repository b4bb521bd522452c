package fetch_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact/fetch"
)

func TestTreeIsAFileSystem(t *testing.T) {
	tree := treeOf(t, map[string]string{
		"apps/base/web.yaml":       "kind: Deployment",
		"apps/base/kustomization":  "resources: [web.yaml]",
		"apps/base.txt":            "sorts before the directory in bytes, after it in a walk",
		"apps/overlay/a/b/c/d.txt": "deep",
		"empty":                    "",
		"run.sh":                   "#!/bin/sh",
	})
	if err := fstest.TestFS(tree, "apps/base/web.yaml", "apps/base.txt", "apps/overlay/a/b/c/d.txt", "empty", "run.sh"); err != nil {
		t.Error(err)
	}
	got := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		got[name] = info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		".": "dr-xr-xr-x", "apps": "dr-xr-xr-x", "apps/base": "dr-xr-xr-x", "apps/overlay": "dr-xr-xr-x",
		"apps/overlay/a": "dr-xr-xr-x", "apps/overlay/a/b": "dr-xr-xr-x", "apps/overlay/a/b/c": "dr-xr-xr-x",
		"apps/base/web.yaml": "-r--r--r--", "apps/base/kustomization": "-r--r--r--", "apps/base.txt": "-r--r--r--",
		"apps/overlay/a/b/c/d.txt": "-r--r--r--", "empty": "-r--r--r--", "run.sh": "-r-xr-xr-x",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes: -want +got\n%s", diff)
	}
}

func TestEmptyTree(t *testing.T) {
	tree := treeOf(t, nil)
	if err := fstest.TestFS(tree); err != nil {
		t.Error(err)
	}
	if _, ok := tree.DirDigest("."); !ok {
		t.Error("the root has no digest")
	}
}

func TestTreeErrors(t *testing.T) {
	tree := treeOf(t, map[string]string{"dir/file": "x"})
	readFile := func(name string) error { _, err := tree.ReadFile(name); return err }
	readDir := func(name string) error { _, err := tree.ReadDir(name); return err }
	open := func(name string) error { _, err := tree.Open(name); return err }
	stat := func(name string) error { _, err := tree.Stat(name); return err }
	tests := map[string]struct {
		why  string
		do   func(string) error
		name string
		is   error
		says string
	}{
		"missing file":       {why: "kustomize tries several names", do: readFile, name: "dir/none", is: fs.ErrNotExist},
		"missing directory":  {why: "a path in a spec may be wrong", do: readDir, name: "none", is: fs.ErrNotExist},
		"below a file":       {why: "a file has nothing below it", do: stat, name: "dir/file/x", is: fs.ErrNotExist},
		"directory as file":  {why: "it has no content", do: readFile, name: "dir", says: "is a directory"},
		"file as directory":  {why: "it has no entries", do: readDir, name: "dir/file", says: "is not a directory"},
		"parent":             {why: "there is nothing outside", do: open, name: "../x", is: fs.ErrInvalid},
		"just the parent":    {why: "there is nothing outside", do: open, name: "..", is: fs.ErrInvalid},
		"absolute":           {why: "paths are relative to the root", do: open, name: "/dir", is: fs.ErrInvalid},
		"not clean":          {why: "one spelling of each path", do: open, name: "dir/./file", is: fs.ErrInvalid},
		"trailing slash":     {why: "one spelling of each path", do: open, name: "dir/", is: fs.ErrInvalid},
		"no name":            {why: "the root is a dot", do: open, name: "", is: fs.ErrInvalid},
		"prefix of a name":   {why: "names are compared whole", do: stat, name: "di", is: fs.ErrNotExist},
		"extension of a dir": {why: "names are compared whole", do: stat, name: "dir0", is: fs.ErrNotExist},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := tc.do(tc.name)
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != tc.name || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error = %v; want %v, %q (%s)", err, tc.is, tc.says, tc.why)
			}
		})
	}
}

func TestFilesCanBeReadAnywhere(t *testing.T) {
	tree := treeOf(t, map[string]string{"a": "before", "b": "0123456789", "c": "after"})
	f, err := tree.Open("b")
	if err != nil {
		t.Fatal(err)
	}
	at := make([]byte, 4)
	if _, err := f.(io.ReaderAt).ReadAt(at, 3); err != nil || string(at) != "3456" {
		t.Errorf("ReadAt gives %q, %v", at, err)
	}
	if n, err := f.(io.ReaderAt).ReadAt(at, 8); err != io.EOF || string(at[:n]) != "89" {
		t.Errorf("at the end, ReadAt gives %q, %v: the next file begins there", at[:n], err)
	}
	if _, err := f.(io.Seeker).Seek(-2, io.SeekEnd); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(f); err != nil || string(rest) != "89" {
		t.Errorf("after Seek there is %q, %v", rest, err)
	}
}

// The contract of FileDigest and DirDigest: each change of a tree shows in the digests of what it
// concerns, and in no others.
func TestDigestsTellWhatChanged(t *testing.T) {
	base := map[string]string{"app/a.yaml": "a", "app/b.yaml": "b", "app/sub/c.yaml": "c", "lib/d.yaml": "d"}
	tests := map[string]struct {
		why    string
		change map[string]string // new contents; "-" removes
		want   []string          // what differs
	}{
		"nothing":              {why: "another commit, the same files"},
		"a content":            {why: "those who only list do not care", change: map[string]string{"app/a.yaml": "A"}, want: []string{"app/a.yaml"}},
		"a new file":           {why: "those who listed the directory may pick it up", change: map[string]string{"app/n.yaml": "n"}, want: []string{"app/", "app/n.yaml"}},
		"a new file below":     {why: "a listing is of one directory", change: map[string]string{"app/sub/n.yaml": "n"}, want: []string{"app/sub/", "app/sub/n.yaml"}},
		"a file removed":       {why: "both who read it and who listed it", change: map[string]string{"app/a.yaml": "-"}, want: []string{"app/", "app/a.yaml"}},
		"a directory removed":  {why: "it goes with its last file", change: map[string]string{"lib/d.yaml": "-"}, want: []string{"./", "lib/", "lib/d.yaml"}},
		"contents exchanged":   {why: "a digest is of one path", change: map[string]string{"app/a.yaml": "b", "app/b.yaml": "a"}, want: []string{"app/a.yaml", "app/b.yaml"}},
		"a file for directory": {why: "the kind is part of the listing", change: map[string]string{"app/sub/c.yaml": "-", "app/sub": "x"}, want: []string{"app/", "app/sub", "app/sub/", "app/sub/c.yaml"}},
	}
	old := digests(t, treeOf(t, base))
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for name, content := range base {
				files[name] = content
			}
			for name, content := range tc.change {
				files[name] = content
				if content == "-" {
					delete(files, name)
				}
			}
			changed := digests(t, treeOf(t, files))
			differ := map[string]bool{}
			for name := range old {
				differ[name] = old[name] != changed[name]
			}
			for name := range changed {
				differ[name] = old[name] != changed[name]
			}
			want := map[string]bool{}
			for name := range differ {
				want[name] = false
			}
			for _, name := range tc.want {
				want[name] = true
			}
			if diff := cmp.Diff(want, differ); diff != "" {
				t.Errorf("what differs (%s): -want +got\n%s", tc.why, diff)
			}
		})
	}
}

func TestDigestsOfWhatIsNotThere(t *testing.T) {
	tree := treeOf(t, map[string]string{"dir/file": "content"})
	if got, ok := tree.FileDigest("dir/file"); !ok || got != digestOf([]byte("content")) {
		t.Errorf("digest of the file = %q, %v", got, ok)
	}
	for _, name := range []string{"none", "dir", ".", "", "../dir/file", "dir//file"} {
		if got, ok := tree.FileDigest(name); ok || got != "" {
			t.Errorf("FileDigest(%q) = %q", name, got)
		}
	}
	for _, name := range []string{"none", "dir/file", "", "..", "dir/"} {
		if got, ok := tree.DirDigest(name); ok || got != "" {
			t.Errorf("DirDigest(%q) = %q", name, got)
		}
	}
}

func TestReleasedTreeIsClosed(t *testing.T) {
	content, digest := pack(t, map[string]string{"a": "x"})
	c := newCache(t, fetch.Options{})
	url := serve(t, body(content)).URL
	mine, theirs := get(t, c, url, digest), get(t, c, url, digest)
	mine.Release()
	mine.Release()
	if _, err := mine.ReadFile("a"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a released tree is read: %v", err)
	}
	if _, ok := mine.FileDigest("a"); !ok {
		t.Error("a released tree has lost its digests; it would look as if everything had changed")
	}
	if got, err := theirs.ReadFile("a"); err != nil || string(got) != "x" {
		t.Errorf("the other user reads %q, %v", got, err)
	}
}

func TestLastOfTwoEntriesCounts(t *testing.T) {
	content := gz(t, rawTar(t, "a", "first, and longer", "b", "b", "a", "second"))
	tree := fetched(t, content)
	if got, err := tree.ReadFile("a"); err != nil || string(got) != "second" {
		t.Errorf("content = %q, %v", got, err)
	}
	if err := fstest.TestFS(tree, "a", "b"); err != nil {
		t.Error(err)
	}
}

func TestNamesThatAreNotUTF8DoNotEndAWalk(t *testing.T) {
	tree := fetched(t, gz(t, rawTar(t, "latin\xff/a", "x", "b", "y")))
	var names []string
	err := fs.WalkDir(tree, ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if diff := cmp.Diff([]string{".", "b", "latin\xff", "latin\xff/a"}, names); err != nil || diff != "" {
		t.Errorf("%v: -want +got\n%s", err, diff)
	}
}

func treeOf(t testing.TB, files map[string]string) *fetch.Tree {
	t.Helper()
	content, _ := pack(t, files)
	return fetched(t, content)
}

func fetched(t testing.TB, content []byte) *fetch.Tree {
	t.Helper()
	return get(t, newCache(t, fetch.Options{}), serve(t, body(content)).URL, digestOf(content))
}

// digests returns those of all files, and of all directories with a slash after their names.
func digests(t testing.TB, tree *fetch.Tree) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if d.IsDir() {
			all[name+"/"], _ = tree.DirDigest(name)
		} else {
			all[name], _ = tree.FileDigest(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
