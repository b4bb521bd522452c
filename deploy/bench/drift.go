package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// wrongImage is what somebody sets by hand.
const wrongImage = "registry.example.com/patched:by-hand"

// changeFields changes a field by hand, each time of another application. Measured is
// the time from when others see that until they see the field as it was.
func changeFields(ctx context.Context, w *world) (result, error) {
	low, err := w.floorFields(ctx, floorSpace)
	if err != nil {
		return result{}, err
	}
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		return w.changeField(ctx, appSpace, w.appOf(round))
	})
	return result{
		goal: "0.1 s, 3 requests", took: median(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{spread(times)},
	}, err
}

// changeAgain changes the same field of one application again and again, as a person
// does who does not believe what they see.
func changeAgain(ctx context.Context, w *world) (result, error) {
	low, err := w.floorFields(ctx, floorSpace)
	if err != nil {
		return result{}, err
	}
	app := w.opts.apps - 1
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		if round > 0 {
			if err := pause(ctx, w.opts.pause); err != nil {
				return 0, err
			}
		}
		return w.changeField(ctx, appSpace, app)
	})
	if err != nil {
		return result{}, err
	}
	return result{
		goal: "each 0.15 s", took: slices.Max(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{fmt.Sprintf("the time is that of the slowest, %s apart; %s", w.opts.pause, spread(times))},
	}, nil
}

// deleteObjects deletes a Service, each time of another application. Measured is the
// time from when others see that until they see a new one.
func deleteObjects(ctx context.Context, w *world) (result, error) {
	low, err := w.floorDeleted(ctx)
	if err != nil {
		return result{}, err
	}
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		return w.deleteService(ctx, w.appOf(round))
	})
	return result{
		goal: "0.1 s", took: median(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{spread(times)},
	}, err
}

// rounds does something several times and returns how long each took.
func (w *world) rounds(ctx context.Context, do func(context.Context, int) (time.Duration, error)) ([]time.Duration, []spent, error) {
	times := make([]time.Duration, w.opts.rounds)
	used, err := w.measured(ctx, func(ctx context.Context) (err error) {
		for round := range times {
			if times[round], err = do(ctx, round); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
		}
		return nil
	})
	return times, used, err
}

func spread(times []time.Duration) string {
	return fmt.Sprintf("between %s and %s s", seconds(slices.Min(times)), seconds(slices.Max(times)))
}

// changeField sets the image of an application and returns how long that lasts.
func (w *world) changeField(ctx context.Context, space string, app int) (time.Duration, error) {
	v, err := w.follow(ctx, &appsv1.DeploymentList{}, named(space, appName(app))...)
	if err != nil {
		return 0, err
	}
	defer v.stop()
	is := func(wanted string) func(watch.Event) bool {
		return func(e watch.Event) bool { return image(e.Object) == wanted }
	}
	return v.between(ctx, func(ctx context.Context) error { return w.setImage(ctx, space, app) },
		once{"the change by hand", is(wrongImage)}, once{"the field as it was", is(appImage(app, secondVersion))})
}

func (w *world) setImage(ctx context.Context, space string, app int) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: appName(app)}}
	const change = `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`
	return w.Client.Patch(ctx, d, client.RawPatch("application/strategic-merge-patch+json", fmt.Appendf(nil, change, wrongImage)), client.FieldOwner(byHand))
}

// deleteService deletes that of an application and returns how long it is missing.
func (w *world) deleteService(ctx context.Context, app int) (time.Duration, error) {
	v, err := w.follow(ctx, &corev1.ServiceList{}, named(appSpace, appName(app))...)
	if err != nil {
		return 0, err
	}
	defer v.stop()
	is := func(kind watch.EventType) func(watch.Event) bool {
		return func(e watch.Event) bool { return e.Type == kind }
	}
	return v.between(ctx, func(ctx context.Context) error { return w.Client.Delete(ctx, service(appSpace, app)) },
		once{"the end of the Service", is(watch.Deleted)}, once{"another Service", is(watch.Added)})
}

func service(space string, app int) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: appName(app)}}
}

// floorFields lets the floor undo changes of fields in a namespace of its own, of which it
// knows.
func (w *world) floorFields(ctx context.Context, space string) (*bound, error) {
	return w.floorRounds(ctx, space, "deployments", func(ctx context.Context, app int) error {
		return w.setImage(ctx, space, app)
	})
}

// floorDeleted lets the floor create again what was deleted, of which it knows.
func (w *world) floorDeleted(ctx context.Context) (*bound, error) {
	return w.floorRounds(ctx, floorSpace, "services", func(ctx context.Context, app int) error {
		return w.Client.Delete(ctx, service(floorSpace, app))
	})
}

// floorRounds does harm to an object of a resource, and measures how long it takes to
// apply that object.
func (w *world) floorRounds(ctx context.Context, space, resource string, harm func(context.Context, int) error) (*bound, error) {
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	rounds := make([]bound, w.opts.rounds)
	for round := range rounds {
		app := w.appOf(round)
		objects, err := appObjects(space, app, secondVersion)
		if err != nil {
			return nil, err
		}
		if err := harm(ctx, app); err != nil {
			return nil, err
		}
		if rounds[round], err = w.floor.apply(ctx, ofResource(objects, resource)); err != nil {
			return nil, err
		}
	}
	return medianOf(rounds), nil
}
