package gitrepository

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/git"
)

var (
	// errChanged: a file is not the one that the status tells of. The run is repeated.
	errChanged = errors.New("its artifact was replaced meanwhile")
	// errNothing: an artifact has no such file or folder.
	errNothing = errors.New("its artifact has no such file or folder")
)

// spool holds the files of an archive one after the other, in a file without a name.
type spool struct {
	file *os.File
	end  int64
	at   map[string]extent // by the paths that the files have in the artifact
}

type extent struct{ start, size int64 }

// newSpool returns an empty spool.
func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "weir-include-")
	if err != nil {
		return nil, err
	}
	return &spool{file: f, at: make(map[string]extent)}, nil
}

// Close removes the spool.
func (s *spool) Close() error { return errors.Join(s.file.Close(), os.Remove(s.file.Name())) }

// add writes a file, and returns the digest of its content.
func (s *spool) add(name string, size int64, content io.Reader) (string, error) {
	hash := artifact.SHA256.New()
	n, err := io.Copy(io.MultiWriter(s.file, hash), content)
	if err != nil {
		return "", err
	}
	if n != size {
		return "", io.ErrUnexpectedEOF
	}
	s.at[name] = extent{start: s.end, size: size}
	s.end += size
	return artifact.SHA256.Digest(hash).String(), nil
}

// Size implements origin.
func (s *spool) Size(e git.Entry) (int64, error) { return s.at[e.Path].size, nil }

// Open implements origin.
func (s *spool) Open(e git.Entry) (io.ReadCloser, int64, error) {
	x, ok := s.at[e.Path]
	if !ok {
		return io.NopCloser(bytes.NewReader(nil)), 0, fmt.Errorf("file %q: %w", e.Path, os.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(s.file, x.start, x.size)), x.size, nil
}

// unpack reads what of an artifact is included.
func (r *Reconciler) unpack(s *scope, i include) ([]file, error) {
	stored, err := r.shelf.Open(i.repo)
	if err != nil {
		return nil, err
	}
	defer stored.Close()
	want, err := artifact.ParseDigest(i.repo.Status.Artifact.Digest)
	if err != nil {
		return nil, err
	}
	to, err := newSpool()
	if err != nil {
		return nil, err
	}
	s.onClose(to)
	hash := want.Algorithm().New()
	files, err := unpackTo(to, io.TeeReader(stored, hash), i)
	if err != nil {
		return nil, err
	}
	if want.Algorithm().Digest(hash) != want {
		return nil, errChanged
	}
	return files, nil
}

// unpackTo reads an archive, and returns the files that are included from it at their new
// places.
func unpackTo(to *spool, stored io.Reader, i include) ([]file, error) {
	var files []file
	found := false
	// The limits are those by which artifacts are stored and fetched.
	err := archive.Read(stored, archive.Limits{MaxSize: -1}, func(e archive.Entry, content io.Reader) error {
		rest, ok := below(e.Path, i.from)
		if !ok {
			return nil
		}
		found = true
		f := file{Entry: git.Entry{Path: path.Join(i.to, rest), Dir: e.Dir, Executable: e.Executable}, from: to}
		switch {
		case len(files) == maxFiles:
			return fmt.Errorf("%w: it has more than %d files and folders", archive.ErrTooLarge, maxFiles)
		case len(f.Path) > maxPath:
			return fmt.Errorf("%w: the path of a file would have %d bytes, and the limit is %d", archive.ErrTooLarge, len(f.Path), maxPath)
		case f.Path == "." && !f.Dir:
			return fmt.Errorf("%q is a file, which cannot be the root", e.Path)
		case f.Path == ".":
			return nil
		case !e.Dir:
			digest, err := to.add(f.Path, e.Size, content)
			if err != nil {
				return err
			}
			f.named = digest
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found && i.from != "." {
		return nil, errNothing
	}
	return files, nil
}
