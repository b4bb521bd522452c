//go:build !unix

package filelock

import (
	"errors"
	"os"
)

// Take is not supported here.
func Take(*os.File) error { return errors.ErrUnsupported }
