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

// run plays the whole demo. It fails if any step does not happen.
func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	dir := flags.String("dir", filepath.Join(".cache", "demo"), "folder for everything that the demo makes; emptied at the start")
	bin := flags.String("bin", "bin", "folder of the programs")
	exit := flags.Bool("exit", false, "end after the last step")
	if err := flags.Parse(args); err != nil {
		return err
	}
	w, err := start(ctx, *dir, *bin)
	if w != nil {
		defer func() { err = errors.Join(err, w.Stop()) }()
	}
	if err != nil {
		return err
	}
	s := &story{world: w, out: os.Stdout}
	if err := s.tell(ctx); err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, w.Dir())
	}
	if *exit {
		return nil
	}
	s.invite()
	<-ctx.Done()
	fmt.Fprintln(os.Stdout, "\nStopping.")
	return nil
}
