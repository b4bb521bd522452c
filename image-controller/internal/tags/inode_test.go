package tags

import (
	"io/fs"
	"syscall"
)

// inodeOf is the number of a file, which another in its place does not have while both
// are there.
func inodeOf(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
