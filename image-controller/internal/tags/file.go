package tags

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// magic begins a file, in a line by itself. The image and the revision follow, a line
// each, and then the tags.
const magic = "weir tags 1"

// gzipMagic begins what is compressed.
var gzipMagic = []byte{0x1f, 0x8b}

// errDamaged says that a file is not as it was written.
var errDamaged = errors.New("damaged list of tags")

// file is what a file has.
type file struct {
	image string
	list  List
	size  int // of the text of the list
	time  time.Time
}

// write replaces the file of an object in one step.
func (s *Store) write(repo types.NamespacedName, image, revision, text string) error {
	s.tree.RLock()
	defer s.tree.RUnlock()
	path := s.path(repo)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// There is one writer for each object, so a name of its own is not needed, and what
	// a crash leaves is overwritten.
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(encode(f, s.CompressAbove, image, revision, text), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// encode writes the content of a file.
func encode(w io.Writer, compressAbove int, image, revision, text string) error {
	if len(text) <= compressAbove {
		return encodePlain(w, image, revision, text)
	}
	z := gzip.NewWriter(w)
	return errors.Join(encodePlain(z, image, revision, text), z.Close())
}

func encodePlain(w io.Writer, image, revision, text string) error {
	buffered := bufio.NewWriter(w)
	_, err := fmt.Fprintf(buffered, "%s\n%s\n%s\n%s", magic, strings.ReplaceAll(image, "\n", " "), revision, text)
	return errors.Join(err, buffered.Flush())
}

// read reads the file of an object. The error is errDamaged, or of the file system.
func (s *Store) read(repo types.NamespacedName) (file, error) {
	f, err := os.Open(s.path(repo))
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	found, err := decode(f)
	found.time = info.ModTime()
	return found, err
}

// decode reads the content of a file.
func decode(r io.Reader) (file, error) {
	buffered := bufio.NewReader(r)
	var plain io.Reader = buffered
	if begin, err := buffered.Peek(len(gzipMagic)); err == nil && bytes.Equal(begin, gzipMagic) {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return file{}, errDamaged
		}
		plain = z
	}
	content, err := io.ReadAll(io.LimitReader(plain, maxList+1))
	if err != nil || len(content) > maxList {
		return file{}, errDamaged
	}
	parts := strings.SplitN(string(content), "\n", 4)
	if len(parts) != 4 || parts[0] != magic {
		return file{}, errDamaged
	}
	found := file{image: parts[1], list: listOf(parts[3]), size: len(parts[3])}
	if found.list.Revision != parts[2] {
		return file{}, errDamaged
	}
	return found, nil
}
