package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	modeDir        = 0o750
	modeFile       = 0o600
	modeExecutable = 0o700
)

// copyBuffer is how much of a file is read at once.
const copyBuffer = 64 << 10

// Writer writes one archive. After an error it takes no more entries, and Close returns the error.
type Writer struct {
	limits   Limits
	out      *cappedWriter
	zip      *gzip.Writer
	tar      *tar.Writer
	buf      []byte
	last     string // path of the last entry; "" before the first, and after the root
	lastFile bool
	dir      string // innermost directory that is open for more entries
	entries  int
	unpacked int64
	err      error
}

// NewWriter returns a Writer to dst. The caller must Close it, and must not use what dst received
// unless that succeeds.
//
// The compressor is not the standard library's: the digest of an artifact may only change when its
// content does, and a new Go release may change the standard library's output. This one changes
// when go.mod says so. The fastest level is enough; an archive is read once by each consumer. The
// gzip header names no file and no time, which would make equal trees differ.
func NewWriter(dst io.Writer, limits Limits) *Writer {
	w := &Writer{limits: limits.withDefaults(), buf: make([]byte, copyBuffer)}
	w.out = &cappedWriter{w: dst, limit: w.limits.MaxSize}
	w.zip, w.err = gzip.NewWriterLevel(w.out, gzip.BestSpeed)
	if w.err != nil {
		return w // not for a level that exists
	}
	w.zip.ModTime = time.Unix(0, 0) // "no time"; this package writes nonsense for a zero Time
	w.tar = tar.NewWriter(w.zip)
	w.header(&tar.Header{Typeflag: tar.TypeDir, Name: ".", Mode: modeDir})
	return w
}

// Dir adds a directory. That is needed only for one that holds no file: Flux walks a work tree, so
// it keeps a directory whose content was ignored, unless the directory itself was. A directory
// that a file needs is added with the file. (Flux leaves it out where a rule ignores the directory
// and another brings back the file; the tree that a reader sees is the same.)
func (w *Writer) Dir(path string) error {
	if w.next(path) {
		w.directory(path)
	}
	return w.err
}

// File adds a regular file and the directories above it that are not there yet. Entries must come
// in the order that Compare defines, and content must have the given size.
func (w *Writer) File(path string, executable bool, size int64, content io.Reader) error {
	if !w.next(path) {
		return w.err
	}
	if size < 0 {
		return w.fail(fmt.Errorf("file %q has a negative size", path))
	}
	w.unpacked += size
	if limit := w.limits.MaxUnpacked; limit >= 0 && w.unpacked > limit {
		return w.fail(tooLarge("the content", limit, "bytes"))
	}
	mode := int64(modeFile)
	if executable {
		mode = modeExecutable
	}
	if !w.header(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: size}) {
		return w.err
	}
	w.last, w.lastFile = path, true
	n, err := io.CopyBuffer(w.tar, content, w.buf)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong) || err == nil && n < size:
		return w.fail(fmt.Errorf("file %q does not have the %d bytes that were announced", path, size))
	case err != nil:
		return w.fail(fmt.Errorf("archiving %q: %w", path, err))
	}
	return nil
}

// Close completes the archive. It does not close what the Writer writes to.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if err := w.tar.Close(); err != nil {
		return w.fail(fmt.Errorf("completing the archive: %w", err))
	}
	if err := w.zip.Close(); err != nil {
		return w.fail(fmt.Errorf("completing the archive: %w", err))
	}
	w.err = errors.New("the archive is closed")
	return nil
}

// next reports whether an entry with this path may follow, after it added the directories above.
func (w *Writer) next(path string) bool {
	if w.err != nil {
		return false
	}
	if err := checkPath(path); err != nil {
		_ = w.fail(err) // which remembers it
		return false
	}
	if Compare(path, w.last) <= 0 {
		_ = w.fail(fmt.Errorf("path %q does not come after %q", path, w.last)) // which remembers it
		return false
	}
	if w.lastFile && isBelow(path, w.last) {
		_ = w.fail(fmt.Errorf("path %q is below the file %q", path, w.last)) // which remembers it
		return false
	}
	for i := range len(path) {
		if path[i] != '/' || path[:i] == w.dir || isBelow(w.dir, path[:i]) {
			continue
		}
		if !w.directory(path[:i]) {
			return false
		}
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		w.dir = path[:i]
	} else {
		w.dir = ""
	}
	return true
}

func (w *Writer) directory(path string) bool {
	if !w.header(&tar.Header{Typeflag: tar.TypeDir, Name: path, Mode: modeDir}) {
		return false
	}
	w.last, w.lastFile, w.dir = path, false, path
	return true
}

func (w *Writer) header(h *tar.Header) bool {
	w.entries++
	if limit := w.limits.MaxFiles; limit >= 0 && w.entries > limit {
		_ = w.fail(tooLarge("the number of entries", int64(limit), "files and directories")) // which remembers it
		return false
	}
	if err := w.tar.WriteHeader(h); err != nil {
		_ = w.fail(fmt.Errorf("archiving %q: %w", h.Name, err)) // which remembers it
		return false
	}
	return true
}

// fail records the first error. A destination that refused bytes is its cause, whatever the layers
// above made of it.
func (w *Writer) fail(err error) error {
	if w.out.err != nil && !errors.Is(err, w.out.err) {
		err = w.out.err
	}
	w.err = err
	return err
}

// isBelow reports whether path is in the tree under dir.
func isBelow(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// cappedWriter passes on at most limit bytes, and remembers what stopped it.
type cappedWriter struct {
	w     io.Writer
	limit int64 // negative: none
	n     int64
	err   error
}

func (c *cappedWriter) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.limit >= 0 && int64(len(p)) > c.limit-c.n {
		c.err = tooLarge("the archive", c.limit, "bytes")
		return 0, c.err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = err
	return n, err
}
