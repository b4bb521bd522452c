package verb

import (
	"context"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/cli/internal/session"
)

// migrator has objects be stored in the newest versions of their kinds.
type migrator struct {
	*session.Session
	dryRun bool
}

func newMigrate(s *session.Session) *cobra.Command {
	m := &migrator{Session: s}
	cmd := &cobra.Command{
		Use: "migrate", Short: "Have the objects of the toolkit be stored in the newest versions of their kinds", Args: cobra.NoArgs,
		Long: `Migrate has the API server write each object of the toolkit anew, as it is, in the version in
which its definition has objects stored, and notes that none is stored in an older one: a
definition that lacks the older one is refused until then. Install and bootstrap do the
same where they have to. Objects keep what they say.`,
		Example: `  weir migrate --dry-run
  weir migrate`,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&m.dryRun, "dry-run", false, "Tell what would be migrated; the cluster is not changed")
	return cmd
}

func (m *migrator) run(ctx context.Context) error {
	ctx, cancel := m.Context(ctx)
	defer cancel()
	c, err := m.Client()
	if err != nil {
		return err
	}
	crds, err := installation.Reader{Client: c}.AllDefinitions(ctx)
	if err != nil {
		return err
	}
	n, err := installation.Migration{Client: c, DryRun: m.dryRun, Tell: m.Say}.Run(ctx, crds)
	switch {
	case err != nil:
		return err
	case n == 0:
		m.Done("all objects are stored in the newest versions of their kinds")
	case m.dryRun:
		m.Done("nothing was migrated: dry run")
	default:
		m.Done("custom resources migrated successfully")
	}
	return nil
}
