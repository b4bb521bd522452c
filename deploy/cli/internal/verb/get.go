package verb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
)

// get shows objects.
type get struct {
	*session.Session
	everywhere bool
	noHeader   bool
	watch      bool
	showSource bool
	labels     string
	status     string
	format     string
}

func newGet(s *session.Session) *cobra.Command {
	g := &get{Session: s}
	cmd := &cobra.Command{
		Use: "get", Short: "Show sources, Kustomizations, HelmReleases and images, and how they are",
		Example: `  weir get all -A
  weir get kustomizations -A --status-selector ready=false
  weir get sources git podinfo -o yaml`,
	}
	flags := cmd.PersistentFlags()
	flags.BoolVarP(&g.everywhere, "all-namespaces", "A", false, "of all namespaces")
	flags.BoolVar(&g.noHeader, "no-header", false, "leave the header out")
	flags.BoolVarP(&g.watch, "watch", "w", false, "go on, and show what changes")
	flags.StringVarP(&g.labels, "label-selector", "l", "", "only those with these labels: app=web,tier!=cache")
	flags.StringVar(&g.status, "status-selector", "", "only those with a condition: ready=false")
	flags.StringVarP(&g.format, "output", "o", "", "wide, name, json or yaml")
	perKind(s, cmd, kinds.All(), kinds.Kind.Many, func(k kinds.Kind) *cobra.Command {
		one := &cobra.Command{
			Use: "[NAME]", Short: "Show " + k.GVK.Kind + " objects", Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return g.run(cmd.Context(), []kinds.Kind{k}, args) },
		}
		if k.GVK.Kind == "HelmRelease" {
			one.Flags().BoolVar(&g.showSource, "show-source", false, "show the source of the chart, too")
		}
		return one
	})
	several := func(parent *cobra.Command, what string, of func(kinds.Kind) bool) {
		parent.AddCommand(&cobra.Command{
			Use: "all", Short: "Show " + what, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, args []string) error {
				return g.run(cmd.Context(), slices.DeleteFunc(kinds.All(), func(k kinds.Kind) bool { return !of(k) }), args)
			},
		})
	}
	several(cmd, "all objects", func(kinds.Kind) bool { return true })
	several(family(cmd, kinds.Sources), "all sources", func(k kinds.Kind) bool { return k.Family == kinds.Sources })
	several(family(cmd, kinds.Images), "all objects about images", func(k kinds.Kind) bool { return k.Family == kinds.Images })
	return cmd
}

// run shows objects of kinds: those of a name, if one is given.
func (g *get) run(ctx context.Context, all []kinds.Kind, args []string) error {
	if err := show.CheckFormat(g.format); err != nil {
		return err
	}
	if g.watch && !g.tabular() {
		return session.Hint(fmt.Errorf("--watch shows tables, and not %s", g.format), "leave --watch out, or take -o wide")
	}
	match, err := statusSelector(g.status)
	if err != nil {
		return err
	}
	reader, err := newReader(g.Session)
	if err != nil {
		return err
	}
	queries := make([]objects.Query, 0, len(all))
	for _, k := range all {
		q := objects.Query{Kind: k, Namespace: g.Namespace(), Labels: g.labels}
		if g.everywhere {
			q.Namespace = ""
		}
		if len(args) == 1 {
			q.Name = args[0]
		}
		queries = append(queries, q)
	}
	switch {
	case g.watch:
		return g.follow(ctx, reader, queries, match)
	case g.tabular():
		return g.tables(ctx, reader, queries, match)
	default:
		return g.whole(ctx, reader, queries, match)
	}
}

// tables prints a table a kind.
func (g *get) tables(ctx context.Context, reader objects.Reader, queries []objects.Query, match func(kinds.Object) bool) error {
	ctx, cancel := g.Context(ctx)
	defer cancel()
	lists, err := reader.Lists(ctx, queries)
	err = unread(g.Session, err)
	found, exist := false, false
	for _, l := range lists {
		exist = exist || len(l.Items) > 0
		l.Items = slices.DeleteFunc(l.Items, func(o kinds.Object) bool { return !match(o) })
		if len(l.Items) == 0 {
			continue
		}
		if found {
			fmt.Fprintln(g.Out)
		}
		found = true
		columns := g.columns(l.Kind)
		table := show.Table{Columns: g.head(columns)}
		for _, o := range l.Items {
			table.Rows = append(table.Rows, g.row(columns, o, len(queries) > 1))
		}
		if err := table.Print(g.Out, show.Options{Wide: g.wide(), NoHeader: g.noHeader, Colour: g.Colour}); err != nil {
			return err
		}
	}
	if !found && err == nil {
		return g.nothing(ctx, reader, queries, exist)
	}
	return err
}

// tabular reports whether tables are asked for.
func (g *get) tabular() bool { return g.format == show.Text || g.format == show.Wide }

// wide reports whether wide columns are shown.
func (g *get) wide() bool { return g.format == show.Wide }

// columns returns those of a kind, as flags ask for them.
func (g *get) columns(k kinds.Kind) []kinds.Column {
	columns := k.Columns
	if g.showSource {
		columns = slices.Clone(columns)
		for i := range columns {
			if columns[i].Name == "Source" {
				columns[i].Wide = false
			}
		}
	}
	return columns
}

// head returns the columns of a table: namespace and name before those of the kind.
func (g *get) head(columns []kinds.Column) []show.Column {
	var head []show.Column
	if g.everywhere {
		head = append(head, show.Column{Name: "Namespace"})
	}
	head = append(head, show.Column{Name: "Name"})
	for _, c := range columns {
		head = append(head, show.Column{Name: c.Name, Wide: c.Wide})
	}
	return head
}

