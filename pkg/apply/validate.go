package apply

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// validate asks the API server whether it would accept the writes. The first
// needs no asking: it is written alone, before the others, so its refusal leaves
// the stage as it was.
func (e *Engine) validate(ctx context.Context, writes []*write, req Request) error {
	ask := make([]*write, 0, len(writes))
	for _, w := range writes {
		if w.Action == Write {
			ask = append(ask, w)
		}
	}
	if len(ask) == 0 || len(writes) == 1 {
		return nil
	}
	if ask[0] == writes[0] && !req.Force {
		ask = ask[1:]
	}
	var failed errorList
	var g errgroup.Group
	g.SetLimit(e.parallel)
	for _, w := range ask {
		g.Go(func() error {
			failed.try(ctx, w.ID, func() error { return e.dryRun(ctx, w, req) })
			return nil
		})
	}
	_ = g.Wait() // the functions report to failed
	if failed.empty() {
		return nil
	}
	// Tell everything that is wrong at once, the first object included.
	if first := writes[0]; first.Action == Write && first.version == "" && !req.Force {
		failed.add(e.dryRun(ctx, first, req))
	}
	return failed.join()
}

// dryRun validates one write.
func (e *Engine) dryRun(ctx context.Context, w *write, req Request) error {
	a, err := e.send(ctx, w, true, false)
	switch {
	case err == nil:
		w.found, w.version = a.object, a.object.GetResourceVersion()
		return nil
	case immutable(err) && e.mayRecreate(w, req):
		w.recreate = true
		return nil
	case e.mayMigrate(ctx, w, err):
		w.migrate = true
		return nil
	default:
		return failure(w.ID, "dry-run failed", err)
	}
}
