package cli

import (
	"io"

	"weir.dev/deploy/localplane/internal/plane"
)

func status(args []string, stdout io.Writer) error {
	set, dir := flags("status")
	if err := parseDir(set, dir, args); err != nil {
		return err
	}
	return plane.Status(stdout, *dir)
}
