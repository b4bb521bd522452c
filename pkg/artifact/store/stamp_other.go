//go:build !linux

package store

import "io/fs"

// stampOf knows no state of a file that it would trust, so that Verify always reads.
func stampOf(fs.FileInfo) stamp { return stamp{} }
