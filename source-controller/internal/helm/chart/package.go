package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// maxHeaders is how much an archive may have besides its files, at least.
const maxHeaders = 1 << 20

// FromPackage reads a packaged chart.
func FromPackage(data []byte, limits Limits) (*Chart, error) {
	if limits.Package > 0 && int64(len(data)) > limits.Package {
		return nil, fmt.Errorf("%w: the chart has %d bytes, and the limit is %d", ErrTooLarge, len(data), limits.Package)
	}
	files, err := unpack(data, limits)
	if err != nil {
		return nil, err
	}
	return FromFiles(files)
}

// unpack reads the files of a package, by their paths below its one folder.
func unpack(data []byte, limits Limits) (map[string][]byte, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: it is no gzip archive: %w", ErrInvalid, err)
	}
	budget := limits.budget()
	// Headers count too, or an archive of nothing else would have no limit.
	most := 2*budget.all + maxHeaders
	plain := &io.LimitedReader{R: zipped, N: most}
	archive := tar.NewReader(plain)
	files := make(map[string][]byte)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && plain.N > 0:
			if len(files) == 0 {
				return nil, fmt.Errorf("%w: the archive has no files", ErrInvalid)
			}
			return files, nil
		case err != nil && plain.N <= 0, entries > maxFiles:
			return nil, fmt.Errorf("%w: the archive exceeds the limit of %d bytes or %d files", ErrTooLarge, most, maxFiles)
		case err != nil:
			return nil, fmt.Errorf("%w: it is no tar archive: %w", ErrInvalid, err)
		}
		if header.FileInfo().IsDir() || header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := entryName(header.Name)
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%w: %q is no regular file", ErrInvalid, name)
		}
		if files[name], err = budget.read(name, header.Size, archive); err != nil {
			return nil, err
		}
	}
}

// entryName returns the path of an entry below the folder of the chart. Tools of Windows
// write backslashes.
func entryName(name string) (string, error) {
	slashed := strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(slashed, "/") || len(slashed) > 1 && slashed[1] == ':' {
		return "", fmt.Errorf("%w: the archive has the absolute path %q", ErrInvalid, name)
	}
	slashed = strings.TrimPrefix(slashed, "./")
	if slashed == chartFile {
		return "", fmt.Errorf("%w: %s is not in a folder of the archive", ErrInvalid, chartFile)
	}
	_, below, _ := strings.Cut(slashed, "/")
	clean := path.Clean(below)
	if below == "" || clean == "." || strings.HasPrefix(clean, "/") || len(clean) > 1 && clean[1] == ':' {
		return "", fmt.Errorf("%w: the archive has %q, which is not below its folder", ErrInvalid, name)
	}
	for part := range strings.SplitSeq(below, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: the archive has the path %q, which leads out of it", ErrInvalid, name)
		}
	}
	return clean, nil
}

// budget is what may still be read.
type budget struct {
	file int64 // bytes of one file; 0 means no limit
	all  int64 // bytes of all files
	left int64 // of these
}

// read reads one file.
func (b *budget) read(name string, size int64, r io.Reader) ([]byte, error) {
	if size < 0 || b.file > 0 && size > b.file {
		return nil, fmt.Errorf("%w: the file %q has %d bytes, and the limit is %d", ErrTooLarge, name, size, b.file)
	}
	if b.left -= size; b.left < 0 {
		return nil, fmt.Errorf("%w: the files of the chart exceed the limit of %d bytes", ErrTooLarge, b.all)
	}
	data := make([]byte, 0, min(size, 1<<20))
	buf := bytes.NewBuffer(data)
	n, err := io.Copy(buf, io.LimitReader(r, size))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading %q: %w", ErrInvalid, name, err)
	}
	return bytes.TrimPrefix(buf.Bytes(), []byte("\xef\xbb\xbf")), nil
}
