// Localplane is a Kubernetes control plane in one binary, for demos and tests on
// this machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
// kwok, each a process of its own, all of them the real ones. Nodes and the Pods
// on them are simulated by kwok; everything else is what a cluster has.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"weir.dev/deploy/localplane/internal/component"
	"weir.dev/deploy/localplane/internal/plane"
)

const usage = `localplane runs a Kubernetes control plane on this machine.

  localplane up --dir DIR      start it, and print the path of its kubeconfig
  localplane down --dir DIR    stop it
  localplane status --dir DIR  tell whether it runs, and its processes
  localplane version           print the version of Kubernetes

Flags of up:
  --idle DURATION   stop when no process has held a shared lock on DIR/users for so long
  --fsync           write data safely, and slowly

Flags of down:
  --delete          remove DIR, too
`

func main() {
	// The components bring flags of the same names, so which one this process is
	// must be known before any flag is declared.
	if len(os.Args) > 2 && os.Args[1] == component.Verb {
		os.Exit(component.Main(os.Args[2], os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "localplane: %v\n", err)
		os.Exit(1)
	}
}

// run carries out one verb.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Print(usage)
		return nil
	}
	verb := args[0]
	if verb == "version" {
		fmt.Println(plane.KubernetesVersion())
		return nil
	}
	fs := pflag.NewFlagSet("localplane "+verb, pflag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	var opts plane.Options
	fs.StringVar(&opts.Dir, "dir", "", "")
	fs.DurationVar(&opts.Idle, "idle", 0, "")
	fs.BoolVar(&opts.Fsync, "fsync", false, "")
	remove := fs.Bool("delete", false, "")
	if err := fs.Parse(args[1:]); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if opts.Dir == "" {
		return errors.New("--dir is missing: name a folder for the data of the plane")
	}
	switch verb {
	case "up":
		kubeconfig, err := plane.Up(ctx, opts)
		if err == nil {
			fmt.Println(kubeconfig)
		}
		return err
	case "down":
		return plane.Down(ctx, opts.Dir, *remove)
	case "status":
		return plane.Status(os.Stdout, opts.Dir)
	case plane.SuperviseVerb:
		return plane.Supervise(ctx, opts)
	default:
		return fmt.Errorf("%q is none of up, down, status, version and help", verb)
	}
}
