package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Source is the tree that a build reads. Paths are as in io/fs. It must not change during a build.
type Source interface {
	fs.ReadDirFS
	fs.ReadFileFS
	fs.StatFS

	// FileDigest returns a digest of the content of a file, and false if there is no such file.
	FileDigest(path string) (digest string, ok bool)

	// DirDigest returns a digest of the names and kinds in a directory, and false if there is no
	// such directory. What the files contain does not count.
	DirDigest(path string) (digest string, ok bool)
}

// limits bound what one build may take.
type limits struct {
	fileSize int64 // bytes in one file
	accesses int   // files and directories opened, each time counted
	depth    int   // kustomizations that refer to one another in a row
	objects  int   // objects made

	expansions int     // variables in one object
	inserted   float64 // bytes that take the place of variables
	compared   float64 // characters of values that are compared with patterns
}

func defaultLimits() limits {
	return limits{fileSize: 5 << 20, accesses: 20_000, depth: 50, objects: 20_000, expansions: 10_000, inserted: 64 << 20, compared: 1 << 30}
}

// tree is a source that notes what is asked of it.
type tree struct {
	src      Source
	max      limits
	reads    map[string]read
	accesses int
	err      error // why the build must end: a limit, or a source that cannot be read
}

func newTree(src Source, max limits) *tree {
	return &tree{src: src, max: max, reads: map[string]read{}}
}

// locate returns the directory that a path of a user stands for.
func (t *tree) locate(asked string) (string, error) {
	dir := strings.TrimPrefix(path.Join("/", asked), "/")
	if dir == "" {
		dir = "."
	}
	shown := dir
	if outside(path.Clean(asked)) {
		shown = fmt.Sprintf("%s, for %q climbs out of the source and ends at its root", dir, asked)
	}
	switch t.kind(dir) {
	case directory:
		return dir, nil
	case file:
		return "", fmt.Errorf("%w: %s is a file, name the directory that it is in", ErrPath, shown)
	}
	return "", fmt.Errorf("%w: %s", ErrPath, shown)
}

// kind returns what is at a path.
func (t *tree) kind(name string) kind {
	k, err := kindOf(t.src, name)
	if err != nil {
		_ = t.failRead(err) // which remembers it
	}
	t.note(name, read{kind: k})
	return k
}

// readFile returns the content of a file.
func (t *tree) readFile(name string) ([]byte, error) {
	if k := t.kind(name); k != file {
		err := fs.ErrNotExist
		if k == directory {
			err = errors.New("is a directory")
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	t.note(name, readOfFile(t.src, name))
	if err := t.count(name); err != nil {
		return nil, err
	}
	info, err := t.src.Stat(name)
	if err != nil {
		return nil, t.failRead(err)
	}
	if info.Size() > t.max.fileSize {
		return nil, t.fail(fmt.Errorf("%s: the file has %d bytes, more than the limit of %d: split it, or leave it out of the source",
			name, info.Size(), t.max.fileSize))
	}
	content, err := t.src.ReadFile(name)
	if err != nil {
		return nil, t.failRead(err)
	}
	return content, nil
}

// readDir lists a directory in the order of names.
func (t *tree) readDir(name string) ([]fs.DirEntry, error) {
	t.note(name, readOfDir(t.src, name))
	if err := t.count(name); err != nil {
		return nil, err
	}
	entries, err := t.src.ReadDir(name)
	if err != nil {
		return nil, t.failRead(err)
	}
	return entries, nil
}

func (t *tree) count(name string) error {
	if t.accesses++; t.accesses > t.max.accesses {
		return t.fail(fmt.Errorf("%s: the build opened more than %d files and directories: build a smaller path, or include shared bases fewer times",
			name, t.max.accesses))
	}
	return nil
}

// fail ends the build: of all errors, the first is told.
func (t *tree) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return t.err
}

func (t *tree) failRead(err error) error { return t.fail(fmt.Errorf("reading the source: %w", err)) }

// outside says whether a clean, relative path leaves the directory that it starts from.
func outside(clean string) bool { return clean == ".." || strings.HasPrefix(clean, "../") }
