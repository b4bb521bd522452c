package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/ignore"

	"weir.dev/pkg/artifact/archive"
)

// ErrNotFound is wrapped when a tree has nothing at a path.
var ErrNotFound = errors.New("not found")

// Tree is the tree of files in an artifact. Its archive is read as often as something is
// looked for, which takes less than unpacking it would.
type Tree struct {
	Open   func() (io.ReadCloser, error) // the archive
	Limits Limits
}

// Clean returns a path of a user as one in the tree: it cannot lead out.
func Clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/")
}

// Files reads the files that are wanted, by their paths in the tree.
func (t Tree) Files(want func(path string) bool) (map[string][]byte, error) {
	r, err := t.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	files := make(map[string][]byte)
	budget := t.Limits.budget()
	err = archive.Read(r, archive.Limits{}, func(e archive.Entry, content io.Reader) error {
		if e.Dir || !want(e.Path) {
			return nil
		}
		b := budget
		if strings.HasSuffix(e.Path, ".tgz") {
			// A package has the limit of packages.
			b.file = max(t.Limits.File, t.Limits.Package)
			defer func() { b.file = t.Limits.File }()
		}
		data, err := b.read(e.Path, e.Size, content)
		files[e.Path] = data
		return err
	})
	return files, err
}

// File reads one file.
func (t Tree) File(name string) ([]byte, error) {
	files, err := t.Files(func(p string) bool { return p == name })
	if err != nil {
		return nil, err
	}
	data, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("%w: the artifact has no file %q", ErrNotFound, name)
	}
	return data, nil
}

// Source is what is at a path of a tree: the folder of a chart, or a package.
type Source struct {
	tree    Tree
	path    string
	Package []byte // nil if it is a folder
	head    map[string][]byte
}

// Look finds a chart at a path of a tree, and reads of a folder only what tells which
// chart it is.
func (t Tree) Look(name string) (*Source, error) {
	name = Clean(name)
	s := &Source{tree: t, path: name}
	files, err := t.Files(func(p string) bool {
		below, ok := s.below(p)
		return p == name || ok && (below == chartFile || below == ignore.HelmIgnore)
	})
	if err != nil {
		return nil, err
	}
	if data, ok := files[name]; ok {
		s.Package = data
		return s, nil
	}
	s.head = make(map[string][]byte)
	for p, data := range files {
		below, _ := s.below(p)
		s.head[below] = data
	}
	if len(s.head[chartFile]) == 0 {
		return nil, fmt.Errorf("%w: no chart found at path '%s': it has no %s", ErrNotFound, name, chartFile)
	}
	return s, nil
}

// below returns the path of a file of the tree in the folder of the chart.
func (s *Source) below(p string) (string, bool) {
	if s.path == "" {
		return p, true
	}
	return strings.CutPrefix(p, s.path+"/")
}

// Head returns the name and the version of the chart.
func (s *Source) Head() (name, version string, err error) {
	var c *Chart
	if s.Package != nil {
		c, err = FromPackage(s.Package, s.tree.Limits)
	} else {
		c, err = FromFiles(map[string][]byte{chartFile: bytes.TrimPrefix(s.head[chartFile], []byte("\xef\xbb\xbf"))})
	}
	if err != nil {
		return "", "", err
	}
	return c.Name(), c.Version(), nil
}

// Chart reads the chart whole, but for what its .helmignore leaves out.
func (s *Source) Chart() (*Chart, error) {
	if s.Package != nil {
		return FromPackage(s.Package, s.tree.Limits)
	}
	rules := ignore.Empty()
	if text, ok := s.head[ignore.HelmIgnore]; ok {
		var err error
		if rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	all, err := s.tree.Files(func(p string) bool {
		below, ok := s.below(p)
		return ok && !ignored(rules, below)
	})
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(all))
	for p, data := range all {
		below, _ := s.below(p)
		files[below] = data
	}
	return FromFiles(files)
}

// ignored reports whether rules leave out a file, or a folder that it is in.
func ignored(rules *ignore.Rules, name string) bool {
	for i, c := range name {
		if c == '/' && rules.Ignore(name[:i], node{name: path.Base(name[:i]), dir: true}) {
			return true
		}
	}
	return rules.Ignore(name, node{name: path.Base(name)})
}

// node is a file or folder of an archive, for rules that look at one.
type node struct {
	name string
	dir  bool
}

func (n node) Name() string       { return n.name }
func (n node) Size() int64        { return 0 }
func (n node) ModTime() time.Time { return time.Time{} }
func (n node) IsDir() bool        { return n.dir }
func (n node) Sys() any           { return nil }

func (n node) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir
	}
	return 0
}
