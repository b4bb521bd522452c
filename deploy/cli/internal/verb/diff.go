package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/render"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
	"weir.dev/pkg/apply"
)

// Exit codes of diff.
const (
	differs   = 1
	diffFails = 2
)

// difference is the verb diff.
type difference struct {
	local
}

func newDiff(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{Use: "diff", Short: "Show what would change in the cluster"}
	d := &difference{local: local{Session: s}}
	ks := &cobra.Command{
		Use: "kustomization NAME --path FOLDER", Aliases: []string{"ks"}, Short: "Compare a folder of this machine with the cluster",
		Long: `Builds a Kustomization from a folder of this machine, and asks the API server what an
apply of it would change, without changing anything. Values of Secrets are masked, and so
is what SOPS has encrypted, which counts as what the cluster has.

The exit code is 0 if nothing would change, 1 if something would, and 2 if that could not be
found out.`,
		Example: `  weir diff kustomization apps --path ./clusters/production/apps
  weir diff kustomization flux-system --path ./clusters/production --recursive --local-sources GitRepository/flux-system/flux-system=.`,
		ValidArgsFunction: completeNames(s, kustomizations()),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			changes, err := d.changes(ctx, args[0])
			if err = errors.Join(d.print(changes), err); err == nil && len(changes) > 0 {
				return &session.Exit{Code: differs}
			}
			return cannot(err)
		},
	}
	ks.Args = oneName
	d.bind(ks.Flags())
	ks.Flags().BoolVar(&d.missingIsFine, "ignore-not-found", false, "compare the Kustomization of --kustomization-file also if the cluster has none")
	ks.Flags().Bool("progress-bar", false, "of no effect: scripts may give it")
	cmd.AddCommand(ks, newDiffArtifact(s))
	choose(cmd)
	wrongUsageIsNoDrift(cmd)
	return cmd
}

// wrongUsageIsNoDrift gives wrong usage of the verb, and of all of its kinds, the exit code of
// what could not be found out.
func wrongUsageIsNoDrift(verb *cobra.Command) {
	verb.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return cannot(cmd.Root().FlagErrorFunc()(cmd, err)) })
	choose := verb.RunE
	verb.RunE = func(cmd *cobra.Command, args []string) error { return cannot(choose(cmd, args)) }
	for _, kind := range verb.Commands() {
		right := kind.Args
		kind.Args = func(cmd *cobra.Command, args []string) error { return cannot(right(cmd, args)) }
	}
}

// cannot is the end of a comparison that could not be made: wrong usage is no drift.
func cannot(err error) error {
	if err == nil {
		return nil
	}
	return &session.Exit{Code: diffFails, Err: err}
}

// changes finds out what would change.
func (d *difference) changes(ctx context.Context, name string) ([]render.Change, error) {
	all, err := d.build(ctx, name)
	if err != nil {
		return nil, err
	}
	cfg, err := d.Config()
	if err != nil {
		return nil, err
	}
	c, err := d.Client()
	if err != nil {
		return nil, err
	}
	mapper, err := d.Mapper()
	if err != nil {
		return nil, err
	}
	var changes []render.Change
	var errs []error
	for _, b := range all {
		if b.ks.Spec.KubeConfig != nil {
			d.Warn("%s is applied to another cluster by spec.kubeConfig: this compares with the one of your kubeconfig, see --context", b.ks.Name)
		}
		found, err := render.Cluster{Config: cfg, Client: c, Mapper: mapper}.Compare(ctx, b.ks, b.objects)
		changes, errs = append(changes, found...), append(errs, err)
	}
	return changes, errors.Join(errs...)
}

// print shows changes in their order.
func (d *difference) print(changes []render.Change) error {
	var errs []error
	for _, c := range changes {
		text, err := c.Unified()
		errs = append(errs, err)
		fmt.Fprintf(d.Out, "► %s %s\n", c.ID, told(c.Effect))
		errs = append(errs, d.lines(d.Out, text))
	}
	return errors.Join(errs...)
}

// told is what would become of an object, in the words of who looks at drift.
func told(e apply.Effect) string {
	if e == apply.Configured {
		return "drifted"
	}
	return e.String()
}

// lines prints a unified diff, in colours if they are wanted.
func (d *difference) lines(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		colour := ""
		switch {
		case !d.Colour || line == "":
		case line[0] == '-':
			colour = show.Red
		case line[0] == '+':
			colour = show.Green
		case line[0] == '@':
			colour = show.Cyan
		}
		if colour != "" {
			line = colour + line + show.Plain
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
