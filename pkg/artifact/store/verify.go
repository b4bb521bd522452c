package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"weir.dev/pkg/artifact"
)

// Verify reports whether the artifact is there and is what its status says: ErrNotFound or
// ErrAltered if not. A negative size is not compared.
//
// Reading the file is needed once a process. After that, or after Put, Verify only asks whether
// inode, size and times are as they were, so it can run on every reconcile however large the
// artifact is. A change that keeps all of these is not seen: the times would have to be the same to
// the resolution of the system's clock.
func (s *Store) Verify(path artifact.Path, digest artifact.Digest, size int64) error {
	if err := digest.Validate(); err != nil {
		return fmt.Errorf("verifying artifact %q: %w", path, err)
	}
	info, err := s.lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %q is no regular file", ErrAltered, path)
	}
	if size >= 0 && info.Size() != size {
		return fmt.Errorf("%w: %q has %d bytes, not %d", ErrAltered, path, info.Size(), size)
	}
	got, ok := s.known.digest(path.String(), stampOf(info), digest.Algorithm())
	if !ok {
		if got, err = s.hash(path, digest.Algorithm()); err != nil {
			return err
		}
	}
	if got != digest {
		return fmt.Errorf("%w: %q has the digest %s, not %s", ErrAltered, path, got, digest)
	}
	return nil
}

// Known returns the digest of a file of the store if that takes no reading. The info is that of the
// open file, the name the one under which FS opened it.
func (s *Store) Known(name string, info fs.FileInfo) (artifact.Digest, bool) {
	return s.known.digest(name, stampOf(info), "")
}

// hash reads an artifact, and remembers its digest unless the file changed meanwhile.
func (s *Store) hash(path artifact.Path, algorithm artifact.Algorithm) (artifact.Digest, error) {
	f, err := s.root.Open(path.String())
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %q", ErrNotFound, path)
	}
	if err != nil {
		return "", fmt.Errorf("verifying artifact %q: %w", path, err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("verifying artifact %q: %w", path, err)
	}
	h := algorithm.New()
	n, err := io.Copy(h, f)
	s.hashes.Add(1)
	s.hashedBytes.Add(n)
	if err != nil {
		return "", fmt.Errorf("verifying artifact %q: %w", path, err)
	}
	digest := algorithm.Digest(h)
	if after, err := f.Stat(); err == nil && stampOf(after) == stampOf(before) {
		s.known.remember(path.String(), stampOf(before), digest)
	}
	return digest, nil
}

// stamp tells one state of a file from another without reading it. The zero stamp equals none.
type stamp struct {
	inode, size, mtime, ctime int64
}

// known remembers the digests of files that this process wrote or read.
type known struct {
	mu    sync.Mutex
	files map[string]knownFile
}

type knownFile struct {
	stamp  stamp
	digest artifact.Digest
}

func (k *known) remember(name string, st stamp, digest artifact.Digest) {
	if st == (stamp{}) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.files == nil {
		k.files = make(map[string]knownFile)
	}
	k.files[name] = knownFile{st, digest}
}

// digest returns the digest of a file in this state, if it is known and of this algorithm.
func (k *known) digest(name string, st stamp, algorithm artifact.Algorithm) (artifact.Digest, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.files[name]
	if !ok || f.stamp != st || algorithm != "" && f.digest.Algorithm() != algorithm {
		return "", false
	}
	return f.digest, true
}

func (k *known) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.files, name)
}

func (k *known) forgetBelow(prefix string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.files {
		if strings.HasPrefix(name, prefix) {
			delete(k.files, name)
		}
	}
}
