// Package archive writes and reads artifacts: gzip-compressed tar archives of directories and
// regular files.
//
// The same tree gives the same bytes. Entries come in the order of a walk that sorts each
// directory by name, "." first and every directory before its content. They carry neither owner
// nor time, and one of three modes: 0750 for directories, 0600 for files, 0700 for executables.
// That is the layout that Flux publishes; uncompressed, the archives of both are equal.
//
// WriteTree cuts the archive of a tree into gzip members and copies those that an earlier archive
// has already, so that its cost follows the change. A Writer takes what comes, and writes one
// member.
//
// A reader gets nothing that a limit or a path check refused. What becomes of the content is the
// caller's to decide; this package opens no file.
package archive

import (
	"errors"
	"fmt"
	"strings"

	"weir.dev/pkg/artifact"
)

// The limits that apply where Limits has a zero.
const (
	DefaultMaxSize     = 1 << 30
	DefaultMaxUnpacked = 2 << 30
	DefaultMaxFiles    = 500_000
)

// maxPath is the longest path of an entry, in bytes.
const maxPath = 4096

var (
	// ErrTooLarge is wrapped by errors that say which limit an archive exceeds.
	ErrTooLarge = artifact.ErrTooLarge

	// ErrCorrupt is wrapped by errors about bytes that are no archive, an archive that is cut off,
	// and entries that no archive may contain.
	ErrCorrupt = errors.New("corrupt archive")
)

// Limits bound an archive that is written or read. A zero takes the default, a negative value
// lifts the limit.
type Limits struct {
	MaxSize     int64 // compressed bytes
	MaxUnpacked int64 // bytes of all files together
	MaxFiles    int   // entries: files and directories
}

func (l Limits) withDefaults() Limits {
	if l.MaxSize == 0 {
		l.MaxSize = DefaultMaxSize
	}
	if l.MaxUnpacked == 0 {
		l.MaxUnpacked = DefaultMaxUnpacked
	}
	if l.MaxFiles == 0 {
		l.MaxFiles = DefaultMaxFiles
	}
	return l
}

// Compare orders paths as an archive does: by their parts, each bytewise, a directory before what
// it contains. So "a" < "a/b" < "a.txt", where a bytewise comparison of whole paths has "a.txt"
// before "a/b".
func Compare(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		case a[i] < b[i]:
			return -1
		default:
			return 1
		}
	}
	return len(a) - len(b)
}

func tooLarge(what string, limit int64, unit string) error {
	return fmt.Errorf("%w: %s exceeds the limit of %d %s", ErrTooLarge, what, limit, unit)
}

// checkPath refuses paths that are not in the one form in which an archive holds them.
func checkPath(path string) error {
	if len(path) > maxPath {
		return tooLarge("an entry's path", maxPath, "bytes")
	}
	if strings.IndexByte(path, 0) >= 0 {
		return fmt.Errorf("path %q contains a NUL", path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("path %q is not a clean relative path", path)
		}
	}
	return nil
}
