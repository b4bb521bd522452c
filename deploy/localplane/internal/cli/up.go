package cli

import (
	"context"
	"flag"
	"fmt"
	"io"

	"weir.dev/deploy/localplane/internal/plane"
)

func up(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := upOptions("up", args)
	if err != nil {
		return err
	}
	kubeconfig, err := plane.Up(ctx, opts, stderr)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, kubeconfig)
	return err
}

// supervise is what up starts in the background.
func supervise(ctx context.Context, args []string, stderr io.Writer) error {
	opts, err := upOptions(plane.SuperviseVerb, args)
	if err != nil {
		return err
	}
	return plane.Supervise(ctx, opts, stderr)
}

func upOptions(verb string, args []string) (plane.Options, error) {
	set, dir := flags(verb)
	var opts plane.Options
	bind(set, &opts)
	if err := parseDir(set, dir, args); err != nil {
		return opts, err
	}
	opts.Dir = *dir
	if err := opts.Validate(); err != nil {
		return opts, misuse{fmt.Errorf("%s: %w", verb, err)}
	}
	return opts, nil
}

func bind(set *flag.FlagSet, opts *plane.Options) {
	set.IntVar(&opts.Nodes, "nodes", 1, "")
	set.DurationVar(&opts.Idle, "idle", 0, "")
	set.BoolVar(&opts.Fsync, "fsync", false, "")
}
