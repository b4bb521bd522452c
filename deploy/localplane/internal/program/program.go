// Package program turns this process into a component of a plane. It links the
// real programs, and calls for each what its own main function does.
package program

import (
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"weir.dev/deploy/localplane/internal/component"
)

// Main runs a component with its arguments and returns its exit status. It must be
// called before anything declares or parses flags. The process ends when its
// standard input does: that is a pipe from the supervisor, which no component must
// survive.
func Main(name string, args []string) int {
	go endWith(os.Stdin)
	os.Args = append([]string{name}, args...) // where the programs look
	if err := setVersion(component.KubernetesVersion()); err != nil {
		return report(name, err)
	}
	switch name {
	case component.Etcd:
		return report(name, runEtcd(args))
	case component.APIServer:
		return cli.Run(apiserver.NewAPIServerCommand())
	case component.ControllerManager:
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case component.Scheduler:
		return cli.Run(scheduler.NewSchedulerCommand())
	case component.Kwok:
		return report(name, runKwok(args))
	default:
		return report(name, errors.New("no such component"))
	}
}

// endWith ends this process when in does.
func endWith(in io.Reader) {
	_, _ = io.Copy(io.Discard, in) // however it ends
	os.Exit(1)
}

// report tells an error where the log of the component is.
func report(name string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}
