package verb

import (
	"context"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/cli/internal/session"
)

// uninstaller takes the controllers out of a cluster.
type uninstaller struct {
	*session.Session
	keepNamespace, dryRun, silent bool
}

func newUninstall(s *session.Session) *cobra.Command {
	u := &uninstaller{Session: s}
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Remove the controllers, and leave what they have brought", Args: cobra.NoArgs,
		Long: `Uninstall removes the controllers, then the finalizers of all objects of the toolkit, then
its definitions with these objects, its other objects and the namespace. Workloads, and
the storage of Helm releases, stay as they are. One that was interrupted is finished.`,
		Example: `  weir uninstall --dry-run
  weir uninstall -s --keep-namespace`,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&u.keepNamespace, "keep-namespace", false, "Leave the namespace")
	cmd.Flags().BoolVar(&u.dryRun, "dry-run", false, "Tell what would be removed; the cluster is not changed")
	cmd.Flags().BoolVarP(&u.silent, "silent", "s", false, "Do not ask")
	return cmd
}

func (u *uninstaller) run(ctx context.Context) error {
	c, err := u.Client()
	if err != nil {
		return err
	}
	if !u.silent && !u.dryRun {
		u.Warn("this removes the controllers of namespace %q, and all objects of their kinds in all namespaces", u.Namespace())
		if err := u.Confirm(ctx, "Go on?", "say so: weir uninstall --silent; see what it would do: weir uninstall --dry-run"); err != nil {
			return err
		}
	}
	ctx, cancel := u.Context(ctx)
	defer cancel()
	u.Say("removing the installation of namespace %q; workloads stay", u.Namespace())
	removal := &installation.Removal{
		Client: c, Namespace: u.Namespace(), KeepNamespace: u.keepNamespace, DryRun: u.dryRun, Tell: u.Say, Warn: u.Warn,
	}
	done, err := removal.Run(ctx)
	switch {
	case err != nil:
		return session.Hint(err, "finish it later, by the same command; what it has removed stays removed")
	case done == 0:
		u.Done("there was nothing to remove")
	case u.dryRun:
		u.Done("nothing was removed: dry run")
	default:
		u.Done("uninstall finished")
	}
	return nil
}
