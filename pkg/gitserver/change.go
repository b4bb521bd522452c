package gitserver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

var (
	// ErrInvalidPath says that git would not check out the path, or that two changes
	// of a commit contradict each other.
	ErrInvalidPath = errors.New("invalid path")
	// ErrNoFile says that what a commit deletes is not there.
	ErrNoFile = errors.New("no such file")
)

// Change is what a commit does to one path. Paths are relative to the root of the
// repository, with slashes.
type Change struct {
	path    string
	mode    filemode.FileMode // Empty: delete
	content string            // of a submodule, the commit
}

// File writes a file.
func File(path, content string) Change {
	return Change{path: path, mode: filemode.Regular, content: content}
}

// Executable writes a file that may be run.
func Executable(path, content string) Change {
	return Change{path: path, mode: filemode.Executable, content: content}
}

// Symlink writes a symbolic link. Where it leads to is not checked.
func Symlink(path, target string) Change {
	return Change{path: path, mode: filemode.Symlink, content: target}
}

// Submodule writes the commit of another repository. The file .gitmodules, which says
// where that is, is the caller's.
func Submodule(path, commit string) Change {
	return Change{path: path, mode: filemode.Submodule, content: commit}
}

// Delete deletes a file, or a folder with everything in it. It comes before whatever
// else the commit does, so that a folder can be replaced.
func Delete(path string) Change { return Change{path: path, mode: filemode.Empty} }

// Files writes many files: their contents, by path.
func Files(contents map[string]string) []Change {
	changes := make([]Change, 0, len(contents))
	for path, content := range contents {
		changes = append(changes, File(path, content))
	}
	return changes
}

// folder is what happens to a folder: to some of its names.
type folder map[string]*step

// step is what happens to one name in a folder. First it is deleted, if so, and then
// put or changed inside.
type step struct {
	delete bool
	put    *Change
	inside folder
}

// plan sorts changes into folders.
func plan(changes []Change) (folder, error) {
	root := folder{}
	for i := range changes {
		c := &changes[i]
		if err := c.validate(); err != nil {
			return nil, err
		}
		if err := root.add(c, strings.Split(c.path, "/")); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (f folder) add(c *Change, path []string) error {
	s := f[path[0]]
	if s == nil {
		s = &step{}
		f[path[0]] = s
	}
	switch {
	case len(path) > 1:
		if s.inside == nil {
			s.inside = folder{}
		}
		if err := s.inside.add(c, path[1:]); err != nil {
			return err
		}
	case c.mode == filemode.Empty:
		s.delete = true
	case s.put != nil:
		return fmt.Errorf("%w: %q is written twice", ErrInvalidPath, c.path)
	default:
		s.put = c
	}
	if s.put != nil && s.inside != nil {
		return fmt.Errorf("%w: %q is to be both a file and a folder", ErrInvalidPath, s.put.path)
	}
	return nil
}

func (c *Change) validate() error {
	const most = 4096
	if len(c.path) > most {
		return fmt.Errorf("%w: it has %d characters", ErrInvalidPath, len(c.path))
	}
	for part := range strings.SplitSeq(c.path, "/") {
		if !nameable(part) {
			return fmt.Errorf("%w: %q", ErrInvalidPath, c.path)
		}
	}
	switch {
	case c.mode == filemode.Submodule && (!plumbing.IsHash(c.content) || plumbing.NewHash(c.content).IsZero()):
		return fmt.Errorf("%w: submodule %q needs 40 hexadecimal digits", ErrInvalidPath, c.path)
	case c.mode == filemode.Symlink && (c.content == "" || strings.ContainsRune(c.content, 0)):
		return fmt.Errorf("%w: symbolic link %q leads nowhere", ErrInvalidPath, c.path)
	}
	return nil
}

// nameable reports whether git checks out a file or folder of that name everywhere.
func nameable(name string) bool {
	switch strings.ToLower(strings.TrimRight(name, " .")) {
	case "", ".git", "git~1":
		return false
	}
	return !strings.ContainsAny(name, "\x00\\")
}
