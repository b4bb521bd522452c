// Package mirror keeps the objects of buckets on local disk, so that only those that
// changed are downloaded.
//
// An object is kept under a name that follows from where it comes from and from its
// state. So what is kept is complete and never changes; a crash leaves at most temporary
// files, which the next Retain removes. Which objects are still wanted is the caller's
// decision, by Retain and Sweep.
package mirror

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"weir.dev/pkg/artifact"
)

const (
	modeDir    = 0o750
	modeFile   = 0o600
	tempPrefix = ".tmp-"
	buffer     = 64 << 10
)

// Mirror is a directory with a folder for each object of the API. Its methods may be
// called at the same time. One process at a time owns it.
type Mirror struct {
	root *os.Root

	// Faults to inject in tests.
	wrap func(io.Writer) io.Writer

	mu   sync.Mutex
	used map[string]int // how often a folder is in use, so that Sweep leaves it alone
}

// Open opens the mirror in a directory, and makes it if need be.
func Open(dir string) (*Mirror, error) {
	if err := os.MkdirAll(dir, modeDir); err != nil {
		return nil, fmt.Errorf("making the folder of downloaded objects: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of downloaded objects: %w", err)
	}
	return &Mirror{root: root, wrap: func(w io.Writer) io.Writer { return w }, used: make(map[string]int)}, nil
}

// Close releases the directory.
func (m *Mirror) Close() error { return m.root.Close() }

// Folder returns the folder of an object of the API. The caller closes it.
func (m *Mirror) Folder(namespace, name string) (*Folder, error) {
	dir, err := folder(namespace, name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.used[dir]++
	m.mu.Unlock()
	return &Folder{mirror: m, dir: dir}, nil
}

// folder returns where the folder of an object is.
func folder(namespace, name string) (string, error) {
	if _, err := artifact.NewDir("bucket", namespace, name); err != nil {
		return "", err
	}
	return namespace + "/" + name, nil
}

// Remove removes the folder of an object of the API.
func (m *Mirror) Remove(namespace, name string) error {
	dir, err := folder(namespace, name)
	if err != nil {
		return err
	}
	if err := m.root.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing downloaded objects: %w", err)
	}
	_ = m.root.Remove(namespace) // unless another object is in it
	return nil
}

// Sweep removes the folders whose object is not in the list that wanted returns, and
// returns how many that were. It looks at the folders before it calls wanted, so that
// it does not remove what is made meanwhile.
func (m *Mirror) Sweep(wanted func() (map[string]bool, error)) (int, error) {
	found, err := fs.Glob(m.root.FS(), "*/*")
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, nil
	}
	keep, err := wanted()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, dir := range found {
		namespace, name, _ := strings.Cut(dir, "/")
		if keep[dir] || m.inUse(dir) {
			continue
		}
		if err := m.Remove(namespace, name); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (m *Mirror) inUse(dir string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used[dir] > 0
}

// Folder keeps the objects of one bucket. Its methods may be called at the same time,
// but for Retain.
type Folder struct {
	mirror *Mirror
	dir    string
}

// Close ends the use of a folder.
func (f *Folder) Close() {
	f.mirror.mu.Lock()
	defer f.mirror.mu.Unlock()
	if f.mirror.used[f.dir]--; f.mirror.used[f.dir] <= 0 {
		delete(f.mirror.used, f.dir)
	}
}

// Name returns the name of an object in one state: origin tells the bucket.
func Name(origin, key, etag string) string {
	h := sha256.New()
	for _, part := range []string{origin, key, etag} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Size returns the size of what is kept under a name, and whether that is anything.
func (f *Folder) Size(name string) (int64, bool) {
	info, err := f.mirror.root.Lstat(path.Join(f.dir, name))
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}

// Open opens what is kept under a name.
func (f *Folder) Open(name string) (*os.File, error) {
	return f.mirror.root.Open(path.Join(f.dir, name))
}

// Put keeps what write writes under the name that it returns. It is there whole, or not
// at all, also after a crash.
func (f *Folder) Put(write func(io.Writer) (name string, err error)) error {
	root := f.mirror.root
	if err := root.MkdirAll(f.dir, modeDir); err != nil {
		return &DiskError{err}
	}
	temp := path.Join(f.dir, tempPrefix+rand.Text())
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
	if err != nil {
		return &DiskError{err}
	}
	name, err := f.fill(file, write)
	if err == nil {
		if err = root.Rename(temp, path.Join(f.dir, name)); err == nil {
			return nil
		}
		err = &DiskError{err}
	}
	_ = root.Remove(temp) // or the next Retain does
	return err
}

// fill writes the content of a file to disk, and closes it.
func (f *Folder) fill(file *os.File, write func(io.Writer) (string, error)) (string, error) {
	defer file.Close()
	w := &keeping{w: f.mirror.wrap(file)}
	buf := bufio.NewWriterSize(w, buffer)
	name, err := write(buf)
	switch {
	case w.err != nil:
		return "", w.err // which is the cause, whatever write made of it
	case err != nil:
		return "", err
	}
	if err := buf.Flush(); err != nil {
		return "", err
	}
	if err := file.Sync(); err != nil {
		return "", &DiskError{err}
	}
	return name, nil
}

// DiskError says that the disk is at fault, and not the storage that objects come from.
type DiskError struct{ Err error }

func (e *DiskError) Error() string { return "keeping an object: " + e.Err.Error() }

// Unwrap returns what the disk said.
func (e *DiskError) Unwrap() error { return e.Err }

// keeping remembers that the disk refused what it was to keep.
type keeping struct {
	w   io.Writer
	err error
}

func (k *keeping) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if err != nil {
		k.err = &DiskError{err}
		return n, k.err
	}
	return n, nil
}

// Retain removes what is kept but is not wanted any more, and what a crash left, and
// returns how much that was.
func (f *Folder) Retain(wanted func(name string) bool) (int, error) {
	dir, err := f.mirror.root.Open(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("listing downloaded objects: %w", err)
	}
	n := 0
	for _, name := range names {
		if wanted(name) {
			continue
		}
		if err := f.mirror.root.Remove(path.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, fmt.Errorf("removing a downloaded object: %w", err)
		}
		n++
	}
	return n, nil
}
