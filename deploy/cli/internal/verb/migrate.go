package verb

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
)

// migrator brings objects, or manifests, to the newest versions of their kinds.
type migrator struct {
	*session.Session
	dryRun, yes bool
	path        string
	extensions  []string
	version     string
}

func newMigrate(s *session.Session) *cobra.Command {
	m := &migrator{Session: s}
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the objects of the toolkit, or manifests, to the newest versions of their kinds", Args: cobra.NoArgs,
		Long: `Migrate has the API server write each object of the toolkit anew, as it is, in the version in
which its definition has objects stored, and notes that none is stored in an older one: a
definition that lacks the older one is refused until then. Install and bootstrap do the
same where they have to. Objects keep what they say.

With --path it changes manifests in files instead, and does not ask the cluster: versions
of objects, of references to them, and in patches of Kustomizations. All else in the files
stays as it is; fields that a newer version does not have are told of.`,
		Example: `  weir migrate --dry-run
  weir migrate
  weir migrate --path ./clusters --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case m.version != install.Version:
				return fmt.Errorf("--version is %s, and this command knows the versions of kinds of %s: use the weir command of the version that you want", m.version, install.Version)
			case m.path != "":
				return m.files(cmd.Context())
			}
			return m.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&m.dryRun, "dry-run", false, "Tell what would be migrated; nothing is changed")
	cmd.Flags().StringVarP(&m.path, "path", "f", "", "Change the manifests in this folder, or file, and not the cluster")
	cmd.Flags().StringSliceVarP(&m.extensions, "extensions", "e", []string{".yaml", ".yml"}, "How names of files end that are manifests")
	cmd.Flags().BoolVarP(&m.yes, "yes", "y", false, "Do not ask before files are written")
	cmd.Flags().StringVarP(&m.version, "version", "v", install.Version, "Version to migrate to, which must be that of this command")
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
