package verb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/edits"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
	"weir.dev/pkg/manifest"
)

// nothing is what a value is called that there is not.
const nothing = "nothing"

// drifting shows what was changed by hand.
type drifting struct {
	*session.Session
	everywhere bool
	watch      bool
	noHeader   bool
	format     string

	hand    *hand
	cluster owner.Cluster
}

// scope is what is asked for: edits of what some objects apply, and of those some.
type scope struct {
	owners []*unstructured.Unstructured
	// alone is an object of which the one that applies it, with this name, may not be read.
	alone  *unstructured.Unstructured
	by     string
	events []selector
	only   func(edits.Edit) bool
	name   string // of the object, "" for all
	// missing is the error that it does not exist, which matters if nothing tells of it.
	missing error
}

func newDrift(s *session.Session) *cobra.Command {
	d := &drifting{Session: s}
	cmd := &cobra.Command{
		Use: "drift [KIND/NAME]", Short: "Show what was changed by hand: by whom, when, from what to what, and what became of it", Args: cobra.MaximumNArgs(1),
		Long: `Shows what somebody else changed in objects that Kustomizations and HelmReleases apply. What was
restored, or reported, is known by events, which the API server keeps for an hour; what was left
is known by who owns the fields of the objects now. KIND/NAME is what was changed, or the
Kustomization or HelmRelease that applies it.`,
		Example: `  weir drift -A
  weir drift deployment/podinfo -n apps
  weir drift ks/apps -w`,
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVarP(&d.everywhere, "all-namespaces", "A", false, "of Kustomizations and HelmReleases of all namespaces")
	cmd.Flags().BoolVarP(&d.watch, "watch", "w", false, "go on, and show what controllers tell next")
	cmd.Flags().BoolVar(&d.noHeader, "no-header", false, "leave the header out")
	cmd.Flags().StringVarP(&d.format, "output", "o", "", "wide, json or yaml")
	return cmd
}

func (d *drifting) run(ctx context.Context, args []string) error {
	if err := checkStructured(d.format); err != nil {
		return err
	}
	var err error
	if d.hand, err = newHand(d.Session); err != nil {
		return err
	}
	d.cluster = owner.Cluster{Client: d.hand.client, Mapper: d.hand.reader.Mapper}
	once, cancel := d.Context(ctx)
	defer cancel()
	of, err := d.scope(once, args)
	if err != nil {
		return err
	}
	all, heard, err := d.found(once, of)
	if err != nil {
		return err
	}
	stream := show.NewStream(d.Out, d.head(), show.Options{Wide: d.format == show.Wide, NoHeader: d.noHeader, Colour: d.Colour})
	switch {
	case d.watch:
		if err := d.each(stream, all); err != nil {
			return err
		}
		if d.Terminal {
			d.Waiting("waiting for what is changed next")
		}
		return d.follow(ctx, of, heard, stream)
	case d.format == show.JSON || d.format == show.YAML:
		return printStructured(d.Session, d.format, append([]edits.Edit{}, all...))
	case len(all) == 0:
		return d.none(of)
	}
	return stream.Print(d.rows(all))
}

// found returns the edits that are asked for, and what was heard of them. It is an error that there
// is nothing of an object that does not exist, unless it is waited for.
func (d *drifting) found(ctx context.Context, of scope) ([]edits.Edit, []*hearing, error) {
	told, heard, err := d.told(ctx, of)
	if err != nil {
		return nil, nil, err
	}
	standing, err := d.standing(ctx, of)
	if err != nil {
		return nil, nil, err
	}
	all := edits.Sort(slices.DeleteFunc(append(standing, told...), func(e edits.Edit) bool { return !of.only(e) }))
	if of.missing != nil && len(all) == 0 {
		if !d.watch {
			return nil, nil, of.missing
		}
		d.Warn("%v", of.missing)
	}
	return all, heard, nil
}

// none says that there is nothing to show.
func (d *drifting) none(of scope) error {
	where := "any namespace"
	if !d.everywhere {
		where = fmt.Sprintf("namespace %q", d.Namespace())
	}
	switch {
	case of.name != "":
		d.Done("nothing that is known was changed by hand in %s: what was restored is told for an hour", of.name)
	case len(of.owners) == 0 && d.everywhere:
		d.Fail("there are no Kustomizations and no HelmReleases")
	case len(of.owners) == 0:
		d.Fail("there are no Kustomizations and no HelmReleases in %s: see all by -A", where)
	default:
		d.Done("nothing that is known was changed by hand in what is applied from %s: what was restored is told for an hour", where)
	}
	return nil
}

// scope returns what is asked for.
func (d *drifting) scope(ctx context.Context, args []string) (scope, error) {
	if len(args) == 0 {
		return d.all(ctx)
	}
	s, err := d.hand.subject(args[0])
	if err != nil {
		return scope{}, err
	}
	out := scope{only: editsOf(s.id, d.everywhere), name: s.id.String()}
	obj, err := d.hand.read(ctx, s)
	switch {
	case apierrors.IsNotFound(err) && owner.Applies(s.id.GroupKind()) && !d.everywhere:
		return out, s.missing("See those that there are: weir get all -A")
	case d.everywhere, apierrors.IsNotFound(err):
		if apierrors.IsNotFound(err) { // and an event may tell of it, wherever that is
			out.missing = s.missing("See who should have made it: weir why " + s.text)
		}
		out.owners, err = d.owners(ctx, "")
		out.events = aboutEdits(selector{})
		return out, err
	case err != nil:
		return out, err
	}
	return out, d.appliersOf(ctx, &out, s, obj)
}

// all is what is asked for if no object is named.
func (d *drifting) all(ctx context.Context) (scope, error) {
	namespace := d.Namespace()
	if d.everywhere {
		namespace = ""
	}
	owners, err := d.owners(ctx, namespace)
	return scope{owners: owners, events: aboutEdits(selector{namespace: namespace}), only: func(edits.Edit) bool { return true }}, err
}

// appliersOf adds an object that applies others, and what applies it.
func (d *drifting) appliersOf(ctx context.Context, out *scope, s subject, obj *unstructured.Unstructured) error {
	if isApplier(obj) {
		out.add(obj)
	}
	above, err := d.cluster.Above(ctx, obj)
	switch {
	case err != nil:
		return err
	case above != nil && above.ID == s.id: // it applies itself
	case above != nil && above.Object != nil && isApplier(above.Object):
		out.add(above.Object)
	case above != nil && above.Err != nil && owner.Applies(above.ID.GroupKind()):
		d.Warn("%s applies it, and may not be read: %v", above.ID, above.Err)
		out.alone, out.by = obj, above.ID.String()
		out.hear(above.ID)
	case len(out.owners) == 0:
		return session.Hint(fmt.Errorf("no Kustomization or HelmRelease applies %s, so nobody notices what is changed in it", s.id),
			"see who set its fields: weir blame %s", s.text)
	}
	return nil
}

// add adds one that applies objects, and the events about it.
func (s *scope) add(obj *unstructured.Unstructured) {
	s.owners = append(s.owners, obj)
	s.hear(manifest.IDOf(obj))
}

// hear adds the events about one that applies objects.
func (s *scope) hear(id manifest.ID) {
	s.events = append(s.events, aboutEdits(aboutObject(id.Kind, id.Namespace, id.Name))...)
}

// owners reads what applies objects in a namespace, or in all. That those of a kind may not be
// read is a warning.
func (d *drifting) owners(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	var queries []objects.Query
	for _, k := range appliers() {
		queries = append(queries, objects.Query{Kind: k, Namespace: namespace})
	}
	all, err := d.hand.reader.Wholes(ctx, queries)
	return all, unread(d.Session, err)
}

// aboutEdits returns selectors of those of some events that are about edits.
func aboutEdits(of selector) []selector {
	var all []selector
	for _, reason := range edits.Reasons() {
		with := fields.Set{"reason": reason}
		maps.Copy(with, of.fields)
		all = append(all, selector{namespace: of.namespace, fields: with})
	}
	return all
}

// appliers are the kinds that apply objects.
func appliers() []kinds.Kind {
	return only(func(k kinds.Kind) bool { return owner.Applies(k.GVK.GroupKind()) })
}

// editsOf chooses the edits of an object, or of what it applies; in any namespace if it may be
// in any.
func editsOf(id manifest.ID, everywhere bool) func(edits.Edit) bool {
	is := func(text string) bool {
		rest, ok := strings.CutPrefix(text, id.Kind+"/")
		if !everywhere {
			return text == id.String()
		}
		return ok && rest[strings.LastIndex(rest, "/")+1:] == id.Name
	}
	return func(e edits.Edit) bool { return is(e.Object) || owner.Applies(id.GroupKind()) && is(e.Owner) }
}

// told returns what events tell, and what was heard by that, for those that come to go on. That
// events may not be read is a warning, unless they are all that is asked for.
func (d *drifting) told(ctx context.Context, of scope) (all []edits.Edit, heard []*hearing, err error) {
	list := &events{}
	var refused error
	for _, selector := range of.events {
		l := &hearing{of: selector}
		found, err := list.list(ctx, d.hand, l)
		if apierrors.IsForbidden(err) {
			refused = cmp.Or(refused, err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		heard = append(heard, l)
		for i := range found {
			all = append(all, edits.OfEvent(&found[i], lastSeen(found[i]))...)
		}
	}
	if refused != nil && d.watch && len(heard) == 0 {
		return nil, nil, refused
	}
	if refused != nil {
		d.Warn("what was restored or reported is not known: %v", refused)
	}
	return all, heard, nil
}

// atOnce is how many of those that apply objects are looked at at a time.
const atOnce = 4

// standing returns what is as somebody has set it by hand. That objects may not be read is a
// warning, once for each kind.
func (d *drifting) standing(ctx context.Context, of scope) ([]edits.Edit, error) {
	found := make([][]edits.Edit, len(of.owners))
	hidden := make([][]owner.Unread, len(of.owners))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, by := range of.owners {
		g.Go(func() (err error) {
			found[i], hidden[i], err = d.standingOf(ctx, of, by)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if of.alone != nil {
		more, err := edits.Standing(of.alone, of.by)
		if err != nil {
			return nil, err
		}
		found = append(found, more)
	}
	warned := make(map[schema.GroupKind]bool)
	for _, u := range slices.Concat(hidden...) {
		if gk := u.ID.GroupKind(); !warned[gk] {
			warned[gk] = true
			d.Warn("what stands in objects of kind %s is not known of all: %v", gk.Kind, u.Err)
		}
	}
	return slices.Concat(found...), nil
}

// standingOf returns what is as somebody has set it of what one has applied, and what of that
// may not be read. What need not be read, is not.
func (d *drifting) standingOf(ctx context.Context, of scope, by *unstructured.Unstructured) ([]edits.Edit, []owner.Unread, error) {
	name := manifest.IDOf(by).String()
	applied, hidden, err := d.cluster.Applied(ctx, by, func(id manifest.ID) bool {
		return of.only(edits.Edit{Object: id.String(), Owner: name})
	})
	if err != nil {
		return nil, nil, err
	}
	var all []edits.Edit
	for _, obj := range applied {
		found, err := edits.Standing(obj, name)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, found...)
	}
	return all, hidden, nil
}

// outcomeColours are those of what became of an edit.
var outcomeColours = map[string]string{
	string(edits.Restored): show.Green, string(edits.Reported): show.Yellow, string(edits.Left): show.Yellow, string(edits.Contested): show.Red,
}

func (d *drifting) head() []show.Column {
	return []show.Column{
		{Name: "When"}, {Name: "Object"}, {Name: "Field"}, {Name: "From"}, {Name: "To"}, {Name: "Manager"},
		{Name: "Outcome", Colour: func(cell string) string { return outcomeColours[cell] }},
		{Name: "Owner", Wide: true}, {Name: "Seen", Wide: true}, {Name: "More", Wide: true},
	}
}

func (d *drifting) rows(all []edits.Edit) [][]string {
	var rows [][]string
	for _, e := range all {
		field, from, to, more := e.Field, e.From, e.To, e.What
		if field == "" { // it is about the object as a whole
			field, more = "("+e.What+")", ""
		} else {
			from, to = orNothing(from), orNothing(to)
		}
		if e.Outcome == edits.Left {
			from = "?" // which is in no event, and perhaps in no source
		}
		if d.format != show.Wide {
			from, to = short(from), short(to)
		}
		rows = append(rows, []string{
			moment(e.When()), e.Object, field, from, to, cmp.Or(e.Manager, "unknown"), string(e.Outcome), e.Owner, moment(e.Seen), more,
		})
	}
	return rows
}

func orNothing(value string) string {
	if value == "" {
		return nothing
	}
	return value
}

// each prints edits as they come: rows of the table, or documents.
func (d *drifting) each(stream *show.Stream, all []edits.Edit) error {
	switch d.format {
	case show.JSON:
		for _, e := range all {
			if err := json.NewEncoder(d.Out).Encode(e); err != nil {
				return err
			}
		}
		return nil
	case show.YAML:
		for _, e := range all {
			text, err := yaml.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(d.Out, "---\n%s", text); err != nil {
				return err
			}
		}
		return nil
	}
	return stream.Print(d.rows(all))
}

// follow prints what is told from now on.
func (d *drifting) follow(ctx context.Context, of scope, heard []*hearing, stream *show.Stream) error {
	return (&events{}).hear(ctx, d.hand, heard, func(event corev1.Event) error {
		chosen := slices.DeleteFunc(edits.OfEvent(&event, lastSeen(event)), func(e edits.Edit) bool { return !of.only(e) })
		return d.each(stream, chosen)
	})
}
