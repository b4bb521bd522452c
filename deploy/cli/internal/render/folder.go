package render

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is a folder of this machine as the source of a build. Nothing outside of it is
// read, whatever links say.
type folder struct {
	files
	root *os.Root
}

// files is what the standard library gives of a root.
type files interface {
	fs.ReadDirFS
	fs.ReadFileFS
	fs.StatFS
}

// openFolder opens a folder.
func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	all, ok := root.FS().(files)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s cannot be read as a tree", dir), root.Close())
	}
	return &folder{files: all, root: root}, nil
}

// FileDigest implements build.Source.
func (f *folder) FileDigest(name string) (string, bool) {
	content, err := f.ReadFile(name)
	if err != nil {
		return "", false
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), true
}

// DirDigest implements build.Source.
func (f *folder) DirDigest(name string) (string, bool) {
	entries, err := f.ReadDir(name)
	if err != nil {
		return "", false
	}
	sum := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(sum, "%q %t\n", e.Name(), e.IsDir())
	}
	return hex.EncodeToString(sum.Sum(nil)), true
}

// locate returns the folder that a build of dir may read, and dir relative to it: the work
// tree of Git that dir is in, since bases and components are beside it, or else all.
func locate(dir string) (root, below string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", "", err
	}
	root = dir
	for {
		_, err := os.Lstat(filepath.Join(root, ".git"))
		parent := filepath.Dir(root)
		if err == nil || parent == root {
			below, err := filepath.Rel(root, dir)
			return root, filepath.ToSlash(below), err
		}
		root = parent
	}
}
