// Package cli is the command line of localplane: a file a verb. What a verb
// answers goes to standard output, everything for people to standard error.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"

	"weir.dev/deploy/localplane/internal/plane"
)

const usage = `localplane runs a Kubernetes control plane on this machine: etcd, API server,
controller manager and scheduler are the real ones, Nodes and Pods are simulated.

Usage:
  localplane up --dir DIR [flags]   start it; print the path of its kubeconfig
  localplane down --dir DIR         stop it; its data stay, for the next up
  localplane status --dir DIR       tell whether it runs, and its processes
  localplane version                print the version of Kubernetes
  localplane help                   print this text

All data of a plane are in DIR, which up makes if it does not exist. If the plane
of DIR runs already, up only prints the path.

Flags of up:
  --nodes N         have at least so many simulated nodes (default 1)
  --idle DURATION   stop by itself when no process has held a shared lock (flock)
                    on the file DIR/users for so long; 0, the default, means never
  --fsync           have etcd wait for the disk, so that data outlive a power cut,
                    not only a kill; slower

Flags of down:
  --delete          remove DIR and all that is in it

Example:
  export KUBECONFIG=$(localplane up --dir ~/.cache/plane)
  kubectl create deployment hello --image=any --replicas=3
  localplane down --dir ~/.cache/plane --delete
`

// Exit statuses.
const (
	statusError = 1
	statusUsage = 2
)

// misuse is an error in the command line.
type misuse struct{ error }

// Main carries out a command line and returns the exit status.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "localplane: %v\n", err)
	if errors.As(err, &misuse{}) {
		fmt.Fprintln(stderr, "`localplane help` tells how it is used")
		return statusUsage
	}
	return statusError
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return misuse{errors.New("a verb is missing: up, down, status, version or help")}
	}
	verb, rest := args[0], args[1:]
	if slices.Contains([]string{"help", "--help", "-help", "-h"}, verb) {
		return flag.ErrHelp
	}
	switch verb {
	case "up":
		return up(ctx, rest, stdout, stderr)
	case "down":
		return down(ctx, rest, stderr)
	case "status":
		return status(rest, stdout)
	case "version":
		return version(rest, stdout)
	case plane.SuperviseVerb:
		return supervise(ctx, rest, stderr)
	default:
		return misuse{fmt.Errorf("%q is none of up, down, status, version and help", verb)}
	}
}

// flags returns the flags of a verb, with the one that all have.
func flags(verb string) (set *flag.FlagSet, dir *string) {
	set = flag.NewFlagSet(verb, flag.ContinueOnError)
	set.SetOutput(io.Discard) // Main tells errors and help
	return set, set.String("dir", "", "")
}

// parse reads the flags of a verb, which takes no other arguments.
func parse(set *flag.FlagSet, args []string) error {
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return misuse{fmt.Errorf("%s: %w", set.Name(), err)}
	case set.NArg() > 0:
		return misuse{fmt.Errorf("%s: %q is not a flag", set.Name(), set.Arg(0))}
	}
	return nil
}

// parseDir does the same for a verb that must be given a folder.
func parseDir(set *flag.FlagSet, dir *string, args []string) error {
	if err := parse(set, args); err != nil {
		return err
	}
	if *dir == "" {
		return misuse{fmt.Errorf("%s: --dir is missing: name the folder of the plane", set.Name())}
	}
	return nil
}
