package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mount is where kustomize finds the root of the source. It is below the root of the file system,
// so that a path that climbs out of the source is missing, and not one within.
const mount = "/.weir/source"

// absolute returns where kustomize finds a path of the source.
func absolute(name string) string { return path.Join(mount, name) }

// relative is the reverse of absolute.
func relative(name string) (string, bool) {
	name = path.Clean(name)
	if name == mount {
		return ".", true
	}
	return strings.CutPrefix(name, mount+"/")
}

// fileSystem is what kustomize sees of a source. Builds read files, and make sure that directories
// exist; all else is refused.
type fileSystem struct {
	tree  *tree
	files map[string][]byte // in the place of files of the source, or added to them
	dirs  map[string]bool   // whose kustomization files were checked
}

var _ filesys.FileSystem = (*fileSystem)(nil)

func newFileSystem(g *graph, files map[string][]byte) *fileSystem {
	f := &fileSystem{tree: g.tree, files: files, dirs: map[string]bool{}}
	for dir := range g.known {
		f.dirs[dir] = true
	}
	return f
}

// ReadFile depends on the content of the file, or on there being none.
func (f *fileSystem) ReadFile(name string) ([]byte, error) {
	rel, ok := relative(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if content, ok := f.files[rel]; ok {
		return content, f.tree.count(rel)
	}
	content, err := f.tree.readFile(rel)
	if err != nil {
		return nil, err
	}
	if err := checkYAML(rel, content); err != nil {
		return nil, f.tree.fail(err)
	}
	return content, nil
}

// CleanedAbs depends on what is at the path. kustomize enters a directory through it.
func (f *fileSystem) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	rel, ok := relative(name)
	if !ok {
		return "", "", &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	switch f.tree.kind(rel) {
	case file:
		return filesys.ConfirmedDir(absolute(path.Dir(rel))), path.Base(rel), nil
	case directory:
		if !f.dirs[rel] {
			return "", "", f.tree.fail(fmt.Errorf("%s: the kustomization there was not checked before the build", rel))
		}
		return filesys.ConfirmedDir(absolute(rel)), "", nil
	}
	return "", "", &fs.PathError{Op: "stat", Path: rel, Err: fs.ErrNotExist}
}

// Exists depends on what is at the path.
func (f *fileSystem) Exists(name string) bool {
	rel, ok := relative(name)
	return ok && (f.files[rel] != nil || f.tree.kind(rel) != missing)
}

// IsDir depends on what is at the path.
func (f *fileSystem) IsDir(name string) bool {
	rel, ok := relative(name)
	return ok && f.tree.kind(rel) == directory
}

var errNotInBuilds = errors.New("kustomize builds do not do this")

func (f *fileSystem) Open(string) (filesys.File, error)    { return nil, errNotInBuilds }
func (f *fileSystem) ReadDir(string) ([]string, error)     { return nil, errNotInBuilds }
func (f *fileSystem) Glob(string) ([]string, error)        { return nil, errNotInBuilds }
func (f *fileSystem) Walk(string, filepath.WalkFunc) error { return errNotInBuilds }
func (f *fileSystem) Create(string) (filesys.File, error)  { return nil, errNotInBuilds }
func (f *fileSystem) Mkdir(string) error                   { return errNotInBuilds }
func (f *fileSystem) MkdirAll(string) error                { return errNotInBuilds }
func (f *fileSystem) RemoveAll(string) error               { return errNotInBuilds }
func (f *fileSystem) WriteFile(string, []byte) error       { return errNotInBuilds }
