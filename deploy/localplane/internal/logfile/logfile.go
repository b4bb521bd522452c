// Package logfile keeps the output of a process in a file of bounded size.
//
// A log begins anew with every run of the process and when it has grown to its
// limit; the one before is kept beside it, with ".1" at the end of its name.
package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// DefaultLimit is the size at which a log begins anew.
const DefaultLimit = 16 << 20

// Log is a file to write to. It is safe for concurrent use.
type Log struct {
	path  string
	limit int64

	mu   sync.Mutex
	file *os.File
	size int64
}

// Open begins a new log. A limit of zero means DefaultLimit.
func Open(path string, limit int64) (*Log, error) {
	if limit == 0 {
		limit = DefaultLimit
	}
	l := &Log{path: path, limit: limit}
	return l, l.Rotate()
}

// Rotate sets what was written aside and begins anew.
func (l *Log) Rotate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rotate()
}

// Write appends p, in a new file if it would not fit into this one.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

// Close ends the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

func (l *Log) rotate() error {
	f, err := Begin(l.path)
	if err != nil {
		return err
	}
	if l.file != nil {
		err = l.file.Close()
	}
	l.file, l.size = f, 0
	return err
}

// Begin sets the log of path aside and returns an empty one, for output that has
// no need of a limit.
func Begin(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("beginning a log: %w", err)
	}
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("beginning a log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("beginning a log: %w", err)
	}
	return f, nil
}

// Tail returns the last lines of a log, at most so many and 4 KiB of them.
func Tail(path string, lines int) (string, error) {
	const most = 4 << 10
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the end of a log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading the end of a log: %w", err)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return "", fmt.Errorf("reading the end of a log: %w", err)
	}
	data = bytes.TrimSpace(data)
	all := bytes.Split(data, []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))), nil
}
