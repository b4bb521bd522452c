package store

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/internal/filelock"
)

// Stored describes an artifact that Put has stored, as its status will.
type Stored struct {
	Digest artifact.Digest
	Size   int64
}

// file is what Put needs of a temporary file.
type file interface {
	io.Writer
	Sync() error
}

// Put stores what write writes. When it returns nil, the artifact is complete and on disk; when it
// returns an error, an artifact that was there before is unchanged. Puts of one path happen one
// after the other.
func (s *Store) Put(path artifact.Path, write func(io.Writer) error) (Stored, error) {
	if path.IsZero() {
		return Stored{}, errNoPath
	}
	defer s.turns.take(path.String())()
	dir := path.Dir().String()
	if err := s.makeDir(dir); err != nil {
		return Stored{}, fmt.Errorf("storing artifact %q: %w", path, err)
	}
	temp, f, err := s.createTemp(dir)
	if err != nil {
		return Stored{}, fmt.Errorf("storing artifact %q: %w", path, err)
	}
	defer func() { _ = s.root.Remove(temp) }() // no longer there if all went well
	defer f.Close()

	stored, err := s.fill(s.wrap(f), write)
	if err != nil {
		return Stored{}, fmt.Errorf("storing artifact %q: %w", path, err)
	}
	if err := s.publish(temp, path.String()); err != nil {
		return Stored{}, fmt.Errorf("storing artifact %q: %w", path, err)
	}
	// After the rename, because that changes the file's ctime.
	if info, err := f.Stat(); err == nil {
		s.known.remember(path.String(), stampOf(info), stored.Digest)
	}
	return stored, nil
}

// Link makes a file name in the object's directory, such as latest.tar.gz, lead to an artifact.
func (s *Store) Link(path artifact.Path, name string) error {
	link, err := path.Dir().File(name)
	if err != nil {
		return err
	}
	if _, err := s.lstat(path); err != nil {
		return err
	}
	if target, err := s.root.Readlink(link.String()); err == nil && target == path.File() {
		return nil
	}
	temp := path.Dir().String() + "/" + tempPrefix + rand.Text()
	if err := s.root.Symlink(path.File(), temp); err != nil {
		return fmt.Errorf("linking artifact %q: %w", path, err)
	}
	if err := s.publish(temp, link.String()); err != nil {
		_ = s.root.Remove(temp) // a sweep would do it too
		return fmt.Errorf("linking artifact %q: %w", path, err)
	}
	return nil
}

// fill writes the content and waits until it is on disk.
func (s *Store) fill(f file, write func(io.Writer) error) (Stored, error) {
	out := &sink{
		buf:   bufio.NewWriterSize(f, 64<<10),
		hash:  s.opts.Algorithm.New(),
		limit: s.opts.MaxSize,
	}
	if err := write(out); err != nil {
		return Stored{}, err
	}
	if out.err != nil {
		return Stored{}, out.err // which write has not passed on
	}
	if err := out.buf.Flush(); err != nil {
		return Stored{}, err
	}
	if err := f.Sync(); err != nil {
		return Stored{}, err
	}
	return Stored{Digest: s.opts.Algorithm.Digest(out.hash), Size: out.size}, nil
}

// publish gives a temporary file its name, and waits until that is on disk.
func (s *Store) publish(temp, name string) error {
	if err := s.root.Rename(temp, name); err != nil {
		return err
	}
	return s.syncDir(path.Dir(name))
}

// createTemp creates a file that no sweep removes until it is closed.
func (s *Store) createTemp(dir string) (string, *os.File, error) {
	for {
		name := dir + "/" + tempPrefix + rand.Text()
		f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
		if err != nil {
			return "", nil, err
		}
		err = filelock.Take(f)
		if !errors.Is(err, filelock.ErrHeld) {
			_, err = s.root.Lstat(name)
		}
		if err == nil {
			return name, f, nil
		}
		f.Close()
		// A sweep that came in between has the lock, or has removed the file by now.
		if !errors.Is(err, filelock.ErrHeld) && !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
}

// makeDir creates an object's directory, and waits until its names are on disk.
func (s *Store) makeDir(dir string) error {
	if _, err := s.root.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.root.MkdirAll(dir, modeDir); err != nil {
		return err
	}
	for dir != "." {
		dir = path.Dir(dir)
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) syncDir(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// sink receives the content of an artifact: counted, digested and buffered.
type sink struct {
	buf   *bufio.Writer
	hash  hash.Hash
	size  int64
	limit int64 // negative: none
	err   error
}

func (k *sink) Write(p []byte) (int, error) {
	if k.err != nil {
		return 0, k.err
	}
	if k.limit >= 0 && int64(len(p)) > k.limit-k.size {
		k.err = fmt.Errorf("%w: the artifact exceeds the limit of %d bytes", ErrTooLarge, k.limit)
		return 0, k.err
	}
	k.hash.Write(p)
	n, err := k.buf.Write(p)
	k.size += int64(n)
	k.err = err
	return n, err
}
