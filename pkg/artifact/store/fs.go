package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// FS returns the store as others may see it: without temporary files. Symbolic links are followed
// within the store; one that leads elsewhere leads nowhere.
func (s *Store) FS() fs.FS { return visible{s.root} }

type visible struct{ root *os.Root }

func (v visible) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if name != "." && slices.ContainsFunc(strings.Split(name, "/"), isHidden) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := v.root.Open(name)
	if err != nil {
		// What is no error of the system is the root's refusal to be left.
		if errno := syscall.Errno(0); !errors.As(err, &errno) {
			err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.IsDir() {
		return visibleDir{f}, nil
	}
	return f, nil
}

type visibleDir struct{ *os.File }

func (d visibleDir) ReadDir(n int) ([]fs.DirEntry, error) {
	for {
		entries, err := d.File.ReadDir(n)
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return isHidden(e.Name()) })
		if n <= 0 || err != nil || len(entries) > 0 {
			if err == io.EOF && len(entries) > 0 {
				err = nil
			}
			return entries, err
		}
	}
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }
