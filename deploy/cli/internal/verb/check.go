package verb

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/cli/internal/session"
)

// checker tells what is wrong with an installation, and what to do about it.
type checker struct {
	*session.Session
	pre        bool
	components []string
	extra      []string
	bad        int
}

func newCheck(s *session.Session) *cobra.Command {
	c := &checker{Session: s}
	cmd := &cobra.Command{
		Use: "check", Short: "Tell whether the installation is well, and what to do if not", Args: cobra.NoArgs,
		Example: `  weir check --pre
  weir check`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&c.pre, "pre", false, "Tell only whether weir can be installed, by you")
	cmd.Flags().StringSliceVar(&c.components, "components", nil, "Controllers that have to be there; without it, those that are there are checked")
	cmd.Flags().StringSliceVar(&c.extra, "components-extra", nil, "Further controllers that have to be there")
	return cmd
}

func (c *checker) run(ctx context.Context) error {
	ctx, cancel := c.Context(ctx)
	defer cancel()
	state, err := look(ctx, c.Session)
	if err != nil {
		return err
	}
	if c.pre {
		c.show("checking prerequisites", state.Prerequisites())
	} else {
		crds, err := state.CRDs()
		if err != nil {
			return err
		}
		c.show("checking prerequisites", state.Surroundings())
		c.show("checking what is installed", state.Distribution())
		c.show("checking controllers", append(state.Controllers(), state.Missing(slices.Concat(c.components, c.extra))...))
		c.show("checking definitions", crds)
		c.show("checking for objects that cannot go", state.Deletions(c.Now()))
	}
	if c.bad > 0 {
		return fmt.Errorf("%d of the checks failed", c.bad)
	}
	c.Done("all checks passed")
	return nil
}

// show tells findings, if there are any.
func (c *checker) show(what string, findings []installation.Finding) {
	if len(findings) == 0 {
		return
	}
	c.Say("%s", what)
	for _, f := range findings {
		switch f.Level {
		case installation.Good:
			c.Done("%s", f.Text)
		case installation.Notable:
			c.Warn("%s", f.Text)
		default:
			c.bad++
			c.Fail("%s", f.Text)
		}
		if f.Do != "" {
			fmt.Fprintf(c.Err, "  %s\n", f.Do)
		}
	}
}
