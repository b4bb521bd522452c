package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
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
	order    order
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
	w := newWriter(dst, limits)
	if w.err == nil { // as always: the level exists
		w.begin(w.out)
		w.header(&tar.Header{Typeflag: tar.TypeDir, Name: ".", Mode: modeDir})
	}
	return w
}

// newWriter returns a Writer that has not begun.
func newWriter(dst io.Writer, limits Limits) *Writer {
	w := &Writer{limits: limits.withDefaults(), buf: make([]byte, copyBuffer)}
	w.out = &cappedWriter{w: dst, limit: w.limits.MaxSize}
	if w.zip, w.err = gzip.NewWriterLevel(w.out, gzip.BestSpeed); w.err == nil {
		w.tar = tar.NewWriter(w.zip)
	}
	return w
}

// begin begins a gzip member that is written to out.
func (w *Writer) begin(out io.Writer) {
	w.zip.Reset(out)
	w.zip.ModTime = time.Unix(0, 0) // "no time"; this package writes nonsense for a zero Time
}

// end ends a gzip member after a whole entry.
func (w *Writer) end() error {
	err := w.tar.Flush()
	if err == nil {
		err = w.zip.Close()
	}
	if err != nil {
		return w.fail(fmt.Errorf("ending a part of the archive: %w", err))
	}
	return nil
}

// Dir adds a directory. That is needed only for one that holds no file: Flux walks a work tree, so
// it keeps a directory whose content was ignored, unless the directory itself was. A directory
// that a file needs is added with the file. (Flux leaves it out where a rule ignores the directory
// and another brings back the file; the tree that a reader sees is the same.)
func (w *Writer) Dir(path string) error {
	if w.next(path) && w.directory(path) {
		w.order.pass(path, true)
	}
	return w.err
}

// File adds a regular file and the directories above it that are not there yet. Entries must come
// in the order that Compare defines, and content must have the given size.
func (w *Writer) File(path string, executable bool, size int64, content io.Reader) error {
	if w.next(path) && w.file(path, executable, size, content) {
		w.order.pass(path, false)
	}
	return w.err
}

// file writes a regular file where it stands.
func (w *Writer) file(path string, executable bool, size int64, content io.Reader) bool {
	if size < 0 {
		_ = w.fail(fmt.Errorf("file %q has a negative size", path)) // which remembers it
	}
	if w.err != nil || !w.admitContent(size) {
		return false
	}
	mode := int64(modeFile)
	if executable {
		mode = modeExecutable
	}
	if !w.header(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: size}) {
		return false
	}
	n, err := io.CopyBuffer(w.tar, content, w.buf)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong) || err == nil && n < size:
		_ = w.fail(fmt.Errorf("file %q does not have the %d bytes that were announced", path, size)) // which remembers it
	case err != nil:
		_ = w.fail(fmt.Errorf("archiving %q: %w", path, err)) // which remembers it
	}
	return w.err == nil
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
	if err := w.order.check(path); err != nil {
		_ = w.fail(err) // which remembers it
		return false
	}
	for _, dir := range w.order.missing(path) {
		if !w.directory(dir) {
			return false
		}
		w.order.pass(dir, true)
	}
	return true
}

// directory writes a directory where it stands.
func (w *Writer) directory(path string) bool {
	return w.header(&tar.Header{Typeflag: tar.TypeDir, Name: path, Mode: modeDir})
}

func (w *Writer) header(h *tar.Header) bool {
	if !w.admitEntries(1) {
		return false
	}
	if err := w.tar.WriteHeader(h); err != nil {
		_ = w.fail(fmt.Errorf("archiving %q: %w", h.Name, err)) // which remembers it
		return false
	}
	return true
}

// admitEntries reports whether so many more entries are within the limit.
func (w *Writer) admitEntries(n int) bool {
	w.entries += n
	if limit := w.limits.MaxFiles; limit >= 0 && w.entries > limit {
		_ = w.fail(tooLarge("the number of entries", int64(limit), "files and directories")) // which remembers it
	}
	return w.err == nil
}

// admitContent reports whether so many more bytes of content are within the limit.
func (w *Writer) admitContent(n int64) bool {
	w.unpacked += n
	if limit := w.limits.MaxUnpacked; limit >= 0 && (n > limit || w.unpacked > limit) {
		_ = w.fail(tooLarge("the content", limit, "bytes")) // which remembers it
	}
	return w.err == nil
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
