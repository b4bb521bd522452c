package verb

import (
	"bufio"
	"fmt"

	"github.com/fluxcd/pkg/envsubst"
	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/session"
)

// longestLine is how many bytes a line may have.
const longestLine = 16 << 20

func newEnvsubst(s *session.Session) *cobra.Command {
	strict := false
	cmd := &cobra.Command{
		Use: "envsubst", Short: "Put variables of the environment into what is read from stdin", Args: cobra.NoArgs,
		Long: `Reads stdin line by line, and prints it with the values of environment variables in the
place of ${NAME}, as spec.postBuild of a Kustomization would put them.`,
		Example: `  cluster_region=eu-central-1 weir envsubst --strict < template.yaml`,
		RunE: func(*cobra.Command, []string) error {
			in := bufio.NewScanner(s.In)
			in.Buffer(nil, longestLine)
			for n := 1; in.Scan(); n++ {
				line, err := envsubst.Eval(in.Text(), func(name string) (string, bool) {
					value, set := s.LookupEnv(name)
					return value, set || !strict
				})
				if err != nil {
					return fmt.Errorf("line %d: %w", n, err)
				}
				if _, err := fmt.Fprintln(s.Out, line); err != nil {
					return err
				}
			}
			if err := in.Err(); err != nil {
				return fmt.Errorf("reading stdin: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "fail if a variable is not set and has no default")
	return cmd
}
