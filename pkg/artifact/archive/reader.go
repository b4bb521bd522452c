package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
)

const (
	tarBlock   = 512
	readBuffer = 64 << 10

	// maxHeaders bounds what an entry may cost besides its content, on average: its header, and
	// the records that hold a long path.
	maxHeaders = 16 << 10

	// maxPadding bounds the zeros after the end of an archive; tar rounds up to its record size.
	maxPadding = 1 << 20
)

// Entry describes one directory or regular file.
type Entry struct {
	Path       string // clean, relative, with slashes
	Dir        bool
	Executable bool
	Size       int64
}

// Read calls fn for every directory and regular file, in the order in which the archive has them.
// The reader is valid during the call; fn need not read it to the end. An error from fn ends Read
// and is returned as it is. Other errors wrap ErrTooLarge, ErrCorrupt, or what r returned.
//
// An archive may name one path twice, may leave out directories, and may consist of several gzip
// members. It is corrupt if a path is absolute or contains "..", if it has hard links, if anything
// but zeros follows its end, or if its end is missing. Symbolic links and special files are left
// out. Read returns nil only after all of r was read and its checksums were right; until then, do
// not rely on what fn received.
func Read(r io.Reader, limits Limits, fn func(Entry, io.Reader) error) error {
	limits = limits.withDefaults()
	d := &reading{limits: limits, fn: fn, source: cappedReader{r: r, limit: limits.MaxSize}}
	zip, err := gzip.NewReader(bufio.NewReaderSize(&d.source, readBuffer))
	if err != nil {
		return d.broken(err)
	}
	d.raw.r = zip
	d.tar = tar.NewReader(&d.raw)
	for {
		// Position where the next header, or the end of the archive, has to start.
		start := (d.raw.n + tarBlock - 1) / tarBlock * tarBlock
		header, err := d.tar.Next()
		if errors.Is(err, io.EOF) {
			return d.end(start)
		}
		if err != nil {
			return d.broken(err)
		}
		if err := d.entry(header); err != nil {
			return err
		}
	}
}

type reading struct {
	limits   Limits
	fn       func(Entry, io.Reader) error
	source   cappedReader
	raw      counter
	tar      *tar.Reader
	content  entryReader // of the current entry
	entries  int
	unpacked int64
	skip     [8 << 10]byte
}

func (d *reading) entry(header *tar.Header) error {
	d.entries++
	if limit := d.limits.MaxFiles; limit >= 0 && d.entries > limit {
		return tooLarge("the number of entries", int64(limit), "files and directories")
	}
	e := Entry{Executable: header.Mode&0o100 != 0}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		e.Size = header.Size
	case tar.TypeDir:
		e.Dir, e.Executable = true, false
	case tar.TypeLink:
		return fmt.Errorf("%w: hard link %q is not supported", ErrCorrupt, header.Name)
	default:
		return d.drain()
	}
	if e.Size < 0 || d.limits.MaxUnpacked >= 0 && e.Size > d.limits.MaxUnpacked-d.unpacked {
		return tooLarge("the content", d.limits.MaxUnpacked, "bytes")
	}
	d.unpacked += e.Size
	var err error
	if e.Path, err = entryPath(header.Name, e.Dir); err != nil {
		return err
	}
	if e.Path == "." {
		return nil
	}
	d.content = entryReader{r: d.tar}
	err = d.fn(e, &d.content)
	if d.content.err != nil {
		return d.broken(d.content.err) // fn saw the archive fail, whatever it made of that
	}
	if err != nil {
		return err
	}
	return d.drain()
}

// drain reads the rest of an entry, so that the position is known, and checks what its headers took.
func (d *reading) drain() error {
	for {
		_, err := d.tar.Read(d.skip[:])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return d.broken(err)
		}
	}
	if headers := d.raw.n - d.unpacked; headers > int64(d.entries+1)*maxHeaders {
		return tooLarge("what surrounds the files", int64(d.entries+1)*maxHeaders, "bytes")
	}
	return nil
}

// end checks that the archive has its end marker, two blocks of zeros, and nothing but zeros after
// it. Without that, an archive that was cut between two entries would look complete.
func (d *reading) end(start int64) error {
	if d.raw.n < start+2*tarBlock {
		return d.broken(io.ErrUnexpectedEOF)
	}
	for padding := 0; ; {
		n, err := d.raw.Read(d.skip[:])
		if len(bytes.Trim(d.skip[:n], "\x00")) > 0 {
			return d.broken(errors.New("data after the end"))
		}
		if padding += n; padding > maxPadding {
			return d.broken(errors.New("too many zeros after the end"))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return d.broken(err)
		}
	}
}

// broken says why reading ended: the source failed, or delivered what is not an archive.
func (d *reading) broken(err error) error {
	if d.source.err != nil {
		return fmt.Errorf("reading archive: %w", d.source.err)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// entryPath returns the clean form of a path from an archive. Tools write directories with a slash
// at the end and paths with "./" in front; both are harmless.
func entryPath(name string, dir bool) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: path %q leaves the archive", ErrCorrupt, name)
		}
	}
	if name == "" || name[0] == '/' {
		return "", fmt.Errorf("%w: path %q is not relative", ErrCorrupt, name)
	}
	clean := path.Clean(name)
	if clean == "." {
		if !dir {
			return "", fmt.Errorf("%w: path %q names no file", ErrCorrupt, name)
		}
		return clean, nil
	}
	err := checkPath(clean)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return clean, err
}

// cappedReader passes on at most limit bytes, and remembers what stopped it, so that a failure of
// the source can be told from an archive that is broken.
type cappedReader struct {
	r     io.Reader
	limit int64 // negative: none
	n     int64
	err   error
}

func (c *cappedReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.limit >= 0 && c.n > c.limit {
		n, err = 0, tooLarge("the archive", c.limit, "bytes")
	}
	if !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// counter counts what was read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// entryReader remembers an error of the archive that fn may hide or wrap.
type entryReader struct {
	r   io.Reader
	err error
}

func (e *entryReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if !errors.Is(err, io.EOF) {
		e.err = err
	}
	return n, err
}
