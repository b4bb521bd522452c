package writeback

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"weir.dev/image-controller/internal/setters"
	"weir.dev/pkg/git"
)

const (
	// remembered is how many trees and files a Finder remembers, of some ten bytes each.
	remembered = 1 << 18
	// maxFile is how many bytes a file with markers may have.
	maxFile = 8 << 20
	// maxMarked is how many bytes all of them may have together.
	maxMarked = 256 << 20
	// maxDepth is how deep folders may be in each other, and maxEntries how many files and
	// folders are looked at.
	maxDepth, maxEntries = 256, 1 << 20
)

var (
	// ErrNoPath: the commit has no such file or folder.
	ErrNoPath = errors.New("no such file or folder in the repository")
	// ErrTooMuch: a commit has more to look at than there is room for.
	ErrTooMuch = errors.New("too much to look at")
)

// Finder finds files with markers. One for a process remembers most. It is safe for
// concurrent use.
type Finder struct {
	unmarked *memory // hashes of trees and files without a marker
}

// NewFinder returns a Finder that remembers nothing yet.
func NewFinder() *Finder { return &Finder{unmarked: newMemory(remembered)} }

// file is one with markers.
type file struct {
	path    string
	content []byte // nil if it is too large
}

// search is one look at a commit.
type search struct {
	commit  *git.Snapshot
	known   *memory
	files   []file
	read    int // files that were read
	visited int
	bytes   int64
}

// find returns the files with markers that are at a path or below, in the order of their
// paths.
func (f *Finder) find(commit *git.Snapshot, at string) (*search, error) {
	s := &search{commit: commit, known: f.unmarked}
	start, err := s.entry(within(at))
	if err != nil {
		return nil, err
	}
	if start.Dir {
		_, err = s.folder(start, 0)
	} else {
		_, err = s.file(start)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(s.files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	return s, nil
}

// within returns a path of the spec as one below the root, wherever else it leads.
func within(at string) string {
	return cmp.Or(strings.TrimPrefix(path.Clean("/"+at), "/"), ".")
}

// entry looks up a path.
func (s *search) entry(at string) (git.Entry, error) {
	here := s.commit.Root()
	if at == "." {
		return here, nil
	}
	for name := range strings.SplitSeq(at, "/") {
		if !here.Dir {
			return here, fmt.Errorf("%q: %w", at, ErrNoPath)
		}
		entries, err := s.commit.In(here)
		if err != nil {
			return here, err
		}
		i := slices.IndexFunc(entries, func(e git.Entry) bool { return path.Base(e.Path) == name })
		if i < 0 {
			return here, fmt.Errorf("%q: %w", at, ErrNoPath)
		}
		here = entries[i]
	}
	return here, nil
}

// folder looks for files below a folder, and reports whether there are any.
func (s *search) folder(folder git.Entry, depth int) (found bool, err error) {
	if folder.Submodule || s.known.has(folder.Content()) {
		return false, nil
	}
	if depth > maxDepth {
		return false, fmt.Errorf("folder %q: %w: folders are nested more than %d deep", folder.Path, ErrTooMuch, maxDepth)
	}
	entries, err := s.commit.In(folder)
	if err != nil {
		return false, err
	}
	if s.visited += len(entries); s.visited > maxEntries {
		return false, fmt.Errorf("%w: there are more than %d files and folders", ErrTooMuch, maxEntries)
	}
	for _, e := range entries {
		look := s.file
		if e.Dir {
			look = func(e git.Entry) (bool, error) { return s.folder(e, depth+1) }
		}
		marked, err := look(e)
		if err != nil {
			return false, err
		}
		found = found || marked
	}
	if !found {
		s.known.add(folder.Content())
	}
	return found, nil
}

// file looks whether a file has markers.
func (s *search) file(e git.Entry) (marked bool, err error) {
	if !setters.Candidate(e.Path) || s.known.has(e.Content()) {
		return false, nil
	}
	s.read++
	content, marked, err := s.content(e)
	switch {
	case err != nil:
		return false, err
	case !marked:
		s.known.add(e.Content())
		return false, nil
	}
	if s.bytes += int64(len(content)); s.bytes > maxMarked {
		return false, fmt.Errorf("%w: files with markers have more than %d bytes together", ErrTooMuch, maxMarked)
	}
	s.files = append(s.files, file{path: e.Path, content: content})
	return true, nil
}

// content returns what a file with markers holds; nil if that is too much.
func (s *search) content(e git.Entry) (content []byte, marked bool, err error) {
	r, size, err := s.commit.Open(e)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	if size > maxFile {
		marked, err = mentioned(r)
	} else {
		content, err = io.ReadAll(io.LimitReader(r, maxFile))
		marked = setters.Marked(content)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading file %q: %w", e.Path, err)
	}
	return content, marked, nil
}

// mentioned reports whether there are markers in what r reads, piece by piece.
func mentioned(r io.Reader) (bool, error) {
	const piece, overlap = 64 << 10, 64
	buf := make([]byte, overlap+piece)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		if setters.Marked(buf[:kept+n]) {
			return true, nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return false, nil
		case err != nil:
			return false, err
		}
		kept = copy(buf, buf[kept+n-overlap:kept+n])
	}
}
