package artifact

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"weir.dev/pkg/artifact/archive"
)

// IgnoredByDefault is what is left out of an artifact, in the format of .gitignore, if
// nothing else is asked for: files of Git, pictures and archives.
func IgnoredByDefault() []string {
	return []string{
		".git/", ".gitignore", ".gitmodules", ".gitattributes",
		"*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip",
	}
}

// stdinFile is what a manifest is called that was read from a pipe.
const stdinFile = "manifests.yaml"

var (
	// ErrEmpty is returned when there is no file to make an artifact of.
	ErrEmpty = errors.New("there are no files to make an artifact of")
	// ErrLink is returned for a link that leads out of the folder.
	ErrLink = errors.New("the link leads out of the folder")
)

// Content says what an artifact is made of.
type Content struct {
	// Path is a folder or a file.
	Path string
	// Stdin, if set, is read in the place of a path.
	Stdin io.Reader
	// Ignore has patterns of what is left out, in the format of .gitignore.
	Ignore []string
	// Follow takes files that symbolic links lead to, within the folder, for the links.
	// Without it links are left out.
	Follow bool
	// Limits bound the archive.
	Limits archive.Limits
}

// Build writes the archive of the content. What dst received is good only if that succeeds.
func Build(dst io.Writer, c Content) error {
	w := archive.NewWriter(dst, c.Limits)
	files, err := c.write(w)
	switch {
	case err != nil:
		return err
	case files == 0:
		return ErrEmpty
	}
	return w.Close()
}

// write adds all there is and returns how many files that is.
func (c Content) write(w *archive.Writer) (int, error) {
	if c.Stdin != nil {
		return c.writeStdin(w)
	}
	info, err := os.Stat(c.Path)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		root, err := os.OpenRoot(filepath.Dir(c.Path))
		if err != nil {
			return 0, err
		}
		defer root.Close()
		f := file{path: filepath.Base(c.Path), from: filepath.Base(c.Path)}
		return 1, f.add(w, root)
	}
	return c.writeFolder(w)
}

// writeStdin adds what is piped in, as one file.
func (c Content) writeStdin(w *archive.Writer) (int, error) {
	limit := c.Limits.MaxUnpacked
	if limit <= 0 {
		limit = archive.DefaultMaxUnpacked
	}
	// The size has to be known before the content.
	spool, err := os.CreateTemp("", "weir-stdin-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }() // it is in a folder for such
	n, err := io.Copy(spool, io.LimitReader(c.Stdin, limit+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading what is piped in: %w", err)
	case n > limit:
		return 0, fmt.Errorf("what is piped in: %w", archive.ErrTooLarge)
	case n == 0:
		return 0, nil
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return 1, w.File(stdinFile, false, n, spool)
}

// writeFolder adds the files of the folder that are not ignored, in the order of archives.
func (c Content) writeFolder(w *archive.Writer) (int, error) {
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	found := tree{root: root, ignored: matcher(c.Ignore), follow: c.Follow}
	if err := found.walk("", "", nil); err != nil {
		return 0, err
	}
	slices.SortFunc(found.files, func(a, b file) int { return archive.Compare(a.path, b.path) })
	for _, f := range found.files {
		if err := f.add(w, root); err != nil {
			return 0, err
		}
	}
	return len(found.files), nil
}

// matcher decides what is ignored.
func matcher(patterns []string) gitignore.Matcher {
	var all []gitignore.Pattern
	for _, text := range patterns {
		if text = strings.TrimSpace(text); text != "" && !strings.HasPrefix(text, "#") {
			all = append(all, gitignore.ParsePattern(text, nil))
		}
	}
	return gitignore.NewMatcher(all)
}

// file is one of an artifact.
type file struct {
	path string // in the archive
	from string // below the root
}

// add writes the file.
func (f file) add(w *archive.Writer, root *os.Root) error {
	in, err := root.Open(filepath.FromSlash(f.from))
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return w.File(f.path, info.Mode()&0o100 != 0, info.Size(), in)
}

// tree collects files.
type tree struct {
	root    *os.Root
	ignored gitignore.Matcher
	follow  bool
	files   []file
}

// walk collects the files of a folder, which is at another place in the archive if links lead
// to it. The links on the way are above.
func (t *tree) walk(at, from string, above []string) error {
	entries, err := fs.ReadDir(t.root.FS(), folderName(from))
	if err != nil {
		return err
	}
	for _, e := range entries {
		entry := file{path: path.Join(at, e.Name()), from: path.Join(from, e.Name())}
		if err := t.take(entry, e, above); err != nil {
			return err
		}
	}
	return nil
}

// take collects what an entry of a folder is.
func (t *tree) take(f file, e fs.DirEntry, above []string) error {
	isDir := e.IsDir()
	if e.Type()&fs.ModeSymlink != 0 {
		if !t.follow || t.ignored.Match(strings.Split(f.path, "/"), false) {
			return nil
		}
		info, target, err := t.target(f.from)
		if err != nil {
			return err
		}
		if isDir = info.IsDir(); isDir {
			for _, seen := range append(slices.Clone(above), f.from) {
				if target == "." || seen == target || strings.HasPrefix(seen, target+"/") {
					return fmt.Errorf("%s: the link leads to a folder that it is in", f.path)
				}
			}
			above = append(slices.Clone(above), target)
		} else if !info.Mode().IsRegular() {
			return nil
		}
	} else if !isDir && !e.Type().IsRegular() {
		return nil
	}
	if t.ignored.Match(strings.Split(f.path, "/"), isDir) {
		return nil
	}
	if isDir {
		return t.walk(f.path, f.from, above)
	}
	t.files = append(t.files, f)
	return nil
}

// target returns what a link leads to, and where that is below the root.
func (t *tree) target(link string) (fs.FileInfo, string, error) {
	info, err := t.root.Stat(filepath.FromSlash(link))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%s: the link leads nowhere: %w", link, err)
	}
	if err != nil { // a root does not say which
		return nil, "", fmt.Errorf("%s: %w", link, ErrLink)
	}
	base, err := filepath.EvalSymlinks(t.root.Name())
	if err != nil {
		return nil, "", err
	}
	actual, err := filepath.EvalSymlinks(filepath.Join(t.root.Name(), filepath.FromSlash(link)))
	if err != nil {
		return nil, "", err
	}
	below, err := filepath.Rel(base, actual)
	return info, filepath.ToSlash(below), err
}

// folderName returns the name that a file system has for a folder below it.
func folderName(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}