// row returns an object as head has it. Among others, its kind is before its name.
func (g *get) row(columns []kinds.Column, o kinds.Object, others bool) []string {
	var row []string
	if g.everywhere {
		row = append(row, o.Metadata.Namespace)
	}
	name := o.Metadata.Name
	if others {
		name = strings.ToLower(o.Kind) + "/" + name
	}
	row = append(row, name)
	for _, c := range columns {
		cell := c.Show(o, g.wide(), g.Now())
		if g.wide() { // which is asked for to see all of it
			cell = show.OneLine(cell)
		}
		row = append(row, cell)
	}
	return row
}

// whole prints objects as the API server has them, but for what nobody reads.
func (g *get) whole(ctx context.Context, reader objects.Reader, queries []objects.Query, match func(kinds.Object) bool) error {
	ctx, cancel := g.Context(ctx)
	defer cancel()
	all, err := reader.Wholes(ctx, queries)
	incomplete := unread(g.Session, err)
	if len(all) == 0 && incomplete != nil {
		return incomplete
	}
	var chosen []*unstructured.Unstructured
	for _, u := range all {
		o, err := kinds.Read(u)
		if err != nil {
			return err
		}
		if match(o) {
			u.SetManagedFields(nil)
			chosen = append(chosen, u)
		}
	}
	named := len(queries) == 1 && queries[0].Name != ""
	if named && len(chosen) == 0 {
		return g.nothing(ctx, reader, queries, len(all) > 0)
	}
	return errors.Join(show.Objects(g.Out, g.format, chosen, named && !g.everywhere), incomplete)
}

// nothing says that there is nothing to show: of what exists, if there is any, nothing is as
// --status-selector wants it. Where a name was given, both are errors.
func (g *get) nothing(ctx context.Context, reader objects.Reader, queries []objects.Query, exist bool) error {
	where, in := fmt.Sprintf("in namespace %q", queries[0].Namespace), "-n "+queries[0].Namespace
	if g.everywhere {
		where, in = "in any namespace", "-A"
	}
	switch q := queries[0]; {
	case q.Name != "" && exist:
		err := fmt.Errorf("no %s %q %s matches the status selector %q", q.Kind, q.Name, where, g.status)
		return session.Hint(err, "see how it is: weir get %s %s %s", q.Kind.Words(), q.Name, in)
	case q.Name != "":
		return notFound(ctx, g.Session, reader, q, "get")
	}
	what := "objects"
	if len(queries) == 1 {
		what = queries[0].Kind.GVK.Kind + " objects"
	}
	if g.labels != "" || g.status != "" {
		what += " that match the selector"
	}
	g.Fail("no %s found %s", what, where)
	return nil
}

// errNotFound marks that an object does not exist.
var errNotFound = errors.New("not found")

// notFound is the error about an object that is not where it was looked for. It names the
// command that finds one of that name elsewhere.
func notFound(ctx context.Context, s *session.Session, reader objects.Reader, q objects.Query, verb string) error {
	err := fmt.Errorf("%s %q %w in namespace %q", q.Kind, q.Name, errNotFound, q.Namespace)
	if q.Namespace == "" {
		err = fmt.Errorf("%s %q %w in any namespace", q.Kind, q.Name, errNotFound)
	}
	words := q.Kind.Words()
	list := "weir get " + words + " -A"
	if q.Namespace == "" || q.Labels != "" {
		return session.Hint(err, "see all: %s", list)
	}
	elsewhere, lost := reader.List(ctx, objects.Query{Kind: q.Kind, Name: q.Name})
	if lost != nil || len(elsewhere.Items) == 0 { // who may not look there is told no more
		return session.Hint(err, "see all: %s", list)
	}
	return session.Hint(err, "there is one in namespace %q: weir %s %s %s -n %s", elsewhere.Items[0].Metadata.Namespace, verb, words, q.Name, elsewhere.Items[0].Metadata.Namespace)
}

// statusSelector returns what --status-selector lets through: type=status of a condition, in any
// case.
func statusSelector(text string) (func(kinds.Object) bool, error) {
	if text == "" {
		return func(kinds.Object) bool { return true }, nil
	}
	conditionType, status, ok := strings.Cut(text, "=")
	if !ok || conditionType == "" || status == "" {
		return nil, session.Hint(fmt.Errorf("status selector %q is not of the form type=status", text), "for example: --status-selector ready=false")
	}
	return func(o kinds.Object) bool {
		for _, c := range o.Status.Conditions {
			if strings.EqualFold(c.Type, conditionType) {
				return strings.EqualFold(string(c.Status), status)
			}
		}
		if !strings.EqualFold(conditionType, meta.ReadyCondition) {
			return false
		}
		shown, _ := kinds.Ready(o)
		return strings.EqualFold(shown, status)
	}, nil
}

// unread warns of kinds that who asks may not see, and returns what else kept kinds from
// being read: all of it, if none was.
func unread(s *session.Session, err error) error {
	u := (*objects.Unread)(nil)
	if !errors.As(err, &u) || u.All {
		return err
	}
	var errs []error
	for _, err := range u.Errs {
		if apierrors.IsForbidden(err) {
			s.Warn("%v", err)
		} else {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// newReader returns what reads objects in a session.
func newReader(s *session.Session) (objects.Reader, error) {
	client, err := s.REST()
	if err != nil {
		return objects.Reader{}, err
	}
	mapper, err := s.Mapper()
	return objects.Reader{REST: client, Mapper: mapper}, err
}
