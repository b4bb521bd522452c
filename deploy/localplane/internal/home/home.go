// Package home is the folder of a plane: what is where in it, who holds it, and
// what the supervisor tells about itself there.
//
// A folder becomes a plane's by a marker file, and only one that was empty does.
// Nothing here starts or ends a process.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

var (
	// ErrAbsent tells that a folder holds no plane: it is missing or empty.
	ErrAbsent = errors.New("no plane is there")
	// ErrForeign tells that a folder holds something else.
	ErrForeign = errors.New("it holds something else than a plane; name an empty folder, or one that does not exist yet")
)

const (
	marker     = ".localplane"
	markerText = "The data of a Kubernetes control plane of localplane.\nStop it with `localplane down` before you remove this folder.\n"
)

// Dir is the absolute path of a plane's folder.
type Dir string

// Claim makes path a plane's folder. One that holds something else is refused.
func Claim(path string) (Dir, error) {
	d, err := Find(path)
	if !errors.Is(err, ErrAbsent) {
		return d, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %q: %w", path, err)
	}
	d = Dir(abs)
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of a plane: %w", err)
	}
	// The marker is the first file. Who claims the folder at the same time sees
	// either nothing or the marker, and comes to the same end.
	if err := os.WriteFile(d.file(marker), []byte(markerText), 0o600); err != nil {
		return "", fmt.Errorf("marking %q as a plane's: %w", abs, err)
	}
	return d, nil
}

// Find returns the folder of a plane that exists, or ErrAbsent or ErrForeign.
func Find(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %q: %w", path, err)
	}
	entries, err := os.ReadDir(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return "", fmt.Errorf("%q: %w", abs, ErrAbsent)
	case err != nil:
		return "", fmt.Errorf("reading the folder of a plane: %w", err)
	case !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == marker }):
		return "", fmt.Errorf("%q: %w", abs, ErrForeign)
	}
	return Dir(abs), nil
}

// Kubeconfig returns the file by which an administrator reaches the plane.
func (d Dir) Kubeconfig() string { return d.file("kubeconfig") }

// Users returns the file on which who uses the plane holds a shared lock.
func (d Dir) Users() string { return d.file("users") }

// Turn returns the file that up and down lock, so that one works at a time.
func (d Dir) Turn() string { return d.file("turn.lock") }

// Supervisor returns the file that the supervisor owns.
func (d Dir) Supervisor() string { return d.file("supervisor.lock") }

// Components returns the file that the supervisor locks and every component
// inherits: it is free when none of them is left.
func (d Dir) Components() string { return d.file("components.lock") }

// PKI returns the folder of keys and certificates.
func (d Dir) PKI() string { return d.file("pki") }

// Config returns a file that is written for a component at each start.
func (d Dir) Config(name string) string { return filepath.Join(d.file("config"), name) }

// Data returns the folder of etcd's data.
func (d Dir) Data() string { return d.file("etcd") }

// Logs returns the folder of logs.
func (d Dir) Logs() string { return d.file("log") }

// Log returns the log of a component or the supervisor.
func (d Dir) Log(name string) string { return filepath.Join(d.Logs(), name+".log") }

func (d Dir) file(name string) string { return filepath.Join(string(d), name) }

// Write puts data into a file as a whole: a reader sees the old content or the
// new. What has not changed is left alone.
func Write(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && slices.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}
