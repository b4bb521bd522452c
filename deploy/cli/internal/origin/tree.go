package origin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// largestFile is how many bytes of a file are read. A build takes no larger ones.
const largestFile = 5 << 20

// tree is the files of a commit, as the source of a build. Symbolic links and submodules
// are not there, as in the artifacts of a source.
type tree struct {
	root *object.Tree
}

// info is what there is at a path.
type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// find returns what a commit has at a path.
func (t *tree) find(op, name string) (*object.TreeEntry, error) {
	missing := &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return &object.TreeEntry{Name: ".", Mode: filemode.Dir, Hash: t.root.Hash}, nil
	}
	e, err := t.root.FindEntry(name)
	switch {
	case errors.Is(err, object.ErrEntryNotFound), errors.Is(err, object.ErrDirectoryNotFound), errors.Is(err, object.ErrFileNotFound),
		errors.Is(err, plumbing.ErrObjectNotFound): // a file is on the way
		return nil, missing
	case err != nil:
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	case !present(e.Mode):
		return nil, missing
	}
	return e, nil
}

// present reports whether an artifact has entries of a mode.
func present(m filemode.FileMode) bool {
	return m == filemode.Dir || m.IsRegular() || m == filemode.Executable
}

// Stat implements fs.StatFS.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return t.info(name, e)
}

func (t *tree) info(name string, e *object.TreeEntry) (fs.FileInfo, error) {
	if e.Mode == filemode.Dir {
		return info{name: path.Base(name), dir: true}, nil
	}
	size, err := t.root.Size(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info{name: path.Base(name), size: size}, nil
}

// ReadFile implements fs.ReadFileFS.
func (t *tree) ReadFile(name string) (_ []byte, err error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.Mode == filemode.Dir {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	file, err := t.root.TreeEntryFile(e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	r, err := file.Reader()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	content, err := io.ReadAll(io.LimitReader(r, largestFile+1))
	if err == nil && len(content) > largestFile {
		err = fmt.Errorf("it has more than %d bytes", largestFile)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.Mode != filemode.Dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is no directory")}
	}
	dir := t.root
	if name != "." {
		if dir, err = t.root.Tree(name); err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
		}
	}
	var out []fs.DirEntry
	for _, below := range dir.Entries {
		if present(below.Mode) {
			out = append(out, fs.FileInfoToDirEntry(info{name: below.Name, dir: below.Mode == filemode.Dir}))
		}
	}
	return out, nil
}

// Open implements fs.FS, of files.
func (t *tree) Open(name string) (fs.File, error) {
	about, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if about.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	}
	content, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &opened{Reader: bytes.NewReader(content), about: about}, nil
}

// opened is a file that is in memory.
type opened struct {
	*bytes.Reader
	about fs.FileInfo
}

func (o *opened) Stat() (fs.FileInfo, error) { return o.about, nil }
func (o *opened) Close() error               { return nil }

// FileDigest implements build.Source.
func (t *tree) FileDigest(name string) (string, bool) { return t.digest(name, false) }

// DirDigest implements build.Source.
func (t *tree) DirDigest(name string) (string, bool) { return t.digest(name, true) }

// digest is that of Git, which differs wherever content does.
func (t *tree) digest(name string, dir bool) (string, bool) {
	e, err := t.find("open", name)
	if err != nil || (e.Mode == filemode.Dir) != dir {
		return "", false
	}
	return e.Hash.String(), true
}
