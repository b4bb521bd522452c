package archive

import (
	"fmt"
	"strings"
)

// order knows which entries may follow those that an archive has already.
type order struct {
	last     string // path of the last entry; "" before the first, and after the root
	lastFile bool
	dir      string // innermost directory that is open for more entries
}

// check says why an entry with this path may not follow.
func (o *order) check(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if Compare(path, o.last) <= 0 {
		return fmt.Errorf("path %q does not come after %q", path, o.last)
	}
	if o.lastFile && isBelow(path, o.last) {
		return fmt.Errorf("path %q is below the file %q", path, o.last)
	}
	return nil
}

// missing returns the directories above path that are not there yet, outermost first.
func (o *order) missing(path string) []string {
	var dirs []string
	for i := range len(path) {
		if path[i] == '/' && path[:i] != o.dir && !isBelow(o.dir, path[:i]) {
			dirs = append(dirs, path[:i])
		}
	}
	return dirs
}

// pass adds an entry that may follow, the directories above which are there.
func (o *order) pass(path string, dir bool) {
	o.last, o.lastFile = path, !dir
	switch i := strings.LastIndexByte(path, '/'); {
	case dir:
		o.dir = path
	case i >= 0:
		o.dir = path[:i]
	default:
		o.dir = ""
	}
}

// isBelow reports whether path is in the tree under dir.
func isBelow(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}
