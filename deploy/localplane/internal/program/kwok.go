package program

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"

	"weir.dev/deploy/localplane/internal/kubeconfig"
)

// runKwok does what the main function of kwok does.
func runKwok(args []string) error {
	// cobra adds the flags of the global set to every root command. Kubernetes has
	// put its own "version" there, of a type that cobra cannot read.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ContinueOnError)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := takeOver(ctx, args); err != nil {
		return err
	}
	// These flags are parsed before the command is built: its stages come from them.
	global := lenientFlags()
	ctx, _ = log.InitFlags(ctx, global)
	ctx, err := config.InitFlags(ctx, global)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(global)
	return command.ExecuteContext(ctx)
}

// takeOver removes the leases of simulated nodes. Each kwok has an identity of its
// own and never gives a lease back, so otherwise this one would leave its nodes
// alone until the leases of the one before it have run out.
func takeOver(ctx context.Context, args []string) error {
	flags := lenientFlags()
	path := flags.String("kubeconfig", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rest, err := kubeconfig.Read(*path)
	if err != nil {
		return err
	}
	c, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	leases := c.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if err := leases.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return fmt.Errorf("removing the leases of the kwok before: %w", err)
	}
	return nil
}

// lenientFlags returns a set that passes over the flags of others.
func lenientFlags() *pflag.FlagSet {
	set := pflag.NewFlagSet("global", pflag.ContinueOnError)
	set.ParseErrorsAllowlist.UnknownFlags = true
	set.Usage = func() {}
	return set
}
