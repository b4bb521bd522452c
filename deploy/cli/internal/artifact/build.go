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
	// Omitted, if set, hears of each symbolic link that is left out.
	Omitted func(path string)
	// Limits bound the archive.
	Limits archive.Limits
}

// taker takes files, in the order of archives.
type taker interface {
	File(path string, executable bool, size int64, content io.Reader) error
}

// Build writes the archive of the content. What dst received is good only if that succeeds.
func Build(dst io.Writer, c Content) error {
	w := archive.NewWriter(dst, c.Limits)
	if err := c.give(w); err != nil {
		return err
	}
	return w.Close()
}

// give gives all files to a taker. There is at least one.
func (c Content) give(to taker) error {
	if c.Stdin != nil {
		return c.giveStdin(to)
	}
	info, err := os.Stat(c.Path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return c.giveFolder(to)
	}
	root, err := os.OpenRoot(filepath.Dir(c.Path))
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(c.Path)
	return file{path: name, from: name}.give(to, root)
}

// giveStdin gives what is piped in, as one file.
func (c Content) giveStdin(to taker) error {
	limit := c.Limits.MaxUnpacked
	if limit <= 0 { // a pipe need not end
		limit = archive.DefaultMaxUnpacked
	}
	// The size has to be known before the content.
	spool, err := os.CreateTemp("", "weir-stdin-")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }() // it is in a folder for such
	n, err := io.Copy(spool, io.LimitReader(c.Stdin, limit+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading what is piped in: %w", err)
	case n > limit:
		return fmt.Errorf("what is piped in: %w", archive.ErrTooLarge)
	case n == 0:
		return ErrEmpty
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return to.File(stdinFile, false, n, spool)
}

// giveFolder gives the files of the folder that are not ignored.
func (c Content) giveFolder(to taker) error {
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	found := tree{root: root, ignored: matcher(c.Ignore), follow: c.Follow, omitted: c.Omitted}
	if err := found.walk("", "", nil); err != nil {
		return err
	}
	if len(found.files) == 0 {
		return ErrEmpty
	}
	slices.SortFunc(found.files, func(a, b file) int { return archive.Compare(a.path, b.path) })
	for _, f := range found.files {
		if err := f.give(to, root); err != nil {
			return err
		}
	}
	return nil
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

// give opens the file for a taker.
func (f file) give(to taker, root *os.Root) error {
	in, err := root.Open(filepath.FromSlash(f.from))
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return to.File(f.path, info.Mode()&0o100 != 0, info.Size(), in)
}

// tree collects files.
type tree struct {
	root    *os.Root
	ignored gitignore.Matcher
	follow  bool
	omitted func(path string)
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
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		return t.takeLink(f, above)
	case !isDir && !e.Type().IsRegular(), t.ignores(f, isDir):
		return nil
	case isDir:
		return t.walk(f.path, f.from, above)
	}
	t.files = append(t.files, f)
	return nil
}

// takeLink collects what a link leads to, if links are followed.
func (t *tree) takeLink(f file, above []string) error {
	switch {
	case t.ignores(f, false):
		return nil
	case !t.follow:
		if t.omitted != nil {
			t.omitted(f.path)
		}
		return nil
	}
	info, target, err := t.target(f.from)
	switch {
	case err != nil:
		return err
	case info.Mode().IsRegular():
		t.files = append(t.files, f)
		return nil
	case !info.IsDir(), t.ignores(f, true):
		return nil
	}
	for _, seen := range append(slices.Clone(above), f.from) {
		if target == "." || seen == target || strings.HasPrefix(seen, target+"/") {
			return fmt.Errorf("%s: the link leads to a folder that it is in", f.path)
		}
	}
	return t.walk(f.path, f.from, append(slices.Clone(above), target))
}

func (t *tree) ignores(f file, isDir bool) bool {
	return t.ignored.Match(strings.Split(f.path, "/"), isDir)
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
