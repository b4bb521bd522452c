// Demo shows on this machine what weir does: it starts a Kubernetes control plane,
// a git server and the controllers, and goes through the main job step by step,
// each with its time. Then it stays, for you to look around.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"weir.dev/deploy/internal/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// show is what can be played. Then it stays, for people to look around.
type show interface {
	tell(context.Context) error
	invite()
	Dir() string
	Stop() error
}

// run plays the whole demo. It fails if any step does not happen.
func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	dir := flags.String("dir", filepath.Join(".cache", "demo"), "folder for everything that the demo makes; emptied at the start")
	bin := flags.String("bin", "bin", "folder of the programs")
	exit := flags.Bool("exit", false, "end after the last step")
	fromGit := flags.Bool("bootstrap", false, "show how an empty cluster comes to run from an empty repository, instead")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := open(ctx, *dir, *bin, *fromGit)
	if s != nil {
		defer func() { err = errors.Join(err, s.Stop()) }()
	}
	if err != nil {
		return err
	}
	if err := s.tell(ctx); err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, s.Dir())
	}
	if *exit {
		return nil
	}
	s.invite()
	<-ctx.Done()
	fmt.Fprintln(os.Stdout, "\nStopping.")
	return nil
}

// open starts what the demo needs. What it returns must be stopped even if there is an error.
func open(ctx context.Context, dir, bin string, fromGit bool) (show, error) {
	all, err := stack.New(dir, bin)
	if err != nil {
		return nil, err
	}
	if err := all.Clear(ctx); err != nil {
		return nil, fmt.Errorf("removing what an earlier demo left: %w", err)
	}
	if fromGit {
		f := &fleet{Stack: all, weir: filepath.Join(bin, "weir"), out: os.Stdout}
		return f, begin(ctx, f.parts())
	}
	w := &world{Stack: all}
	return &story{world: w, out: os.Stdout}, begin(ctx, w.parts())
}
