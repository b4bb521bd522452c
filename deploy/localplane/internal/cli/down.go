package cli

import (
	"context"
	"io"

	"weir.dev/deploy/localplane/internal/plane"
)

func down(ctx context.Context, args []string, stderr io.Writer) error {
	set, dir := flags("down")
	remove := set.Bool("delete", false, "")
	if err := parseDir(set, dir, args); err != nil {
		return err
	}
	return plane.Down(ctx, *dir, *remove, stderr)
}
