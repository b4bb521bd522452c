package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/watch"

	"weir.dev/pkg/gitserver"
)

// upgradeOne makes commits that touch one application, each time another, and asks for
// a look at it. Measured is the time until its Deployment has the new image; a round
// ends when all other Kustomizations have taken notice of the revision too.
func upgradeOne(ctx context.Context, w *world) (result, error) {
	low, err := w.floorOne(ctx)
	if err != nil {
		return result{}, err
	}
	var live, all []time.Duration
	used, err := w.measured(ctx, func(ctx context.Context) error {
		for round := range w.opts.rounds {
			first, last, err := w.upgradeApp(ctx, round)
			if err != nil {
				return err
			}
			live, all = append(live, first), append(all, last)
			if err := w.settle(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return result{
		goal: "0.5 s, 10 requests + 1 for each other", took: median(live), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{fmt.Sprintf("all %d Kustomizations are at the new revision after %s s", w.opts.apps, seconds(median(all)))},
	}, err
}

// upgradeApp returns after what time the application of a round is live, and after what
// time all Kustomizations are ready at the revision.
func (w *world) upgradeApp(ctx context.Context, round int) (live, all time.Duration, err error) {
	i, version := w.appOf(round), roundVersion(round)
	revision, err := w.repo.Commit(branch, "Upgrade "+appName(i), gitserver.Files(appFiles(appSpace, i, version))...)
	if err != nil {
		return 0, 0, err
	}
	v, err := w.follow(ctx, &appsv1.DeploymentList{}, named(appSpace, appName(i))...)
	if err != nil {
		return 0, 0, err
	}
	defer v.stop()
	all, err = w.untilApplied(ctx, revision, func(ctx context.Context) error {
		began := time.Now()
		if err := w.ask(ctx, fleet); err != nil {
			return err
		}
		end, err := v.until(ctx, once{"the new image", func(e watch.Event) bool { return image(e.Object) == appImage(i, version) }})
		live = end.Sub(began)
		return err
	})
	return live, all, err
}

// floorOne applies the objects of one application a round.
func (w *world) floorOne(ctx context.Context) (*bound, error) {
	rounds := make([]bound, w.opts.rounds)
	for round := range rounds {
		objects, err := appObjects(floorSpace, w.appOf(round), roundVersion(round))
		if err != nil {
			return nil, err
		}
		if err := w.settle(ctx); err != nil {
			return nil, err
		}
		if rounds[round], err = w.floor.apply(ctx, objects); err != nil {
			return nil, err
		}
	}
	return medianOf(rounds), nil
}

// appOf is the application that a round is about: each time another, while there are.
func (w *world) appOf(round int) int { return round % w.opts.apps }

func roundVersion(round int) string { return fmt.Sprintf("1.1.%d", round) }
