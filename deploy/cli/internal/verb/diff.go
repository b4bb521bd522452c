package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/render"
	"weir.dev/deploy/cli/internal/session"
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
	missingIsFine bool
	progress      bool
}

func newDiff(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{Use: "diff", Short: "Show what would change in the cluster"}
	d := &difference{local: local{Session: s}}
	ks := &cobra.Command{
		Use: "kustomization NAME --path FOLDER", Aliases: []string{"ks"}, Short: "Compare a folder of this machine with the cluster", Args: oneName,
		Long: `Builds a Kustomization from a folder of this machine, and asks the API server what an
apply of it would change, without changing anything. Values of Secrets are masked, and so
is what SOPS has encrypted, which counts as what the cluster has.

The exit code is 0 if nothing would change, 1 if something would, and 2 if that could not be
found out.`,
		Example:           `  weir diff kustomization apps --path ./clusters/production/apps`,
		ValidArgsFunction: completeNames(s, kustomizations()),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			changes, err := d.changes(ctx, args[0])
			err = errors.Join(d.print(changes), err)
			switch {
			case err != nil:
				return &session.Exit{Code: diffFails, Err: err}
			case len(changes) > 0:
				return &session.Exit{Code: differs}
			}
			return nil
		},
	}
	d.bind(ks.Flags())
	ks.Flags().BoolVar(&d.missingIsFine, "ignore-not-found", false, "a Kustomization that is not in the cluster is no error")
	ks.Flags().BoolVar(&d.progress, "progress-bar", false, "without effect: there is nothing to wait for")
	cmd.AddCommand(ks)
	choose(cmd)
	return cmd
}

// changes finds out what would change.
func (d *difference) changes(ctx context.Context, name string) ([]render.Change, error) {
	if d.missingIsFine {
		if missing, err := d.missing(ctx, name); missing || err != nil {
			return nil, err
		}
	}
	ks, objs, err := d.build(ctx, name)
	if err != nil {
		return nil, err
	}
	if ks.Spec.KubeConfig != nil {
		d.Warn("%s is applied to another cluster by spec.kubeConfig: this compares with the one of your kubeconfig, see --context", ks.Name)
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
	return render.Cluster{Config: cfg, Client: c, Mapper: mapper}.Compare(ctx, ks, objs)
}

// missing reports whether there is no Kustomization of a name.
func (d *difference) missing(ctx context.Context, name string) (bool, error) {
	c, err := d.Client()
	if err != nil {
		return false, err
	}
	err = c.Get(ctx, client.ObjectKey{Namespace: d.Namespace(), Name: name}, &kustomizev1.Kustomization{})
	if apierrors.IsNotFound(err) {
		d.Warn("Kustomization %s is not in the cluster: nothing to compare with", name)
		return true, nil
	}
	return false, err
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

// Colours of lines.
const (
	red       = "\x1b[31m"
	green     = "\x1b[32m"
	cyan      = "\x1b[36m"
	yellow    = "\x1b[33m"
	plainText = "\x1b[0m"
)

// lines prints a unified diff, in colours if they are wanted.
func (d *difference) lines(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		colour := ""
		switch {
		case !d.Colour || line == "":
		case line[0] == '-':
			colour = red
		case line[0] == '+':
			colour = green
		case line[0] == '@':
			colour = cyan
		}
		if colour != "" {
			line = colour + line + plainText
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
