package verb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/kinds"
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
	var versions []string // where a watch goes on
	for _, selector := range selectors {
		found, version, err := e.list(ctx, h, selector)
		if err != nil {
			return err
		}
		all, versions = append(all, found...), append(versions, version)
	}
	slices.SortStableFunc(all, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
	stream := show.NewStream(s.Out, e.head(), show.Options{NoHeader: e.noHeader})
	if err := stream.Print(e.rows(all)); err != nil {
		return err
	}
	if e.watch {
		return e.follow(ctx, h, selectors, versions, stream)
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
	if e.everywhere || k.Family == kinds.Sources && k.GVK.Kind != sourcev1.HelmChartKind {
		return of, nil
	}
	obj, err := h.find(ctx, k, h.key(name), "get")
	if err != nil {
		return nil, err
	}
	o, err := kinds.Read(obj)
	if err != nil {
		return nil, err
	}
	for _, ref := range sources(o) {
		of = append(of, aboutObject(ref.Kind, ref.Namespace, ref.Name))
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

// list reads events about our kinds.
func (e *events) list(ctx context.Context, h *hand, of selector) ([]corev1.Event, string, error) {
	var all []corev1.Event
	list := &corev1.EventList{}
	for {
		err := h.client.List(ctx, list, client.InNamespace(of.namespace), client.MatchingFieldsSelector{Selector: of.fields.AsSelector()},
			client.Limit(eventPage), client.Continue(list.Continue))
		if err != nil {
			return nil, "", fmt.Errorf("listing events: %w", err)
		}
		for _, event := range list.Items {
			if e.chosen(event) {
				all = append(all, event)
			}
		}
		if list.Continue == "" {
			return all, list.ResourceVersion, nil
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

func (e *events) rows(all []corev1.Event) [][]string {
	var rows [][]string
	for _, event := range all {
		row := []string{kinds.Ago(lastSeen(event)), event.Type, event.Reason, event.InvolvedObject.Kind + "/" + event.InvolvedObject.Name, kinds.Shorten(event.Message)}
		if e.everywhere {
			row = append([]string{event.InvolvedObject.Namespace}, row...)
		}
		rows = append(rows, row)
	}
	return rows
}

// follow prints events as they come.
func (e *events) follow(ctx context.Context, h *hand, selectors []selector, versions []string, stream *show.Stream) error {
	arrived := make(chan corev1.Event)
	g, ctx := errgroup.WithContext(ctx)
	var watching sync.WaitGroup
	for i, of := range selectors {
		watching.Add(1)
		g.Go(func() error {
			defer watching.Done()
			return e.watchOne(ctx, h, of, versions[i], arrived)
		})
	}
	g.Go(func() error { watching.Wait(); close(arrived); return nil })
	g.Go(func() error {
		for event := range arrived {
			if err := stream.Print(e.rows([]corev1.Event{event})); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// watchOne sends what is said from a version on, until ctx ends.
func (e *events) watchOne(ctx context.Context, h *hand, of selector, version string, arrived chan<- corev1.Event) error {
	for ctx.Err() == nil {
		changes, err := h.client.Watch(ctx, &corev1.EventList{}, client.InNamespace(of.namespace), client.MatchingFieldsSelector{Selector: of.fields.AsSelector()},
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching events: %w", err)
		}
		for change := range changes.ResultChan() {
			event, ok := change.Object.(*corev1.Event)
			if !ok { // too old to go on from: what is said from now on
				version = ""
				break
			}
			version = event.ResourceVersion
			if change.Type != watch.Deleted && e.chosen(*event) {
				select {
				case arrived <- *event:
				case <-ctx.Done():
				}
			}
		}
		changes.Stop()
	}
	return nil
}
