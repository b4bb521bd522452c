package main

import (
	"context"
	"fmt"
)

// idle looks on for a while in which nothing changes but the time. The floor is what a
// client does that applies everything again to be sure, once.
func idle(ctx context.Context, w *world) (result, error) {
	objects, err := allObjects(floorSpace, w.opts.apps, secondVersion)
	if err != nil {
		return result{}, err
	}
	if err := w.settle(ctx); err != nil {
		return result{}, err
	}
	low, err := w.floor.apply(ctx, objects)
	if err != nil {
		return result{}, err
	}
	used, err := w.measured(ctx, func(ctx context.Context) error { return pause(ctx, w.opts.idle) })
	if err != nil {
		return result{}, err
	}
	after, err := w.meter.held(ctx, "idle")
	return result{
		goal: "0 requests, 0.2 CPU s a minute", rounds: 1, programs: used,
		memory: after, live: grown(w.before, after),
		notes: []string{
			fmt.Sprintf("for %s, with intervals of %s", w.opts.idle, w.opts.interval),
			fmt.Sprintf("applying the same objects again, unchanged, takes the floor %s s and %d requests", seconds(low.took), low.total()),
		},
	}, err
}
