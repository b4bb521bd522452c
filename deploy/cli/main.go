// Weir is the command by which people install weir and work with it.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP) // the terminal is gone
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // who asks twice does not want to wait for what is under way
	getenv := os.Getenv          //nolint:forbidigo // the environment comes in here, and is passed on
	if getenv("GOGC") == "" {
		debug.SetGCPercent(verb.GCPercent)
	}
	screen := term.IsTerminal(int(os.Stdout.Fd()))
	code := verb.Main(ctx, os.Args[1:], session.Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal:  term.IsTerminal(int(os.Stderr.Fd())),
		Colour:    screen && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb",
		LookupEnv: os.LookupEnv,
	}, getenv)
	stop()
	os.Exit(code)
}
