// Package verb has the verbs of the weir command, each in a file of its own. A verb is its
// flags, its arguments and calls: what it knows is in the packages beside this one.
package verb

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
)

// GCPercent is how much the heap of a call may grow between two collections. A call gives
// all of it back after a second or two, so time is dearer than memory.
const GCPercent = 400

// Main runs the command with arguments and returns its exit code.
func Main(ctx context.Context, args []string, streams session.Streams, getenv func(string) string) int {
	session.Quiet()
	s := session.New(streams, getenv)
	return Run(ctx, s, args)
}

// Run runs the command in a session.
func Run(ctx context.Context, s *session.Session, args []string) int {
	root := New(s)
	root.SetArgs(args)
	return s.End(root.ExecuteContext(ctx))
}

// New returns the command with all its verbs.
func New(s *session.Session) *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "GitOps for Kubernetes: what is in Git is in the cluster",
		Long: `Weir installs and drives controllers that bring a cluster to what Git, OCI
repositories, Helm repositories and buckets say, and keep it there.`,
		SilenceErrors: true, SilenceUsage: true,
		Version: strings.TrimPrefix(install.Version, "v"),
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.CompletionOptions.DisableDefaultCmd = true
	s.Bind(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return session.Hint(err, "see the flags that there are: %s --help", cmd.CommandPath())
	})
	completeFlag(root, "namespace", completeNamespaces(s))
	completeFlag(root, "context", completeContexts(s))
	root.AddCommand(
		newBlame(s),
		newBootstrap(s),
		newBuild(s),
		newCheck(s),
		newCompletion(s),
		newCreate(s),
		newDebug(s),
		newDelete(s),
		newDiff(s),
		newDown(s),
		newDrift(s),
		newEnvsubst(s),
		newEvents(s),
		newExport(s),
		newGet(s),
		newInstall(s),
		newList(s),
		newLogs(s),
		newMigrate(s),
		newPull(s),
		newPush(s),
		newReconcile(s),
		newResume(s),
		newStats(s),
		newSuspend(s),
		newTag(s),
		newTrace(s),
		newTree(s),
		newUninstall(s),
		newUp(s),
		newVersion(s),
		newWhy(s),
	)
	return root
}
