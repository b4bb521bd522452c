//go:build !unix

package store

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }
