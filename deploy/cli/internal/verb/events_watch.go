package verb

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/show"
)

// listenAgain is how long to wait before the API server is asked again, after a watch of
// events that has ended.
const listenAgain = time.Second

// follow prints events as they come.
func (e *events) follow(ctx context.Context, h *hand, heard []*hearing, stream *show.Stream) error {
	return e.hear(ctx, h, heard, func(event corev1.Event) error {
		return stream.Print(e.rows([]corev1.Event{event}, h.Now()))
	})
}

// hear gives take one event after the other, as they come.
func (e *events) hear(ctx context.Context, h *hand, heard []*hearing, take func(corev1.Event) error) error {
	arrived := make(chan corev1.Event)
	g, ctx := errgroup.WithContext(ctx)
	var watching sync.WaitGroup
	for _, l := range heard {
		watching.Add(1)
		g.Go(func() error {
			defer watching.Done()
			return e.listen(ctx, h, l, arrived)
		})
	}
	g.Go(func() error { watching.Wait(); close(arrived); return nil })
	g.Go(func() error {
		for event := range arrived {
			if err := take(event); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// listen sends what is said from now on, until ctx ends.
func (e *events) listen(ctx context.Context, h *hand, l *hearing, arrived chan<- corev1.Event) error {
	for {
		err := e.listenOnce(ctx, h, l, arrived)
		if ctx.Err() != nil {
			return nil // asked to end
		}
		if await.Lasting(err) {
			return fmt.Errorf("watching events: %w", err)
		}
		_ = await.Pause(ctx, listenAgain) // whether ctx has ended is seen next
	}
}

// listenOnce sends what is said until the watch ends. Where too much was missed to go on, it
// catches up first.
func (e *events) listenOnce(ctx context.Context, h *hand, l *hearing, arrived chan<- corev1.Event) error {
	send := func(event corev1.Event) {
		select {
		case arrived <- event:
		case <-ctx.Done():
		}
	}
	if l.version == "" {
		missed, err := e.list(ctx, h, l)
		if err != nil {
			return err
		}
		slices.SortStableFunc(missed, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
		for _, event := range missed {
			send(event)
		}
	}
	changes, err := h.client.Watch(ctx, &corev1.EventList{}, client.InNamespace(l.of.namespace), client.MatchingFieldsSelector{Selector: l.of.fields.AsSelector()},
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: l.version}})
	if err != nil {
		l.version = ""
		return err
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		event, ok := change.Object.(*corev1.Event)
		if !ok { // too old to go on from
			l.version = ""
			return nil
		}
		l.version = event.ResourceVersion
		if change.Type != watch.Deleted && l.news(event) && e.chosen(*event) {
			send(*event)
		}
	}
	return nil
}
