package verb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/objects"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/show"
)

// eventPage is how many events are read by one request.
const eventPage = 500

// events shows what controllers said of objects.
type events struct {
	everywhere bool
	watch      bool
	noHeader   bool
	of         string
	types      []string
}

func newEvents(s *session.Session) *cobra.Command {
	e := &events{}
	cmd := &cobra.Command{
		Use: "events", Short: "Show what controllers said of objects", Args: cobra.NoArgs,
		Example: `  weir events -A --types Warning
  weir events --for Kustomization/apps -w`,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd.Context(), s) },
	}
	cmd.Flags().BoolVarP(&e.everywhere, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().BoolVarP(&e.watch, "watch", "w", false, "go on, and show what is said next")
	cmd.Flags().BoolVar(&e.noHeader, "no-header", false, "leave the header out")
	cmd.Flags().StringVar(&e.of, "for", "", "of one object, and of what it reads from: KIND/NAME")
	cmd.Flags().StringSliceVar(&e.types, "types", nil, "only of these types: Normal, Warning")
	return cmd
}

func (e *events) run(ctx context.Context, s *session.Session) error {
	for _, t := range e.types {
		if t != corev1.EventTypeNormal && t != corev1.EventTypeWarning {
			return fmt.Errorf("there are no events of type %q: take Normal or Warning", t)
		}
	}
	h, err := newHand(s)
	if err != nil {
		return err
	}
	selectors, err := e.selectors(ctx, h)
	if err != nil {
		return err
	}
	var all []corev1.Event
	heard := make([]*hearing, len(selectors))
	for i, selector := range selectors {
		heard[i] = &hearing{of: selector}
		found, err := e.list(ctx, h, heard[i])
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
	stream := show.NewStream(s.Out, e.head(), show.Options{NoHeader: e.noHeader})
	if err := stream.Print(e.rows(all, s.Now())); err != nil {
		return err
	}
	if e.watch {
		return e.follow(ctx, h, heard, stream)
	}
	if len(all) == 0 {
		s.Fail("no events found%s", e.where(s))
	}
	return nil
}

func (e *events) where(s *session.Session) string {
	switch {
	case e.of != "":
		return " for " + e.of + ": they are kept for an hour"
	case e.everywhere:
		return ": they are kept for an hour"
	}
	return fmt.Sprintf(" in namespace %q: they are kept for an hour", s.Namespace())
}

// selector says which events are asked for.
type selector struct {
	namespace string
	fields    fields.Set
}

// selectors returns those of all events, or of an object and what it reads from.
func (e *events) selectors(ctx context.Context, h *hand) ([]selector, error) {
	all := selector{namespace: h.Namespace(), fields: fields.Set{}}
	if e.everywhere {
		all.namespace = ""
	}
	if e.of == "" {
		return []selector{all}, nil
	}
	k, name, err := reference(e.of)
	if err != nil {
		return nil, err
	}
	of := []selector{aboutObject(k.GVK.Kind, all.namespace, name)}
	if k.Family == kinds.Sources && k.GVK.Kind != sourcev1.HelmChartKind {
		return of, nil
	}
	found, err := h.reader.List(ctx, objects.Query{Kind: k, Namespace: all.namespace, Name: name})
	if err != nil {
		return nil, err
	}
	if len(found.Items) == 0 && !e.everywhere {
		return nil, notFound(ctx, h.Session, h.reader, objects.Query{Kind: k, Namespace: all.namespace, Name: name}, "get")
	}
	known := make(map[kinds.Reference]bool)
	for _, o := range found.Items {
		for _, ref := range sources(o) {
			ref.APIVersion = ""
			if !known[ref] {
				known[ref] = true
				of = append(of, aboutObject(ref.Kind, ref.Namespace, ref.Name))
			}
		}
	}
	return of, nil
}

// aboutObject selects the events of an object.
func aboutObject(kind, namespace, name string) selector {
	return selector{namespace: namespace, fields: fields.Set{"involvedObject.kind": kind, "involvedObject.name": name}}
}

// reference reads KIND/NAME.
func reference(text string) (kinds.Kind, string, error) {
	i := strings.LastIndex(text, "/")
	if i <= 0 || i == len(text)-1 {
		return kinds.Kind{}, "", session.Hint(fmt.Errorf("%q is not of the form KIND/NAME", text), "for example: Kustomization/apps")
	}
	k, ok := kinds.Find(text[:i])
	if !ok {
		return kinds.Kind{}, "", session.Hint(fmt.Errorf("there is no kind %q", text[:i]), "for example: ks/apps, hr/podinfo, GitRepository/flux-system")
	}
	return k, text[i+1:], nil
}

// hearing is what was said of what a selector selects, so far.
type hearing struct {
	of selector
	// version is where a watch goes on.
	version string
	// known are the versions of events that were heard.
	known map[types.UID]string
}

// news reports whether an event was not heard before as it is, and remembers it.
func (l *hearing) news(event *corev1.Event) bool {
	if l.known[event.UID] == event.ResourceVersion {
		return false
	}
	l.known[event.UID] = event.ResourceVersion
	return true
}

// list reads the events about our kinds that were not heard before.
func (e *events) list(ctx context.Context, h *hand, l *hearing) ([]corev1.Event, error) {
	var news []corev1.Event
	list := &corev1.EventList{}
	before := l.known
	l.known = make(map[types.UID]string) // events that are gone need not be remembered
	for {
		err := h.client.List(ctx, list, client.InNamespace(l.of.namespace), client.MatchingFieldsSelector{Selector: l.of.fields.AsSelector()},
			client.Limit(eventPage), client.Continue(list.Continue))
		if err != nil {
			l.known = before
			return nil, fmt.Errorf("listing events: %w", err)
		}
		for _, event := range list.Items {
			if l.news(&event) && before[event.UID] != event.ResourceVersion && e.chosen(event) {
				news = append(news, event)
			}
		}
		if list.Continue == "" {
			l.version = list.ResourceVersion
			return news, nil
		}
	}
}

// chosen reports whether an event is about an object of ours, and of a type that is asked
// for.
func (e *events) chosen(event corev1.Event) bool {
	about := event.InvolvedObject
	if _, ours := kinds.Of(schema.FromAPIVersionAndKind(about.APIVersion, about.Kind).GroupKind()); !ours {
		return false
	}
	return len(e.types) == 0 || slices.Contains(e.types, event.Type)
}

// lastSeen is when an event was last said.
func lastSeen(event corev1.Event) time.Time {
	var series metav1.MicroTime
	if event.Series != nil {
		series = event.Series.LastObservedTime
	}
	return cmp.Or(series.Time, event.LastTimestamp.Time, event.EventTime.Time, event.CreationTimestamp.Time)
}

func (e *events) head() []show.Column {
	head := []show.Column{{Name: "Last seen"}, {Name: "Type"}, {Name: "Reason"}, {Name: "Object"}, {Name: "Message"}}
	if e.everywhere {
		head = append([]show.Column{{Name: "Namespace"}}, head...)
	}
	return head
}

func (e *events) rows(all []corev1.Event, now time.Time) [][]string {
	var rows [][]string
	for _, event := range all {
		row := []string{kinds.Ago(lastSeen(event), now), event.Type, event.Reason, event.InvolvedObject.Kind + "/" + event.InvolvedObject.Name, show.OneLine(kinds.Shorten(event.Message))}
		if e.everywhere {
			row = append([]string{event.InvolvedObject.Namespace}, row...)
		}
		rows = append(rows, row)
	}
	return rows
}
