// Localplane is a Kubernetes control plane in one binary, for demos and tests on
// this machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
// kwok, each a process of its own, all of them the real ones. Nodes and the Pods
// on them are simulated by kwok; everything else is what a cluster has.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"weir.dev/deploy/localplane/internal/cli"
	"weir.dev/deploy/localplane/internal/component"
	"weir.dev/deploy/localplane/internal/program"
)

func main() {
	// The components bring flags of the same names, so which one this process is
	// must be known before any flag is declared.
	if len(os.Args) > 2 && os.Args[1] == component.Verb {
		os.Exit(program.Main(os.Args[2], os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
