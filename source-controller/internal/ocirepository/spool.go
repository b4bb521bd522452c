package ocirepository

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore/gitignore"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// spool holds the files of a layer until all are known: an archive has them in another
// order, and what is left out may be told by the last of them. The content is in one
// file without a name, so that nothing is left behind whatever happens, and no path
// of a layer is ever a path on disk.
type spool struct {
	file    *os.File
	size    int64
	entries map[string]entry
	ignores []source.IgnoreFile
}

// entry is a file or folder of a spool.
type entry struct {
	dir, executable bool
	at, size        int64 // of the content in the spool
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "weir-layer-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spool{file: f, entries: make(map[string]entry)}, nil
}

func (s *spool) close() { _ = s.file.Close() } // nobody reads it any more

// fill reads a layer, which is a compressed archive, to its end. Of files with the same
// path, the last counts.
func (s *spool) fill(layer io.Reader, limits archive.Limits) error {
	if err := archive.Read(layer, limits, s.add); err != nil {
		return err
	}
	return s.check()
}

// add takes one entry of the layer.
func (s *spool) add(e archive.Entry, content io.Reader) error {
	if e.Dir {
		s.entries[e.Path] = entry{dir: true}
		return nil
	}
	folder, ignores := source.IgnoreFolder(e.Path)
	if ignores {
		if e.Size > source.MaxIgnoreFile {
			return fmt.Errorf("%w: file %q has %d bytes, and the limit is %d", archive.ErrTooLarge, e.Path, e.Size, source.MaxIgnoreFile)
		}
		text, err := io.ReadAll(io.LimitReader(content, source.MaxIgnoreFile))
		if err != nil {
			return err
		}
		s.ignores = slices.DeleteFunc(s.ignores, func(f source.IgnoreFile) bool { return f.Folder == folder })
		s.ignores = append(s.ignores, source.IgnoreFile{Folder: folder, Content: text})
		content = bytes.NewReader(text)
	}
	n, err := io.Copy(s.file, content)
	if err != nil {
		return err
	}
	s.entries[e.Path] = entry{executable: e.Executable, at: s.size, size: n}
	s.size += n
	return nil
}

// check refuses files that are where others have a folder.
func (s *spool) check() error {
	for name := range s.entries {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			e, ok := s.entries[dir]
			if ok && !e.dir {
				return fmt.Errorf("%w: %q is a file, and the folder of %q", archive.ErrCorrupt, dir, name)
			}
			if ok {
				break // it was checked, or will be
			}
		}
	}
	return nil
}

// ignored decides what is left out, by the files of the layer and the list of the spec.
func (s *spool) ignored(spec *string) (gitignore.Matcher, error) {
	if len(s.ignores) > maxIgnoreFiles {
		return nil, loop.Fail(sourcev1.ReasonSourceIgnoreError, fmt.Errorf("the artifact has more than %d ignore files", maxIgnoreFiles))
	}
	return source.Ignored(s.ignores, spec), nil
}

// maxIgnoreFiles bounds how many files with rules a layer may have.
const maxIgnoreFiles = 10_000

// pack writes what is not ignored as an archive.
func (s *spool) pack(w io.Writer, ignored gitignore.Matcher) error {
	a := archive.NewWriter(w, archive.Limits{MaxSize: -1, MaxUnpacked: -1, MaxFiles: -1}) // those of the store, and of the layer
	for _, name := range slices.SortedFunc(maps.Keys(s.entries), archive.Compare) {
		e := s.entries[name]
		if ignored.Match(strings.Split(name, "/"), e.dir) {
			continue
		}
		var err error
		if e.dir {
			err = a.Dir(name)
		} else {
			err = a.File(name, e.executable, e.size, io.NewSectionReader(s.file, e.at, e.size))
		}
		if err != nil {
			return err
		}
	}
	return a.Close()
}
