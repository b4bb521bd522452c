package verb

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
)

func newStats(s *session.Session) *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use: "stats", Short: "Count objects of each kind, and how they are", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := s.Context(cmd.Context())
			defer cancel()
			reader, err := newReader(s)
			if err != nil {
				return err
			}
			var queries []objects.Query
			for _, k := range kinds.All() {
				q := objects.Query{Kind: k, Namespace: s.Namespace()}
				if everywhere {
					q.Namespace = ""
				}
				queries = append(queries, q)
			}
			lists, err := reader.Lists(ctx, queries)
			err = unread(s, err)
			table := show.Table{Columns: []show.Column{{Name: "Reconcilers"}, {Name: "Running"}, {Name: "Failing"}, {Name: "Suspended"}, {Name: "Storage"}}}
			for _, l := range lists {
				if l.Kind.Foreign && len(l.Items) == 0 {
					continue
				}
				n := count(l.Items)
				table.Rows = append(table.Rows, []string{l.Kind.GVK.Kind, strconv.Itoa(n.running), strconv.Itoa(n.failing), strconv.Itoa(n.suspended), size(n.stored)})
			}
			return errors.Join(table.Print(s.Out, show.Options{}), err)
		},
	}
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "of all namespaces")
	return cmd
}

// counts say how many objects of a kind there are.
type counts struct {
	running   int // all that are not suspended
	failing   int
	suspended int
	stored    int64 // bytes of artifacts
}

func count(all []kinds.Object) counts {
	var n counts
	for _, o := range all {
		if o.Status.Artifact != nil {
			n.stored += o.Status.Artifact.Size
		}
		if o.Spec.Suspend {
			n.suspended++
			continue
		}
		n.running++
		if c, ok := o.Condition("Ready"); ok && c.Status == "False" {
			n.failing++
		}
	}
	return n
}

// size writes a number of bytes as people read them.
func size(bytes int64) string {
	const unit = 1024
	if bytes == 0 {
		return "-"
	}
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, prefix := float64(bytes), ""
	for _, p := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if value < unit {
			break
		}
		value, prefix = value/unit, p
	}
	return fmt.Sprintf("%.1f %sB", value, prefix)
}
