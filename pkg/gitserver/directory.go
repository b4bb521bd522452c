package gitserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrNotFound says that there is no such repository.
	ErrNotFound = errors.New("repository not found")
	// ErrInvalidName says that no repository can have the name.
	ErrInvalidName = errors.New("invalid repository name")
)

const dotGit = ".git"

// repository is a bare repository that was found.
type repository struct {
	root string // real path of the directory that is served
	name string // path below root, with slashes, without symbolic links
}

func (r repository) path() string { return filepath.Join(r.root, filepath.FromSlash(r.name)) }

// directory is a directory with repositories.
type directory struct {
	root string // without symbolic links
}

// openDirectory returns the directory at path, which has to exist.
func openDirectory(path string) (directory, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return directory{}, fmt.Errorf("opening directory of repositories: %w", err)
	}
	root, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return directory{}, fmt.Errorf("opening directory of repositories: %w", err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return directory{}, fmt.Errorf("opening directory of repositories: %w", err)
	}
	if !info.IsDir() {
		return directory{}, fmt.Errorf("opening directory of repositories: %q is a file", path)
	}
	return directory{root: root}, nil
}

// find returns the repository of that name, whether or not the name or the directory
// ends in ".git".
func (d directory) find(name string) (repository, error) {
	if err := checkName(name); err != nil {
		return repository{}, err
	}
	other := name + dotGit
	if bare, ok := strings.CutSuffix(name, dotGit); ok {
		other = bare
	}
	for _, candidate := range []string{name, other} {
		if repo, ok := d.at(candidate); ok {
			return repo, nil
		}
	}
	return repository{}, fmt.Errorf("%w: %q", ErrNotFound, name)
}

// at returns the repository at exactly that path, unless a symbolic link leads out of
// the directory.
func (d directory) at(name string) (repository, bool) {
	resolved, err := filepath.EvalSymlinks(filepath.Join(d.root, filepath.FromSlash(name)))
	if err != nil {
		return repository{}, false
	}
	rel, err := filepath.Rel(d.root, resolved)
	if err != nil || !filepath.IsLocal(rel) {
		return repository{}, false
	}
	for _, part := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Lstat(filepath.Join(resolved, part)); err != nil {
			return repository{}, false
		}
	}
	return repository{root: d.root, name: filepath.ToSlash(rel)}, true
}

// create makes the empty directory of a new repository.
func (d directory) create(name string) (repository, error) {
	if err := checkName(name); err != nil {
		return repository{}, err
	}
	if repo, err := d.find(name); err == nil {
		return repository{}, fmt.Errorf("repository %q: %w", repo.name, fs.ErrExist)
	}
	repo := repository{root: d.root, name: name}
	parent := filepath.Dir(repo.path())
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return repository{}, fmt.Errorf("creating repository %q: %w", name, err)
	}
	resolved, err := filepath.EvalSymlinks(parent)
	if err != nil {
		return repository{}, fmt.Errorf("creating repository %q: %w", name, err)
	}
	if rel, err := filepath.Rel(d.root, resolved); err != nil || !filepath.IsLocal(rel) {
		return repository{}, fmt.Errorf("%w: %q is outside of the directory", ErrInvalidName, name)
	}
	if err := os.Mkdir(repo.path(), 0o755); err != nil {
		return repository{}, fmt.Errorf("creating repository %q: %w", name, err)
	}
	return repo, nil
}

// checkName accepts a relative path with slashes whose parts are plain names.
func checkName(name string) error {
	const most = 512
	if name == "" || len(name) > most {
		return fmt.Errorf("%w: it has %d characters", ErrInvalidName, len(name))
	}
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == dotGit || part[0] == '.' || part[0] == '-' || strings.IndexFunc(part, odd) >= 0 {
			return fmt.Errorf("%w: %q", ErrInvalidName, name)
		}
	}
	return nil
}
