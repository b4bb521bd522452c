package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/gitserver"
)

// installAll creates a GitRepository and all Kustomizations at once, and waits until
// each is ready, which takes healthy objects.
func installAll(ctx context.Context, w *world) (result, error) {
	low, healthy, least, err := w.floorAll(ctx, firstVersion)
	if err != nil {
		return result{}, err
	}
	same, err := w.same(ctx, firstVersion, installing())
	if err != nil {
		return result{}, err
	}
	revision, err := w.repo.Commit(branch, "Add all applications", gitserver.Files(allFiles(appSpace, w.opts.apps, firstVersion))...)
	if err != nil {
		return result{}, err
	}
	before, err := w.meter.held(ctx, "before")
	if err != nil {
		return result{}, err
	}
	w.before = before
	var ours busy
	used, err := w.measured(ctx, func(ctx context.Context) error {
		ours, err = w.watchedControllers(ctx, revision, func(ctx context.Context) error {
			if err := w.createSource(ctx, fleet, w.repoURL); err != nil {
				return err
			}
			return inParallel(ctx, w.opts.apps, w.createKustomization)
		})
		return err
	})
	if err != nil {
		return result{}, err
	}
	after, err := w.meter.held(ctx, "installed")
	return result{
		goal: "1.5 x floor, 12 requests each", took: ours.took, floor: low, rounds: 1, programs: used,
		memory: slices.Concat(before, after), busy: []busy{least, same, ours},
		notes: []string{
			fmt.Sprintf("the floor's objects are healthy after %s s", seconds(healthy)),
			sameNote(same.took),
			fmt.Sprintf("%.1f requests a Kustomization", requestsEach(used, w.opts.apps)),
		},
	}, err
}

// upgradeAll makes a commit that touches every application, asks for a look at it, and
// waits until each Kustomization is ready at that revision.
func upgradeAll(ctx context.Context, w *world) (result, error) {
	low, healthy, least, err := w.floorAll(ctx, secondVersion)
	if err != nil {
		return result{}, err
	}
	same, err := w.same(ctx, secondVersion, upgrading())
	if err != nil {
		return result{}, err
	}
	revision, err := w.repo.Commit(branch, "Upgrade all applications", gitserver.Files(allFiles(appSpace, w.opts.apps, secondVersion))...)
	if err != nil {
		return result{}, err
	}
	var ours busy
	used, err := w.measured(ctx, func(ctx context.Context) error {
		ours, err = w.watchedControllers(ctx, revision, func(ctx context.Context) error { return w.ask(ctx, fleet) })
		return err
	})
	return result{
		goal: "1.5 x floor, 12 requests each", took: ours.took, floor: low, rounds: 1, programs: used, busy: []busy{least, same, ours},
		notes: []string{
			fmt.Sprintf("the floor's objects are healthy after %s s", seconds(healthy)),
			sameNote(same.took),
			fmt.Sprintf("%.1f requests a Kustomization", requestsEach(used, w.opts.apps)),
		},
	}, err
}

// untilApplied does something and returns how long it takes from its beginning until
// all Kustomizations are ready at a revision.
func (w *world) untilApplied(ctx context.Context, revision string, do func(context.Context) error) (time.Duration, error) {
	v, err := w.follow(ctx, &kustomizev1.KustomizationList{}, client.InNamespace(namespace))
	if err != nil {
		return 0, err
	}
	defer v.stop()
	return v.within(ctx, do, applied(w.opts.apps, revision))
}

// watchedControllers is untilApplied with what all processes use meanwhile.
func (w *world) watchedControllers(ctx context.Context, revision string, do func(context.Context) error) (busy, error) {
	return w.watched(ctx, "the controllers", func(ctx context.Context) (time.Duration, error) {
		return w.untilApplied(ctx, revision, do)
	})
}

// floorAll lets the floor apply all objects. The time is that until they are healthy
// too; what was used is that until they are applied.
func (w *world) floorAll(ctx context.Context, version string) (*bound, time.Duration, busy, error) {
	objects, err := allObjects(floorSpace, w.opts.apps, version)
	if err != nil {
		return nil, 0, busy{}, err
	}
	if err := w.settle(ctx); err != nil {
		return nil, 0, busy{}, err
	}
	v, err := w.follow(ctx, &appsv1.DeploymentList{}, client.InNamespace(floorSpace))
	if err != nil {
		return nil, 0, busy{}, err
	}
	defer v.stop()
	var low bound
	var used busy
	healthy, err := v.within(ctx, func(ctx context.Context) (err error) {
		used, err = w.watched(ctx, "the floor", func(ctx context.Context) (time.Duration, error) {
			low, err = w.floor.apply(ctx, objects)
			return low.took, err
		})
		return err
	}, observed(w.opts.apps, version))
	return &low, healthy, used, err
}

// same has the floor make the requests of a controller for all applications.
func (w *world) same(ctx context.Context, version string, o overhead) (busy, error) {
	if err := w.settle(ctx); err != nil {
		return busy{}, err
	}
	used, err := w.watched(ctx, "the floor with the requests of a controller", func(ctx context.Context) (time.Duration, error) {
		return w.floor.same(ctx, w.opts.apps, version, o)
	})
	return used, errors.Join(err, w.settle(ctx))
}

func sameNote(took time.Duration) string {
	return fmt.Sprintf("the same requests by the client that is the floor take %s s: no controller that makes them is faster", seconds(took))
}

// requestsEach is the mean number of requests of all programs together.
func requestsEach(used []spent, n int) float64 {
	sum := 0
	for _, s := range used {
		sum += s.total()
	}
	return float64(sum) / float64(n)
}
