// Package component is the processes that a plane consists of. Each is the real
// program, started by its own main command, as a sub-process of this binary.
package component

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
)

// Verb is the first argument of a process that is a component.
const Verb = "component"

// Names of the components.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// Main runs a component and returns its exit status. It ends when its standard
// input does: that is a pipe from the supervisor, so no component survives it.
func Main(name string, args []string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	os.Args = append([]string{name}, args...)
	switch name {
	case Etcd:
		return report(name, runEtcd(args))
	case APIServer:
		return cli.Run(apiserver.NewAPIServerCommand())
	case ControllerManager:
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case Scheduler:
		return cli.Run(scheduler.NewSchedulerCommand())
	case Kwok:
		return report(name, runKwok())
	default:
		return report(name, fmt.Errorf("no such component"))
	}
}

func report(name string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}

// runKwok does what the main of kwok does.
func runKwok() error {
	// Kubernetes puts a flag "version" of its own type on the global set, which
	// cobra would find instead of its own.
	pflag.CommandLine = pflag.NewFlagSet(Kwok, pflag.ContinueOnError)
	global := pflag.NewFlagSet("global", pflag.ContinueOnError)
	global.ParseErrorsAllowlist.UnknownFlags = true
	global.Usage = func() {}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, _ = kwoklog.InitFlags(ctx, global)
	ctx, err := kwokconfig.InitFlags(ctx, global)
	if err != nil {
		return err
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(global)
	return command.ExecuteContext(ctx)
}
